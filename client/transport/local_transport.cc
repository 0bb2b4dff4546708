#include "client/transport/local_transport.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/limits.h"

namespace baton::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kHandshakeTimeout{2'000};
constexpr milliseconds kPauseMax{200};

absl::Status ConnectionLost() {
  return MakeError(absl::StatusCode::kUnavailable, reason::kBrokerUnreachable,
                   "the broker has closed the connection, or has ended");
}

absl::Status NoAnswer() {
  return MakeError(absl::StatusCode::kUnavailable, reason::kBrokerUnreachable, "no answer to the hello");
}

// An answer to the hello, with where it comes from.
absl::Status NamedBy(const std::string& path, const absl::Status& status) {
  return MakeError(status.code(), ReasonOf(status),
                   fmt::format("unix:{}: {}", path, std::string(status.message())));
}

bool CanBeRead(const Descriptor& socket) {
  pollfd look{.fd = socket.get(), .events = POLLIN, .revents = 0};
  return poll(&look, 1, 0) > 0;
}

absl::Status BadFrame() {
  return MakeError(absl::StatusCode::kInvalidArgument, reason::kProtocolViolation,
                   "the broker sent a frame that cannot be read; is it of another version?");
}

}  // namespace

LocalTransport::Rings::Rings(LocalConnection connection, Segment mapped)
    : socket(std::move(connection.socket)),
      segment(std::move(mapped)),
      sender(segment.ToBroker()),
      receiver(segment.FromBroker(), kFrameBytesMax, kFrameBytesMax) {}

LocalTransport::LocalTransport(std::string path)
    : path_(std::move(path)), woken_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), pauses_(kPauseMax) {}

LocalTransport::~LocalTransport() { Close(); }

void LocalTransport::Open() {
  BATON_CHECK(state_ == State::kIdle);
  SetState(State::kConnecting);
  if (!woken_fd_) {
    return End(MakeError(absl::StatusCode::kResourceExhausted, reason::kBrokerUnreachable,
                         "the process has no file descriptors left"));
  }
  next_attempt_ = SteadyTime{};
  pauses_.Reset();
}

void LocalTransport::SetState(State state) {
  MutexLock lock(mutex_);
  state_ = state;
}

bool LocalTransport::CanWrite() const {
  MutexLock lock(mutex_);
  return state_ == State::kOpen && rings_->sender.idle();
}

void LocalTransport::Write(const v1::ClientFrame& frame) {
  MutexLock lock(mutex_);
  if (state_ != State::kOpen) return;  // it ended since CanWrite
  rings_->sender.Begin(frame);
  if (rings_->sender.Push()) RingBell(rings_->socket.get());
}

void LocalTransport::Close() {
  if (state_ == State::kConnecting || state_ == State::kOpen)
    End(absl::CancelledError("the connection was given up"));
}

void LocalTransport::End(absl::Status why) {
  close_status_ = std::move(why);
  handshake_.Reset();
  MutexLock lock(mutex_);
  state_ = State::kEnding;
  // Also for a child that was forked and holds the socket too.
  if (rings_.has_value()) shutdown(rings_->socket.get(), SHUT_RDWR);
  rings_.reset();
}

void LocalTransport::Wake() {
  if (woken_.exchange(true)) return;
  if (!sleeping_.load()) return;
  const uint64_t one = 1;
  // allowed to fail: a counter that is full has woken the owner already
  [[maybe_unused]] const ssize_t written = write(woken_fd_.get(), &one, sizeof(one));
}

LocalTransport::Event LocalTransport::Next(SteadyTime deadline) {
  while (true) {
    if (const auto event = Poll()) return *event;
    if (woken_.load() && woken_.exchange(false)) return Event::kWoken;
    if (deadline != SteadyTime::max() && steady_clock::now() >= deadline) return Event::kTimeout;
    Sleep(deadline);
  }
}

std::optional<LocalTransport::Event> LocalTransport::Poll() {
  if (state_ == State::kEnding) {
    SetState(State::kIdle);
    return Event::kClosed;
  }
  if (state_ == State::kConnecting) {
    TryToConnect();
    if (state_ != State::kConnecting) return state_ == State::kOpen ? Event::kWritten : Poll();
  }
  if (state_ != State::kOpen) return std::nullopt;
  if (PushPending()) return Event::kWritten;
  return PullFrame();
}

