#include "tests/stress/ring_intruder.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/check.h"
#include "base/limits.h"
#include "local/handshake.h"
#include "tests/support/raw_frames.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{20};

}  // namespace

Descriptor ConnectSilently(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  BATON_CHECK(socket_path.size() < sizeof(address.sun_path)) << socket_path;
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  BATON_CHECK(socket) << std::strerror(errno);
  const timeval patience{.tv_sec = kPatience.count(), .tv_usec = 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  const int connected = connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  BATON_CHECK(connected == 0) << std::strerror(errno);
  return socket;
}

bool SendDescriptors(int socket, std::string_view bytes, size_t count) {
  const Descriptor file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::vector<int> files(count, file.get());
  std::vector<char> control(CMSG_SPACE(count * sizeof(int)));
  iovec part{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(count * sizeof(int));
  std::memcpy(CMSG_DATA(rights), files.data(), count * sizeof(int));
  return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
}

std::optional<milliseconds> AwaitClosing(int socket, milliseconds timeout) {
  const auto start = steady_clock::now();
  char heard[4'096];
  while (true) {
    const ssize_t count = recv(socket, heard, sizeof(heard), MSG_DONTWAIT);
    const auto gone = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
    if (count > 0) continue;
    if (count == 0 || (errno != EAGAIN && errno != EINTR)) return gone;
    if (gone >= timeout) return std::nullopt;
    pollfd waiting{.fd = socket, .events = POLLIN, .revents = 0};
    poll(&waiting, 1, static_cast<int>((timeout - gone).count()));
  }
}

RingIntruder::RingIntruder(const std::string& socket_path) {
  auto connection = ConnectLocally(socket_path, static_cast<int>(milliseconds(kPatience).count()));
  BATON_CHECK(connection.ok()) << connection.status();
  socket_ = std::move(connection->socket);
  struct stat info {};
  BATON_CHECK_EQ(fstat(connection->segment.get(), &info), 0);
  bytes_ = static_cast<size_t>(info.st_size);
  ring_bytes_ = (bytes_ - kRingsOffset) / 2;
  void* mapped = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, connection->segment.get(), 0);
  BATON_CHECK(mapped != MAP_FAILED) << std::strerror(errno);
  memory_ = static_cast<char*>(mapped);
  writer_.emplace(&to_broker(), to_broker_bytes());
  receiver_.emplace(RingReader(&to_client(), to_client_bytes()), kFrameBytesMax, kFrameBytesMax);
}

RingIntruder::~RingIntruder() { munmap(memory_, bytes_); }

// ---- As a good client.

bool RingIntruder::SayHello(uint64_t producer_id) { return Say(HelloFrame("intruder", producer_id)); }

bool RingIntruder::Subscribe(uint64_t subscription, const std::string& queue, uint32_t credit) {
  return Say(SubscribeFrame(subscription, queue, credit, kCreditBytesMax));
}

bool RingIntruder::Publish(const std::string& queue, uint64_t first_sequence,
                           const std::vector<std::string>& bodies) {
  return Say(PublishFrame(queue, first_sequence, bodies));
}

bool RingIntruder::Say(const google::protobuf::MessageLite& frame) {
  std::string bytes(kFrameLengthBytes, '\0');
  const auto length = static_cast<uint32_t>(frame.ByteSizeLong());
  std::memcpy(bytes.data(), &length, sizeof(length));
  frame.AppendToString(&bytes);
  std::string_view left = bytes;
  const auto end = steady_clock::now() + kPatience;
  while (true) {
    left.remove_prefix(SayBytes(left));
    if (left.empty()) return true;
    if (writer_->broken() || steady_clock::now() >= end) return false;
    if (writer_->WaitForRoom() && !Sleep()) return false;
  }
}

bool RingIntruder::Hear(v1::ServerFrame& frame) {
  const auto end = steady_clock::now() + kPatience;
  bool open = true;
  while (steady_clock::now() < end) {
    size_t budget = SIZE_MAX;
    const auto state = receiver_->Pull(budget);
    if (receiver_->Release()) Ring(1);
    if (state == FrameReceiver::State::kFrame) {
      const std::string_view bytes = receiver_->frame();
      return frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
    }
    if (state != FrameReceiver::State::kNothing || !open) return false;
    if (receiver_->WaitForData()) open = Sleep();
  }
  return false;
}

std::string RingIntruder::HearGoAway() {
  v1::ServerFrame frame;
  while (Hear(frame)) {
    if (frame.has_go_away()) return frame.go_away().error().reason();
  }
  return "";
}

// ---- As no client should.

std::optional<v1::ServerFrame> RingIntruder::HearSome(size_t bytes) {
  const auto state = receiver_->Pull(bytes);
  if (receiver_->Release()) Ring(1);
  v1::ServerFrame frame;
  const std::string_view heard = state == FrameReceiver::State::kFrame ? receiver_->frame() : "";
  if (heard.empty() || !frame.ParseFromArray(heard.data(), static_cast<int>(heard.size()))) return {};
  return frame;
}

size_t RingIntruder::SayBytes(std::string_view bytes) {
  const size_t said = writer_->Write(bytes);
  if (writer_->Publish()) Ring(1);
  return said;
}

void RingIntruder::SayLength(uint32_t length) {
  SayBytes({reinterpret_cast<const char*>(&length), sizeof(length)});
}

void RingIntruder::Knock() {
  if (to_broker().reader_waits.exchange(0) != 0) Ring(1);
}

void RingIntruder::Ring(size_t bells) {
  const std::string all(bells, '\0');
  (void)send(socket(), all.data(), all.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool RingIntruder::AwaitArmed() {
  const auto end = steady_clock::now() + kPatience;
  for (int looks = 1; to_broker().reader_waits.load() == 0; ++looks) {
    if (looks % 100 == 0 && (IsOver() || steady_clock::now() >= end)) return false;
    std::this_thread::yield();
  }
  return true;
}

bool RingIntruder::IsOver() const { return AwaitEnd(milliseconds(0)).has_value(); }

// False: the broker has closed the socket.
bool RingIntruder::Sleep() const {
  pollfd waiting{.fd = socket(), .events = POLLIN, .revents = 0};
  poll(&waiting, 1, 1'000);
  return TakeBells(socket()).has_value();
}

}  // namespace baton
