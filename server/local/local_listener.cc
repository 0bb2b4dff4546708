#include "server/local/local_listener.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "server/listen/unix_socket.h"

namespace baton {
namespace {

using std::chrono::steady_clock;

constexpr int kBacklog = 256;
constexpr size_t kGuestsMax = 256;
constexpr std::chrono::seconds kHelloMax{1};
// Without descriptors a connection that waits would be announced for ever.
constexpr std::chrono::milliseconds kAcceptPause{100};

absl::Status Refused(std::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, reason::kInvalidArgument, message);
}

// The socket file's permissions decide who may connect; this says it again where they cannot (an inherited
// descriptor).
bool MayConnect(int socket, const ucred& peer) {
  if (peer.uid == 0 || peer.uid == geteuid() || peer.gid == getegid()) return true;
  gid_t groups[256];
  socklen_t bytes = sizeof(groups);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) != 0) return false;
  const gid_t* const begin = groups;
  const gid_t* const end = begin + bytes / sizeof(gid_t);
  return std::find(begin, end, getegid()) != end;
}

}  // namespace

LocalListener::LocalListener(const Options& options, BrokerFacts* facts, LocalSessions* sessions,
                             Descriptor socket, Descriptor wake)
    : options_(options),
      facts_(facts),
      sessions_(sessions),
      socket_(std::move(socket)),
      wake_(std::move(wake)) {}

absl::StatusOr<std::unique_ptr<LocalListener>> LocalListener::Start(const Options& options,
                                                                    BrokerFacts* facts,
                                                                    LocalSessions* sessions) {
  const std::string& path = options.socket_path;
  if (absl::Status cleared = ClearStaleSocket(path); !cleared.ok()) return cleared;
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  Descriptor wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const bool bound = socket && wake &&
                     bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
                     chmod(path.c_str(), 0660) == 0 && listen(socket.get(), kBacklog) == 0;
  if (!bound) return Refused(fmt::format("cannot listen on {}: {}", path, std::strerror(errno)));
  facts->listening.push_back("unix:" + path);
  return std::unique_ptr<LocalListener>(
      new LocalListener(options, facts, sessions, std::move(socket), std::move(wake)));
}

LocalListener::~LocalListener() { Stop(); }

void LocalListener::Serve() {
  thread_ = std::thread([this] { Run(); });
}

void LocalListener::Stop() {
  if (stopping_.exchange(true)) return;
  const uint64_t one = 1;
  // allowed to fail: a counter that is full has woken the thread already
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof(one));
  if (thread_.joinable()) thread_.join();
  unlink(options_.socket_path.c_str());
  socket_.Reset();
}

void LocalListener::Run() {
  std::vector<pollfd> waiting;
  while (!stopping_) {
    const bool accepts = steady_clock::now() >= resume_;
    waiting.clear();
    waiting.push_back({.fd = wake_.get(), .events = POLLIN, .revents = 0});
    waiting.push_back(
        {.fd = socket_.get(), .events = static_cast<short>(accepts ? POLLIN : 0), .revents = 0});
    for (const Guest& guest : guests_)
      waiting.push_back({.fd = guest.socket.get(), .events = POLLIN, .revents = 0});
    if (poll(waiting.data(), waiting.size(), Timeout()) < 0) continue;  // a signal
    const auto now = steady_clock::now();
    for (size_t i = guests_.size(); i > 0; --i) {  // from the back: those that are done go
      Guest& guest = guests_[i - 1];
      const bool done = (waiting[i + 1].revents != 0 && Hear(guest)) || now >= guest.deadline;
      if (done) guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(i - 1));
    }
    if (waiting[1].revents != 0) Accept();
  }
  guests_.clear();
}

int LocalListener::Timeout() const {
  const auto now = steady_clock::now();
  auto next = steady_clock::time_point::max();
  if (resume_ > now) next = resume_;
  for (const Guest& guest : guests_) next = std::min(next, guest.deadline);
  if (next == steady_clock::time_point::max()) return -1;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - now);
  return static_cast<int>(std::max<int64_t>(wait.count(), 0));
}

