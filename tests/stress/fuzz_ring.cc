// Random input for what reads what a client over rings has written (fuzz_driver.h has the command line).
// Targets:
//   reader     the reading end of a ring, with hostile indices; both ends, keeping the rules
//   writer     the writing end, with a hostile reader
//   handshake  hello, welcome, and bells on the socket
//   frames     the shape of a frame that came out of the ring
// Without a broker, so that there are hundreds of thousands of inputs a minute; with a sanitizer it finds
// what checks do not.
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "google/protobuf/wrappers.pb.h"
#include "local/frame_stream.h"
#include "local/handshake.h"
#include "local/segment_layout.h"
#include "server/session/frame_shape.h"
#include "tests/stress/fuzz_driver.h"

namespace baton {
namespace {

using State = FrameReceiver::State;

using Input = FuzzInput;

// A ring whose other side is hostile. Its bytes are on the heap, where AddressSanitizer sees who steps out.
struct Ring {
  explicit Ring(size_t size) : bytes(size) {}
  RingIndices indices{};
  std::vector<char> bytes;

  void Spoil(Input& input) {
    const std::string what = input.TakeBytes(input.Upto(64));
    uint64_t at = input.Take<uint16_t>();
    for (const char byte : what) bytes[at++ % bytes.size()] = byte;
  }
  void SpoilFlags(Input& input) {
    indices.reader_waits = input.Take<uint32_t>();
    indices.writer_waits = input.Take<uint32_t>();
  }
  // As a client might that means it well, mostly.
  void Move(std::atomic<uint64_t>& index, Input& input) {
    const uint64_t kind = input.Upto(20);
    if (kind == 0) {
      index = input.Take<uint64_t>();
    } else if (kind == 1) {
      index -= input.Upto(100);
    } else {
      index += input.Upto(kind == 2 ? 2 * bytes.size() : bytes.size() / 8);
    }
  }
};

// What was pulled adds up to the frames that came out of it, and what is broken stays so.
class CheckedReceiver {
 public:
  static constexpr size_t kFrameMax = 3'000;
  explicit CheckedReceiver(Ring& ring)
      : ring_(ring), receiver_(RingReader(&ring.indices, ring.bytes), kFrameMax, 500) {}

  void Pull(size_t budget) {
    const size_t before = budget;
    const State state = receiver_.Pull(budget);
    BATON_CHECK(budget <= before);
    pulled_ += before - budget;
    BATON_CHECK(pulled_ - ring_.indices.head <= ring_.bytes.size()) << "more than there can have been";
    if (worst_ == State::kBroken) BATON_CHECK(state == State::kBroken) << "it was broken";
    if (worst_ == State::kTooLarge) {
      BATON_CHECK(state == State::kBroken || state == State::kTooLarge) << "it was too large";
      BATON_CHECK_EQ(before, budget) << "nothing more is to be had";
    }
    worst_ = state;
    if (state == State::kTooLarge) BATON_CHECK(receiver_.expected_bytes() > kFrameMax);
    if (state != State::kFrame) return;
    BATON_CHECK(receiver_.frame().size() <= kFrameMax);
    framed_ += kFrameLengthBytes + receiver_.frame().size();
    BATON_CHECK_EQ(pulled_, framed_);
    (void)std::count(receiver_.frame().begin(), receiver_.frame().end(), 'x');  // all of it is there
  }
  FrameReceiver* operator->() { return &receiver_; }

