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
#include <array>
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

std::string_view EventOf(const absl::Status& refusal) {
  const std::string why = ReasonOf(refusal);
  if (why == reason::kProtocolViolation) return "a local client says something else than a hello";
  if (why == reason::kPermissionDenied) return "a user connects who may not use this broker";
  if (why == reason::kSessionLimit) return "a local client finds no room for its session";
  return "a local client cannot be welcomed";
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
    for (const Guest& guest : guests_.all())
      waiting.push_back({.fd = guest.socket.get(), .events = POLLIN, .revents = 0});
    if (poll(waiting.data(), waiting.size(), Timeout()) < 0) continue;  // a signal
    for (size_t i = 2; i < waiting.size(); ++i)
      if (waiting[i].revents != 0) Hear(waiting[i].fd);
    while (const auto overdue = guests_.TakeOverdue(steady_clock::now()))
      Tell("a local client says no hello", *overdue, "closed after 1 s");
    if (waiting[1].revents != 0) Accept();
  }
  guests_.Clear();
}

int LocalListener::Timeout() const {
  const auto now = steady_clock::now();
  auto next = guests_.NextDeadline();
  if (resume_ > now) next = std::min(next, resume_);
  if (next == steady_clock::time_point::max()) return -1;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - now);
  return static_cast<int>(std::max<int64_t>(wait.count(), 0));
}

void LocalListener::Accept() {
  Guest guest;
  guest.socket = Descriptor(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!guest.socket) {
    const bool exhausted = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
    if (exhausted) resume_ = steady_clock::now() + kAcceptPause;
    return;
  }
  guest.peer = Peer::Of(guest.socket.get());
  guest.deadline = steady_clock::now() + kHelloMax;
  const int socket = guest.socket.get();
  const bool beyond = IsBeyond(guest.socket);
  guests_.Add(std::move(guest));
  Hear(socket);
  if (guests_.Find(socket) == nullptr || (guests_.size() <= kGuestsMax && !beyond)) return;
  const auto silent =
      guests_.TakeLongestSilent([socket](const Guest& other) { return other.socket.get() != socket; });
  if (silent.has_value())
    Tell("more local clients than there is room for say no hello", *silent, "closed the longest silent");
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

void LocalListener::Hear(int socket) {
  std::string& said = guests_.SaidBy(socket);
  std::array<char, sizeof(LocalHello)> more{};
  const auto received = ReceiveHello(socket, more.data(), more.size() - said.size());
  if (received.has_value()) {
    said.append(more.data(), *received);
    if (said.size() == sizeof(LocalHello)) Welcome(guests_.Take(socket));
  } else {
    guests_.Take(socket);
  }
}

void LocalListener::Welcome(Guest guest) {
  const absl::Status admitted = Admit(guest);
  if (admitted.ok()) return;
  Tell(EventOf(admitted), guest, "refused it: " + std::string(admitted.message()));
  SendWelcome(guest.socket.get(), RefusalFor(admitted), nullptr);
}

void LocalListener::Tell(std::string_view event, const Guest& guest, std::string_view done) {
  facts_->NoteIncident({.event = event, .peer = guest.peer.text, .done = done});
}

absl::Status LocalListener::MayEnter(const Guest& guest) {
  LocalHello hello;
  std::memcpy(&hello, guest.said.data(), sizeof(hello));
  if (absl::Status fine = CheckHello(hello); !fine.ok()) return fine;
  ucred peer{};
  socklen_t bytes = sizeof(peer);
  if (getsockopt(guest.socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0 ||
      !MayConnect(guest.socket.get(), peer)) {
    return MakeError(absl::StatusCode::kPermissionDenied, reason::kPermissionDenied,
                     fmt::format("user {} may not use this broker: join the group of its socket", peer.uid));
  }
  const auto full = [](std::string_view why) {
    return MakeError(absl::StatusCode::kResourceExhausted, reason::kSessionLimit, why);
  };
  if (facts_->sessions.load(std::memory_order_relaxed) >= facts_->sessions_max)
    return full("the broker has as many sessions as it may (option sessions_max)");
  switch (sessions_->ExcessOf(guest.peer)) {
    case ConnectionShares::Excess::kOfProcess:
      return full(
          "this process has half of the sessions that there may be over rings: use fewer, or raise the "
          "broker's limits (sessions_max, ulimit -n)");
    case ConnectionShares::Excess::kOfHost:
      return full(
          "this user has three quarters of the sessions that there may be over rings: use fewer, or raise "
          "the broker's limits (sessions_max, ulimit -n)");
    case ConnectionShares::Excess::kOfDoor:
      return full("there are as many sessions over rings as there may be (sessions_max, ulimit -n)");
    case ConnectionShares::Excess::kNone:
      break;
  }
  if (IsBeyond(guest.socket)) {
    return full(
        "the broker has as many descriptors open as clients may take: raise its limit "
        "(ulimit -n, LimitNOFILE)");
  }
  return absl::OkStatus();
}

absl::Status LocalListener::Admit(Guest& guest) {
  if (absl::Status may = MayEnter(guest); !may.ok()) return may;
  auto segment = Segment::Create(RingBytes());
  if (!segment.ok()) return segment.status();
  // Of another namespace it has no number here; then the socket alone tells of its end.
  ucred peer{};
  socklen_t bytes = sizeof(peer);
  const bool known =
      getsockopt(guest.socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 && peer.pid > 0;
  Descriptor process(known ? static_cast<int>(syscall(SYS_pidfd_open, peer.pid, 0)) : -1);
  if (!SendWelcome(guest.socket.get(), WelcomeFor(segment->bytes()), &segment->file()))
    return absl::OkStatus();  // it has gone
  segment->file().Reset();
  sessions_->Adopt({.socket = std::move(guest.socket),
                    .process = std::move(process),
                    .segment = *std::move(segment),
                    .peer = guest.peer});
  return absl::OkStatus();
}

}  // namespace baton
