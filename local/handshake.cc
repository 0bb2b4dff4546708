#include "local/handshake.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/runtime_dir.h"
#include "local/segment_layout.h"

namespace baton {
namespace {

absl::Status Unreachable(std::string_view message) {
  return MakeError(absl::StatusCode::kUnavailable, reason::kBrokerUnreachable, message);
}

template <size_t kBytes>
void FillText(std::string_view text, char (&into)[kBytes]) {
  const size_t length = std::min(text.size(), kBytes - 1);
  std::memcpy(into, text.data(), length);
  into[length] = '\0';
}

template <size_t kBytes>
std::string_view TextOf(const char (&text)[kBytes]) {
  return {text, strnlen(text, kBytes)};
}

absl::StatusOr<Descriptor> Connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() > kSocketPathBytesMax) {
    return MakeError(absl::StatusCode::kInvalidArgument, reason::kInvalidArgument,
                     fmt::format("the socket path {} has {} bytes, and at most {} are possible: choose a "
                                 "shorter one",
                                 path, path.size(), kSocketPathBytesMax));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return Unreachable(fmt::format("cannot make a socket: {}", std::strerror(errno)));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Unreachable(fmt::format("cannot connect to {}: {}", path, std::strerror(errno)));
  }
  return socket;
}

bool WaitReadable(int socket, int timeout_ms) {
  pollfd waiting{.fd = socket, .events = POLLIN, .revents = 0};
  int ready = 0;
  do {
    ready = poll(&waiting, 1, timeout_ms);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

// Room for one descriptor; a kernel that had to drop others says MSG_CTRUNC.
struct ControlBuffer {
  alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(int))] = {};
};

Descriptor TakeDescriptor(msghdr& message) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS &&
        part->cmsg_len >= CMSG_LEN(sizeof(int))) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part), sizeof(fd));
      return Descriptor(fd);
    }
  }
  return Descriptor();
}

// The answer is sent at once, and arrives so.
absl::StatusOr<Descriptor> ReceiveWelcome(int socket, LocalWelcome& welcome) {
  ControlBuffer control;
  iovec part{.iov_base = &welcome, .iov_len = sizeof(welcome)};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof(control.bytes);
  const ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  Descriptor segment = received > 0 ? TakeDescriptor(message) : Descriptor();
  if (received <= 0) return Unreachable("the broker closed the connection instead of answering the hello");
  if (received != sizeof(welcome) || welcome.magic != kWelcomeMagic) {
    return MakeError(absl::StatusCode::kFailedPrecondition, reason::kProtocolViolation,
                     "what answers is not a broker's socket for local clients: is it another program's, or "
                     "the one for gRPC (grpc+unix:)?");
  }
  return segment;
}

// Absent: the other side has closed the socket, or sent a descriptor.
std::optional<size_t> ReceivePlain(int socket, char* into, size_t bytes_max) {
  iovec part{.iov_base = into, .iov_len = bytes_max};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  // No room for control data: descriptors that come are closed by the kernel, which says so.
  const ssize_t received = recvmsg(socket, &message, MSG_DONTWAIT);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (received <= 0 || (message.msg_flags & MSG_CTRUNC) != 0) return std::nullopt;
  return static_cast<size_t>(received);
}

}  // namespace

absl::Status CheckHello(const LocalHello& hello) {
  if (hello.magic != kHelloMagic) {
    return MakeError(absl::StatusCode::kInvalidArgument, reason::kProtocolViolation,
                     "this socket is for local clients of baton; gRPC has grpc.sock");
  }
  if (hello.layout_version_min > kLayoutVersion || hello.layout_version_max < kLayoutVersion) {
    return MakeError(absl::StatusCode::kFailedPrecondition, reason::kProtocolViolation,
                     fmt::format("the client knows versions {} to {} of the rings, the broker version {}",
                                 hello.layout_version_min, hello.layout_version_max, kLayoutVersion));
  }
  return absl::OkStatus();
}

LocalWelcome WelcomeFor(size_t segment_bytes) {
  LocalWelcome welcome;
  welcome.layout_version = kLayoutVersion;
  welcome.segment_bytes = segment_bytes;
  return welcome;
}

LocalWelcome RefusalFor(const absl::Status& why) {
  LocalWelcome welcome;
  welcome.code = static_cast<uint32_t>(why.code());
  FillText(ReasonOf(why), welcome.reason);
  FillText(std::string(why.message()), welcome.message);
  return welcome;
}

absl::Status StatusOf(const LocalWelcome& welcome) {
  if (welcome.code == 0) return absl::OkStatus();
  return MakeError(static_cast<absl::StatusCode>(welcome.code), TextOf(welcome.reason),
                   TextOf(welcome.message));
}

absl::Status ProbeLocally(const std::string& path) { return Connect(path).status(); }

absl::StatusOr<Descriptor> BeginHandshake(const std::string& path) {
  auto socket = Connect(path);
  if (!socket.ok()) return socket.status();
  const LocalHello hello{.layout_version_min = kLayoutVersion, .layout_version_max = kLayoutVersion};
  if (send(socket->get(), &hello, sizeof(hello), MSG_NOSIGNAL) != sizeof(hello))
    return Unreachable("the broker closed the connection");
  return socket;
}

absl::StatusOr<LocalConnection> EndHandshake(Descriptor socket) {
  LocalWelcome welcome;
  auto segment = ReceiveWelcome(socket.get(), welcome);
  if (!segment.ok()) return segment.status();
  if (absl::Status taken = StatusOf(welcome); !taken.ok()) return taken;
  if (!*segment) {
    return MakeError(absl::StatusCode::kFailedPrecondition, reason::kProtocolViolation,
                     "the broker's answer has no memory with it");
  }
  return LocalConnection{.socket = std::move(socket), .segment = *std::move(segment)};
}

absl::StatusOr<LocalConnection> ConnectLocally(const std::string& path, int timeout_ms) {
  auto socket = BeginHandshake(path);
  if (!socket.ok()) return socket.status();
  if (!WaitReadable(socket->get(), timeout_ms)) return Unreachable("no answer to the hello");
  return EndHandshake(*std::move(socket));
}

std::optional<size_t> ReceiveHello(int socket, char* into, size_t bytes_max) {
  return ReceivePlain(socket, into, bytes_max);
}

bool SendWelcome(int socket, const LocalWelcome& welcome, const Descriptor* segment) {
  ControlBuffer control;
  LocalWelcome copy = welcome;
  iovec part{.iov_base = &copy, .iov_len = sizeof(copy)};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (segment != nullptr) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof(control.bytes);
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = segment->get();
    std::memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(copy);
}

void RingBell(int socket) {
  const char bell = 0;
  // allowed to fail: a full socket wakes the other side anyway, and a closed one is noticed when it is read
  [[maybe_unused]] const ssize_t sent = send(socket, &bell, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::optional<size_t> TakeBells(int socket) {
  char bells[kBellsMax];
  return ReceivePlain(socket, bells, sizeof(bells));
}

}  // namespace baton