 private:
  Ring& ring_;
  FrameReceiver receiver_;
  State worst_ = State::kNothing;
  uint64_t pulled_ = 0;
  uint64_t framed_ = 0;
};

void FuzzReceiver(Input& input) {
  Ring ring(size_t{64} << input.Upto(6));
  CheckedReceiver receiver(ring);
  while (!input.empty()) {
    switch (input.Upto(8)) {
      case 0:
        ring.Spoil(input);
        break;
      case 1:
        ring.SpoilFlags(input);
        break;
      case 2: {  // a length where the next one is likely to be read
        const auto length = static_cast<uint32_t>(input.Upto(4'000));
        for (size_t i = 0; i < 4; ++i)
          ring.bytes[(ring.indices.tail + i) % ring.bytes.size()] = static_cast<char>(length >> (8 * i));
        ring.indices.tail += 4;
        break;
      }
      case 3:
        ring.Move(ring.indices.tail, input);
        break;
      case 4:
        (void)receiver->Release();
        break;
      case 5:
        if (!receiver->WaitForData()) receiver.Pull(SIZE_MAX);
        break;
      case 6:
        receiver->Allow();
        break;
      case 7:
        receiver->FreeSpareMemory();
        break;
      default:
        receiver.Pull(input.Upto(5'000));
    }
  }
}

void FuzzSender(Input& input) {
  Ring ring(size_t{64} << input.Upto(6));
  FrameSender sender(RingWriter(&ring.indices, ring.bytes));
  google::protobuf::BytesValue frame;
  uint64_t shown = 0;
  while (!input.empty()) {
    switch (input.Upto(5)) {
      case 0:
        ring.SpoilFlags(input);
        break;
      case 1:
        ring.Move(ring.indices.head, input);
        break;
      case 2:
        (void)sender.WaitForRoom();
        break;
      case 3:
        sender.FreeSpareMemory();
        break;
      default:
        if (sender.idle()) {
          frame.set_value(std::string(input.Upto(4'000), 'x'));
          sender.Begin(frame);
        }
        (void)sender.Push();
    }
    BATON_CHECK(ring.indices.tail >= shown) << "it goes back";
    BATON_CHECK(ring.indices.tail == sender.bytes_moved());
    shown = ring.indices.tail;
  }
}

// Both sides keep the rules: every frame comes out as it went in, however they take turns.
void FuzzBoth(Input& input) {
  Ring ring(size_t{64} << input.Upto(6));
  FrameSender sender(RingWriter(&ring.indices, ring.bytes));
  FrameReceiver receiver(RingReader(&ring.indices, ring.bytes), 10'000, 500);
  std::deque<std::string> sent;
  google::protobuf::BytesValue frame;
  const auto pull = [&](size_t budget) {
    State state = receiver.Pull(budget);
    if (state == State::kLarge) {
      receiver.Allow();
      state = receiver.Pull(budget);
    }
    (void)receiver.Release();
    BATON_CHECK(state == State::kFrame || state == State::kNothing);
    if (state == State::kNothing) return;
    BATON_CHECK(!sent.empty() && receiver.frame() == sent.front()) << "another frame than was sent";
    sent.pop_front();
  };
  while (!input.empty()) {
    if (input.Upto(1) == 0) {
      if (sender.idle()) {
        frame.set_value(std::string(input.Upto(4'000), static_cast<char>(input.Upto(255))));
        sent.push_back(frame.SerializeAsString());
        sender.Begin(frame);
      }
      (void)sender.Push();
    } else {
      pull(input.Upto(2'000));
    }
  }
  for (int turns = 0; !sent.empty(); ++turns) {
    BATON_CHECK(turns < 10'000) << "frames are stuck";
    (void)sender.Push();
    pull(SIZE_MAX);
  }
}

void FuzzHandshake(Input& input) {
  LocalHello hello{.layout_version_min = kLayoutVersion, .layout_version_max = kLayoutVersion};
  if (input.Upto(2) == 0) hello.magic = input.Take<uint64_t>();
  if (input.Upto(2) == 0) hello.layout_version_min = input.Take<uint32_t>();
  if (input.Upto(2) == 0) hello.layout_version_max = input.Take<uint32_t>();
  const bool fits = hello.magic == kHelloMagic && hello.layout_version_min <= kLayoutVersion &&
                    hello.layout_version_max >= kLayoutVersion;
  BATON_CHECK_EQ(CheckHello(hello).ok(), fits);

  const auto welcome = input.Take<LocalWelcome>();  // texts that do not end, too
  const absl::Status status = StatusOf(welcome);
  BATON_CHECK_EQ(status.ok(), welcome.code == 0);
  BATON_CHECK(status.message().size() <= sizeof(welcome.message));
  BATON_CHECK(ReasonOf(status).size() <= sizeof(welcome.reason));
  const absl::Status again = StatusOf(RefusalFor(status));
  BATON_CHECK(again.code() == status.code());
}

// A hello as its bytes come, and bells after it.
void FuzzSocket(Input& input) {
  int ends[2];
  BATON_CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
  const Descriptor client(ends[0]);
  const Descriptor broker(ends[1]);
  LocalHello hello;
  size_t have = 0;
  size_t sent = 0;
  size_t heard = 0;
  while (!input.empty()) {
    const std::string bytes = input.TakeBytes(input.Upto(300));
    const ssize_t count = send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    sent += count > 0 ? static_cast<size_t>(count) : 0;
    const size_t left = sizeof(hello) - have;
    const auto taken = left > 0 ? ReceiveHello(broker.get(), reinterpret_cast<char*>(&hello) + have, left)
                                : TakeBells(broker.get());
    BATON_CHECK(taken.has_value()) << "nobody has closed it";
    BATON_CHECK(*taken <= (left > 0 ? left : kBellsMax));
    have += left > 0 ? *taken : 0;
    heard += *taken;
    BATON_CHECK(heard <= sent);
  }
}

void FuzzShape(Input& input) { (void)CheckFrameShape(input.TakeBytes(SIZE_MAX)); }

template <size_t kPart>
std::vector<std::string> Seeds() {
  return SeedsInFile(BATON_FUZZ_SEEDS, kPart, 6);
}

}  // namespace

const std::vector<FuzzPart>& FuzzParts() {
  static const std::vector<FuzzPart> parts = {
      {"writer", &FuzzSender, &Seeds<0>},       {"reader", &FuzzBoth, &Seeds<1>},
      {"handshake", &FuzzHandshake, &Seeds<2>}, {"handshake", &FuzzSocket, &Seeds<3>},
      {"frames", &FuzzShape, &Seeds<4>},        {"reader", &FuzzReceiver, &Seeds<5>}};
  return parts;
}

}  // namespace baton
