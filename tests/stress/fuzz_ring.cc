// fuzz_ring TARGET SECONDS : input for so long for what reads what a client over rings has written. TARGET:
//   reader     the reading end of a ring, with hostile indices; both ends, keeping the rules
//   writer     the writing end, with a hostile reader
//   handshake  hello, welcome, and bells on the socket
//   frames     the shape of a frame that came out of the ring
// Without a broker, so that there are hundreds of thousands of inputs a minute; with a sanitizer it finds
// what checks do not. Half of the inputs are random, half are seeds (fuzz_ring_seeds.hex), changed a little.
// BATON_SEED repeats a run.
//
// For libFuzzer (option BATON_LIBFUZZER) the same is LLVMFuzzerTestOneInput: the input's first two bytes
// choose the target, and the program looks for inputs by itself. `fuzz_ring seeds DIRECTORY` writes the seeds
// where it finds them. CONTRIBUTING.md has the commands.
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "google/protobuf/wrappers.pb.h"
#include "local/frame_stream.h"
#include "local/handshake.h"
#include "local/segment_layout.h"
#include "server/session/frame_shape.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

using State = FrameReceiver::State;

// The input, taken from its front; zeros when it is used up.
class Input {
 public:
  explicit Input(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  template <class T>
  T Take() {
    T value{};
    const size_t count = std::min(sizeof(T), bytes_.size());
    if (count > 0) std::memcpy(static_cast<void*>(&value), bytes_.data(), count);
    bytes_ = bytes_.subspan(count);
    return value;
  }
  uint64_t Upto(uint64_t max) { return Take<uint16_t>() % (max + 1); }
  std::string TakeBytes(size_t count) {
    count = std::min(count, bytes_.size());
    std::string taken(reinterpret_cast<const char*>(bytes_.data()), count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }

 private:
  std::span<const uint8_t> bytes_;
};

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

// By the first number of an input; appended to, never renumbered, for the seeds' sake.
constexpr void (*kParts[])(Input&) = {FuzzSender, FuzzBoth,  FuzzHandshake,
                                      FuzzSocket, FuzzShape, FuzzReceiver};

void FuzzOne(std::span<const uint8_t> bytes) {
  Input input(bytes);
  kParts[input.Upto(std::size(kParts) - 1)](input);
}

#ifndef BATON_LIBFUZZER

using Bytes = std::vector<uint8_t>;

struct Target {
  std::string_view name;
  std::vector<uint16_t> parts;
};
const Target kTargets[] = {{"reader", {5, 1}}, {"writer", {0}}, {"handshake", {2, 3}}, {"frames", {4}}};

// One in each line of hexadecimal digits; `#` begins a comment.
std::vector<Bytes> Seeds() {
  std::ifstream file(BATON_FUZZ_SEEDS);
  std::vector<Bytes> seeds;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    Bytes& seed = seeds.emplace_back();
    for (size_t i = 0; i + 1 < line.size(); i += 2)
      seed.push_back(static_cast<uint8_t>(std::stoul(line.substr(i, 2), nullptr, 16)));
    BATON_CHECK(seed.size() >= 2) << line;
  }
  BATON_CHECK(!seeds.empty()) << "no seeds in " << BATON_FUZZ_SEEDS;
  return seeds;
}

class Inputs {
 public:
  explicit Inputs(const Target& target) : target_(target), random_(RandomSeed()) {
    for (Bytes& seed : Seeds()) {
      const auto part = static_cast<uint16_t>((seed[0] | seed[1] << 8) % std::size(kParts));
      if (std::count(target.parts.begin(), target.parts.end(), part) != 0) seeds_.push_back(std::move(seed));
    }
    BATON_CHECK(!seeds_.empty()) << "no seeds for " << target.name;
  }

  Bytes Next() {
    if (Below(2) == 0) return Random();
    Bytes bytes = seeds_[Below(seeds_.size())];
    for (size_t changes = Below(8); changes > 0; --changes) Change(bytes);
    return bytes;
  }

 private:
  size_t Below(size_t bound) { return random_() % bound; }
  uint8_t Byte() { return static_cast<uint8_t>(random_()); }

  Bytes Random() {
    Bytes bytes(2 + Below(2'000));
    for (uint8_t& byte : bytes) byte = Byte();
    const uint16_t part = target_.parts[Below(target_.parts.size())];
    bytes[0] = static_cast<uint8_t>(part);
    bytes[1] = 0;
    return bytes;
  }

  // Anything but the first two bytes, which say whose input it is.
  void Change(Bytes& bytes) {
    const size_t at = 2 + Below(bytes.size() - 1);
    const auto here = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const Bytes& other = seeds_[Below(seeds_.size())];
    switch (Below(5)) {
      case 0:
        bytes.insert(here, Byte());
        break;
      case 1:
        bytes.erase(here, bytes.end());
        break;
      case 2:
        bytes.insert(here, other.begin() + 2, other.end());
        break;
      default:
        if (at < bytes.size())
          bytes[at] = Below(2) == 0 ? Byte() : bytes[at] ^ static_cast<uint8_t>(1 << Below(8));
    }
    bytes.resize(std::min<size_t>(bytes.size(), 4'000));
  }

  const Target& target_;
  std::mt19937_64 random_;
  std::vector<Bytes> seeds_;
};

int FuzzFor(const Target& target, std::chrono::seconds time) {
  for (const Bytes& seed : Seeds()) FuzzOne(seed);
  Inputs inputs(target);
  std::fflush(stdout);  // the seed, before anything fails
  const auto end = std::chrono::steady_clock::now() + time;
  uint64_t count = 0;
  for (; std::chrono::steady_clock::now() < end; ++count) FuzzOne(inputs.Next());
  std::printf("%llu inputs\n", static_cast<unsigned long long>(count));
  return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int WriteSeeds(const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory);
  size_t number = 0;
  for (const Bytes& seed : Seeds()) {
    std::ofstream file(directory / std::to_string(++number), std::ios::binary);
    file.write(reinterpret_cast<const char*>(seed.data()), static_cast<std::streamsize>(seed.size()));
  }
  return EXIT_SUCCESS;
}

int Main(const std::vector<std::string>& arguments) {
  if (arguments.size() == 2 && arguments[0] == "seeds") return WriteSeeds(arguments[1]);
  for (const Target& target : kTargets) {
    if (arguments.size() != 2 || arguments[0] != target.name) continue;
    return FuzzFor(target, std::chrono::seconds(std::strtol(arguments[1].c_str(), nullptr, 10)));
  }
  std::fprintf(stderr,
               "usage: fuzz_ring reader|writer|handshake|frames SECONDS, or fuzz_ring seeds DIRECTORY\n");
  return 64;
}

#endif

}  // namespace
}  // namespace baton

#ifdef BATON_LIBFUZZER
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  baton::FuzzOne({data, size});
  return 0;
}
#else
int main(int argc, char** argv) { return baton::Main(std::vector<std::string>(argv + 1, argv + argc)); }
#endif