void LocalListener::Accept() {
  Descriptor socket(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    const bool exhausted = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
    if (exhausted) resume_ = steady_clock::now() + kAcceptPause;
    return;
  }
  Guest guest{.socket = std::move(socket), .hello = {}, .deadline = steady_clock::now() + kHelloMax};
  if (Hear(guest)) return;
  // Whoever has been silent for longest makes room: a client says its hello as soon as it is connected, so
  // that any number of silent ones keep nobody out.
  if (guests_.size() >= kGuestsMax || (IsBeyond(guest.socket) && !guests_.empty()))
    guests_.erase(guests_.begin());
  guests_.push_back(std::move(guest));
}

bool LocalListener::IsBeyond(const Descriptor& socket) const {
  return static_cast<size_t>(socket.get()) >= options_.descriptors_max;
}

// A sixteenth of what is left for both rings of a client: however many come, there is always some left.
size_t LocalListener::RingBytes() const {
  const size_t used = facts_->ring_bytes.load(std::memory_order_relaxed);
  const size_t left = facts_->ring_bytes_max - std::min(used, facts_->ring_bytes_max);
  size_t bytes = options_.ring_bytes;
  while (bytes > kRingBytesMin && bytes > left / 32) bytes /= 2;
  return bytes;
}

bool LocalListener::Hear(Guest& guest) {
  auto* into = reinterpret_cast<char*>(&guest.hello);
  const auto received = ReceiveHello(guest.socket.get(), into + guest.have, sizeof(LocalHello) - guest.have);
  if (!received.has_value()) return true;
  guest.have += *received;
  if (guest.have < sizeof(LocalHello)) return false;
  Welcome(guest);
  return true;
}

void LocalListener::Welcome(Guest& guest) {
  const absl::Status admitted = Admit(guest);
  if (!admitted.ok()) SendWelcome(guest.socket.get(), RefusalFor(admitted), nullptr);
}

absl::Status LocalListener::Admit(Guest& guest) {
  if (absl::Status fine = CheckHello(guest.hello); !fine.ok()) return fine;
  ucred peer{};
  socklen_t bytes = sizeof(peer);
  if (getsockopt(guest.socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0 ||
      !MayConnect(guest.socket.get(), peer)) {
    return MakeError(absl::StatusCode::kPermissionDenied, reason::kPermissionDenied,
                     fmt::format("user {} may not use this broker: join the group of its socket", peer.uid));
  }
  if (facts_->sessions.load(std::memory_order_relaxed) >= facts_->sessions_max) {
    return MakeError(absl::StatusCode::kResourceExhausted, reason::kSessionLimit,
                     "the broker has as many sessions as it may (option sessions_max)");
  }
  if (IsBeyond(guest.socket)) {
    return MakeError(absl::StatusCode::kResourceExhausted, reason::kSessionLimit,
                     "the broker has as many descriptors open as clients may take: raise its limit "
                     "(ulimit -n, LimitNOFILE)");
  }
  auto segment = Segment::Create(RingBytes());
  if (!segment.ok()) return segment.status();
  // Of another namespace it has no number here; then the socket alone tells of its end.
  Descriptor process(peer.pid > 0 ? static_cast<int>(syscall(SYS_pidfd_open, peer.pid, 0)) : -1);
  if (!SendWelcome(guest.socket.get(), WelcomeFor(segment->bytes()), &segment->file()))
    return absl::OkStatus();  // it has gone
  segment->file().Reset();
  sessions_->Adopt({.socket = std::move(guest.socket),
                    .process = std::move(process),
                    .segment = *std::move(segment),
                    .peer = fmt::format("unix:pid={},uid={}", peer.pid, peer.uid)});
  return absl::OkStatus();
}

}  // namespace baton