// What of a frame waits for room. True: it has left.
bool LocalTransport::PushPending() {
  MutexLock lock(mutex_);
  if (rings_->sender.idle()) return false;
  if (rings_->sender.Push()) RingBell(rings_->socket.get());
  return rings_->sender.idle();
}

std::optional<LocalTransport::Event> LocalTransport::PullFrame() {
  size_t budget = SIZE_MAX;
  const FrameReceiver::State pulled = rings_->receiver.Pull(budget);
  if (rings_->receiver.Release()) RingBell(rings_->socket.get());
  switch (pulled) {
    case FrameReceiver::State::kNothing:
      return std::nullopt;
    case FrameReceiver::State::kFrame: {
      const std::string_view bytes = rings_->receiver.frame();
      if (frame_.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return Event::kFrame;
      break;
    }
    case FrameReceiver::State::kLarge:
    case FrameReceiver::State::kTooLarge:
    case FrameReceiver::State::kBroken:
      break;
  }
  End(BadFrame());
  return Poll();
}

// One attempt when it is time. A broker that is not there is tried again; a refusal is an answer.
void LocalTransport::TryToConnect() {
  const SteadyTime now = steady_clock::now();
  if (!handshake_) {
    if (now < next_attempt_) return;
    auto begun = BeginHandshake(path_);
    if (!begun.ok()) return TryAgain(begun.status());
    handshake_ = *std::move(begun);
    answer_due_ = now + kHandshakeTimeout;
  }
  if (!CanBeRead(handshake_)) {
    if (now >= answer_due_) TryAgain(NoAnswer());
    return;
  }
  auto connection = EndHandshake(std::move(handshake_));
  if (!connection.ok()) return TryAgain(NamedBy(path_, connection.status()));
  auto segment = Segment::Map(std::move(connection->segment));
  if (!segment.ok()) return End(segment.status());
  segment->file().Reset();
  MutexLock lock(mutex_);
  rings_.emplace(*std::move(connection), *std::move(segment));
  state_ = State::kOpen;
}

void LocalTransport::TryAgain(const absl::Status& why) {
  if (why.code() != absl::StatusCode::kUnavailable) return End(why);
  handshake_.Reset();
  next_attempt_ = steady_clock::now() + pauses_.Next();
}

// False: something has come meanwhile.
bool LocalTransport::Arm() {
  if (state_ != State::kOpen) return true;
  if (!rings_->receiver.WaitForData()) return false;
  MutexLock lock(mutex_);
  return rings_->sender.idle() || rings_->sender.WaitForRoom();
}

void LocalTransport::Sleep(SteadyTime deadline) {
  if (state_ == State::kEnding || !Arm()) return;
  if (state_ == State::kConnecting) deadline = std::min(deadline, handshake_ ? answer_due_ : next_attempt_);
  timespec timeout{};
  if (deadline != SteadyTime::max()) {
    const auto wait = std::max(deadline - steady_clock::now(), steady_clock::duration(0));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(wait);
    timeout = {.tv_sec = seconds.count(), .tv_nsec = std::chrono::nanoseconds(wait - seconds).count()};
  }
  pollfd waiting[2] = {{.fd = woken_fd_.get(), .events = POLLIN, .revents = 0},
                       {.fd = -1, .events = POLLIN, .revents = 0}};
  if (state_ == State::kOpen) waiting[1].fd = rings_->socket.get();
  if (state_ == State::kConnecting) waiting[1].fd = handshake_.get();  // -1: none
  sleeping_.store(true);
  const bool sleeps = !woken_.load();
  const int ready =
      sleeps ? ppoll(waiting, 2, deadline == SteadyTime::max() ? nullptr : &timeout, nullptr) : 0;
  sleeping_.store(false);
  if (ready <= 0) return;
  if (waiting[0].revents != 0) {
    uint64_t wakes = 0;
    // allowed to fail: the next sleep ends at once
    [[maybe_unused]] const ssize_t taken = read(woken_fd_.get(), &wakes, sizeof(wakes));
  }
  if (state_ == State::kConnecting) return;
  if (waiting[1].revents == 0 || TakeBells(rings_->socket.get()).has_value()) return;
  // What the broker said before it closed is still in the ring.
  if (!rings_->receiver.HasData()) End(ConnectionLost());
}

}  // namespace baton::client
