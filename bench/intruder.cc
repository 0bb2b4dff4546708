#include "bench/intruder.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "baton/v1/session.pb.h"
#include "local/frame_stream.h"
#include "local/handshake.h"
#include "local/segment.h"

namespace baton::bench {
namespace {

constexpr size_t kConnections = 20;
// A flood is one that does not end, and not one that takes a core: what that costs is measured by `spin`.
constexpr std::chrono::milliseconds kRest{1};

class Session {
 public:
  // Absent: the broker does not want it now.
  static std::optional<Session> Open(const std::string& path) {
    auto connection = ConnectLocally(path, 5'000);
    if (!connection.ok()) return std::nullopt;
    auto segment = Segment::Map(std::move(connection->segment));
    if (!segment.ok()) return std::nullopt;
    return Session(std::move(connection->socket), *std::move(segment));
  }

  void Say(const v1::ClientFrame& frame) {
    FrameSender sender(ring_);
    sender.Begin(frame);
    if (sender.Push()) RingBell(socket_.get());
  }
  void SayBytes(const std::string& bytes) {
    ring_.Write(bytes);
    if (ring_.Publish()) RingBell(socket_.get());
  }
  void Ring(size_t bells) {
    const std::string all(bells, '\0');
    // allowed to fail: a full socket has bells enough in it
    [[maybe_unused]] const ssize_t sent =
        send(socket_.get(), all.data(), all.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  bool IsOver() const { return !TakeBells(socket_.get()).has_value(); }
  void AwaitEnd(std::chrono::milliseconds at_most) const {
    pollfd closing{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    poll(&closing, 1, static_cast<int>(at_most.count()));
  }

 private:
  Session(Descriptor socket, Segment segment)
      : socket_(std::move(socket)), segment_(std::move(segment)), ring_(segment_.ToBroker()) {}

  Descriptor socket_;
  Segment segment_;
  RingWriter ring_;
};

v1::ClientFrame Hello() {
  v1::ClientFrame frame;
  frame.mutable_hello()->set_protocol_version(1);
  frame.mutable_hello()->set_client_name("intruder");
  return frame;
}

void RingWithoutEnd(const std::string& path, const std::string& /*queue*/) {
  auto session = Session::Open(path);
  if (!session.has_value()) return;
  session->Say(Hello());
  while (!session->IsOver()) {
    session->Ring(64);
    session->AwaitEnd(std::chrono::milliseconds(1));
  }
}

// The same, and does not give its processor back: whom it has woken waits there until the system takes it.
void RingAndSpin(const std::string& path, const std::string& /*queue*/) {
  auto session = Session::Open(path);
  if (!session.has_value()) return;
  session->Say(Hello());
  while (!session->IsOver()) session->Ring(64);
}

void SayNonsense(const std::string& path, const std::string& /*queue*/) {
  static std::mt19937_64 random(1);
  auto session = Session::Open(path);
  if (!session.has_value()) return;
  session->Say(Hello());
  std::string bytes(1'000, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  bytes[2] = bytes[3] = '\0';  // of a length that is allowed
  session->SayBytes(bytes);
  session->AwaitEnd(std::chrono::milliseconds(20));
}

void SayHalfAHello(const std::string& path, const std::string& /*queue*/) {
  static std::vector<Descriptor> guests;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Descriptor guest(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(guest.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    const LocalHello hello{.layout_version_min = 1, .layout_version_max = 1};
    if (send(guest.get(), &hello, sizeof(hello) / 2, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
      guests.push_back(std::move(guest));
  }
  if (guests.size() > 200) guests.clear();
}

void NeverRead(const std::string& path, const std::string& queue) {
  static std::vector<std::optional<Session>> sessions(kConnections);
  for (auto& session : sessions) {
    if (session.has_value() && !session->IsOver()) continue;
    session.reset();
    if (auto opened = Session::Open(path)) session.emplace(*std::move(opened));
    if (!session.has_value()) continue;
    v1::ClientFrame frame = Hello();
    v1::Subscribe* subscribe = frame.add_subscribe();
    subscribe->set_subscription(1);
    subscribe->set_queue(queue);
    subscribe->set_credit_messages(1'000);
    session->Say(frame);
  }
}

// Not a client at all.
void Spin(const std::string& /*path*/, const std::string& /*queue*/) {
  volatile uint64_t turns = 0;
  while (true) turns = turns + 1;
}

struct Kind {
  Mischief what;
  void (*once)(const std::string& path, const std::string& queue);
};
constexpr Kind kKinds[] = {
    {{"spin", "takes processor time, and nothing else"}, Spin},
    {{"bells", "rings without end, is ended, and comes back"}, RingWithoutEnd},
    {{"bells-and-spin", "the same, spinning until it is ended"}, RingAndSpin},
    {{"nonsense", "random frames, ended, and comes back"}, SayNonsense},
    {{"half-hellos", "connects, says half a hello, without end"}, SayHalfAHello},
    {{"never-reads", "20 sessions that subscribe and do not read"}, NeverRead},
};

}  // namespace

std::span<const Mischief> Mischiefs() {
  static const std::vector<Mischief> all = [] {
    std::vector<Mischief> names;
    for (const Kind& kind : kKinds) names.push_back(kind.what);
    return names;
  }();
  return all;
}

int RunIntruder(const RoleOptions& options) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::string prefix = "unix:";
  if (options.url.rfind(prefix, 0) != 0) return 1;
  for (const Kind& kind : kKinds) {
    if (options.kind != kind.what.name) continue;
    while (true) {
      kind.once(options.url.substr(prefix.size()), options.queue);
      std::this_thread::sleep_for(kRest);
    }
  }
  std::fprintf(stderr, "no such mischief: %s\n", options.kind.c_str());
  return 1;
}

}  // namespace baton::bench
