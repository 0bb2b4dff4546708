// The two ends of a ring, and the frames in it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "google/protobuf/wrappers.pb.h"
#include "local/frame_stream.h"
#include "local/ring.h"
#include "local/segment.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

using State = FrameReceiver::State;

struct RingFixture : testing::Test {
  RingIndices indices{};
  std::array<char, 64> bytes{};
  RingWriter writer{&indices, bytes};
  RingReader reader{&indices, bytes};

  std::string ReadAll() {
    std::string all(bytes.size(), '\0');
    all.resize(reader.Read(all.data(), all.size()));
    return all;
  }
};
using Ring = RingFixture;

TEST_F(Ring, GivesBackWhatWasWrittenInOrder) {
  EXPECT_EQ(writer.Write("hello "), 6u);
  EXPECT_EQ(writer.Write("world"), 5u);
  EXPECT_EQ(ReadAll(), "") << "not yet published";
  EXPECT_FALSE(writer.Publish());
  EXPECT_EQ(ReadAll(), "hello world");
}

TEST_F(Ring, TakesOnlyWhatThereIsRoomFor) {
  EXPECT_EQ(writer.Write(std::string(100, 'a')), 64u);
  EXPECT_EQ(writer.Write("b"), 0u);
  std::ignore = writer.Publish();
  EXPECT_EQ(ReadAll(), std::string(64, 'a'));
  EXPECT_EQ(writer.Write("b"), 0u) << "what was read is not given back before Release";
  std::ignore = reader.Release();
  EXPECT_EQ(writer.Write("b"), 1u);
}

TEST_F(Ring, GoesOnAcrossItsEnd) {
  for (int i = 0; i < 100; ++i) {
    const std::string part(1 + i % 40, static_cast<char>('a' + i % 26));
    ASSERT_EQ(writer.Write(part), part.size());
    std::ignore = writer.Publish();
    ASSERT_EQ(ReadAll(), part);
    std::ignore = reader.Release();
  }
}

TEST_F(Ring, ASleepingReaderIsRungOnce) {
  EXPECT_TRUE(reader.WaitForData());
  writer.Write("a");
  EXPECT_TRUE(writer.Publish());
  writer.Write("b");
  EXPECT_FALSE(writer.Publish());
  EXPECT_FALSE(reader.WaitForData()) << "there is something";
}

TEST_F(Ring, ASleepingWriterIsRungOnceHalfOfTheRingIsFree) {
  EXPECT_FALSE(writer.WaitForRoom());
  writer.Write(std::string(64, 'a'));
  std::ignore = writer.Publish();
  EXPECT_TRUE(writer.WaitForRoom());
  char into[64];
  reader.Read(into, 31);
  EXPECT_FALSE(reader.Release());
  reader.Read(into, 1);
  EXPECT_TRUE(reader.Release());
  EXPECT_FALSE(reader.Release());
}

TEST_F(Ring, AnIndexThatCannotBeBreaksTheReader) {
  for (const uint64_t nonsense : {uint64_t{65}, UINT64_MAX}) {
    RingReader end(&indices, bytes);
    indices.tail.store(nonsense);
    char into[64];
    EXPECT_EQ(end.Read(into, sizeof(into)), 0u);
    EXPECT_TRUE(end.broken());
    EXPECT_FALSE(end.WaitForData()) << "nobody sleeps on a broken ring";
  }
}

TEST_F(Ring, AnIndexThatGoesBackBreaksTheReader) {
  writer.Write("abc");
  std::ignore = writer.Publish();
  char into[2];
  EXPECT_EQ(reader.Read(into, 2), 2u);
  indices.tail.store(1);
  EXPECT_EQ(reader.Read(into, 2), 1u) << "what was seen is still there";
  EXPECT_TRUE(reader.broken() || reader.Read(into, 2) == 0);
  EXPECT_TRUE(reader.broken());
}

TEST_F(Ring, AnIndexThatCannotBeBreaksTheWriter) {
  writer.Write(std::string(64, 'a'));
  std::ignore = writer.Publish();
  indices.head.store(65);
  EXPECT_EQ(writer.Write("b"), 0u);
  EXPECT_TRUE(writer.broken());
}

TEST(RingThreads, CarryEveryByteOnce) {
  auto segment = Segment::Create(kRingBytesMin).value();
  FrameSender sender(segment.ToBroker());
  constexpr int kFrames = 20'000;
  const uint64_t seed = RandomSeed();
  std::thread writing([&] {
    std::mt19937_64 random(seed);
    google::protobuf::BytesValue frame;
    for (int i = 0; i < kFrames; ++i) {
      frame.set_value(std::string(random() % (i % 100 == 0 ? 20'000 : 200), static_cast<char>(i)));
      sender.Begin(frame);
      while (!sender.idle()) {
        std::ignore = sender.Push();
        if (!sender.idle()) std::this_thread::yield();
      }
    }
  });
  FrameReceiver receiver(segment.FromClient(), 1u << 20, 64u << 10);
  std::mt19937_64 random(seed);
  google::protobuf::BytesValue frame;
  for (int i = 0; i < kFrames; ++i) {
    State state = State::kNothing;
    while (state == State::kNothing) {
      size_t budget = 4'096;
      state = receiver.Pull(budget);
      std::ignore = receiver.Release();
      if (state == State::kNothing) std::this_thread::yield();
    }
    ASSERT_EQ(state, State::kFrame);
    ASSERT_TRUE(frame.ParseFromArray(receiver.frame().data(), static_cast<int>(receiver.frame().size())));
    ASSERT_EQ(frame.value(), std::string(random() % (i % 100 == 0 ? 20'000 : 200), static_cast<char>(i)));
  }
  writing.join();
}

struct Frames : testing::Test {
  Segment segment = Segment::Create(kRingBytesMin).value();
  FrameSender sender{segment.ToBroker()};
  FrameReceiver receiver{segment.FromClient(), 100'000, 10'000};
  google::protobuf::BytesValue frame;

  State Pull(size_t budget = 1u << 20) { return receiver.Pull(budget); }
};

TEST_F(Frames, EmptyOnesAreFramesToo) {
  sender.Begin(frame);
  std::ignore = sender.Push();
  EXPECT_EQ(Pull(), State::kFrame);
  EXPECT_EQ(receiver.frame(), "");
  EXPECT_EQ(Pull(), State::kNothing);
}

TEST_F(Frames, ComeInPartsThroughASmallerRing) {
  frame.set_value(std::string(9'000, 'x'));
  sender.Begin(frame);
  std::ignore = sender.Push();
  EXPECT_FALSE(sender.idle());
  EXPECT_TRUE(sender.WaitForRoom());
  EXPECT_EQ(Pull(), State::kNothing);
  EXPECT_TRUE(receiver.InFrame());
  int parts = 1;
  while (!sender.idle()) {
    EXPECT_EQ(receiver.Release(), parts == 1);
    std::ignore = sender.Push();
    ++parts;
    EXPECT_EQ(Pull(), sender.idle() ? State::kFrame : State::kNothing);
  }
  EXPECT_EQ(parts, 3);
  EXPECT_EQ(receiver.frame().size(), frame.ByteSizeLong());
}

TEST_F(Frames, LargeOnesWaitForEachStepUntilItIsAllowed) {
  frame.set_value(std::string(90'000, 'x'));
  sender.Begin(frame);
  std::ignore = sender.Push();
  EXPECT_EQ(Pull(), State::kNothing) << "nothing has come that needs more";
  while (!receiver.frame().empty() && receiver.missing_bytes() > 0) {
    const State state = Pull();
    if (state == State::kLarge) break;
    std::ignore = receiver.Release();
    std::ignore = sender.Push();
  }
  EXPECT_EQ(Pull(), State::kLarge);
  EXPECT_EQ(receiver.expected_bytes(), frame.ByteSizeLong());
  EXPECT_EQ(receiver.missing_bytes(), frame.ByteSizeLong() - 10'000);
  EXPECT_EQ(receiver.wanted_bytes(), 64u << 10);
  EXPECT_EQ(Pull(), State::kLarge);
  receiver.Allow();
  EXPECT_EQ(receiver.missing_bytes(), frame.ByteSizeLong() - 10'000 - (64u << 10));
  while (Pull() == State::kNothing) {
    std::ignore = receiver.Release();
    std::ignore = sender.Push();
  }
  EXPECT_EQ(Pull(), State::kLarge);
  EXPECT_EQ(receiver.wanted_bytes(), receiver.missing_bytes()) << "no more than it announced";
  receiver.Allow();
  EXPECT_EQ(Pull(), State::kNothing);
  while (!sender.idle()) {
    std::ignore = receiver.Release();
    std::ignore = sender.Push();
    std::ignore = Pull();
  }
  EXPECT_EQ(receiver.frame().size(), frame.ByteSizeLong());
}

TEST_F(Frames, OfALengthThatIsNotAllowedAreRefusedUnread) {
  RingWriter raw = segment.ToBroker();
  raw.Write(std::string("\xff\xff\xff\xff", 4));
  std::ignore = raw.Publish();
  EXPECT_EQ(Pull(), State::kTooLarge);
  EXPECT_EQ(Pull(), State::kTooLarge);
}

TEST_F(Frames, StayWithinTheBudgetOfATurn) {
  frame.set_value(std::string(1'000, 'x'));
  sender.Begin(frame);
  std::ignore = sender.Push();
  size_t budget = 100;
  EXPECT_EQ(receiver.Pull(budget), State::kNothing);
  EXPECT_EQ(budget, 0u);
  EXPECT_EQ(Pull(), State::kFrame);
}

TEST(SegmentFile, CannotBeResizedByWhoeverHoldsIt) {
  auto segment = Segment::Create(kRingBytesMin).value();
  EXPECT_NE(ftruncate(segment.file().get(), 0), 0);
  EXPECT_NE(ftruncate(segment.file().get(), 1 << 20), 0);
}

TEST(SegmentFile, OfAnotherKindIsRefused) {
  EXPECT_FALSE(Segment::Map(Descriptor()).ok());
  Descriptor unsealed(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(unsealed.get(), SegmentBytes(kRingBytesMin)), 0);
  const auto mapped = Segment::Map(std::move(unsealed));
  EXPECT_THAT(std::string(mapped.status().message()), testing::HasSubstr("not sealed"));
}

TEST(SegmentFile, IsTheSameMemoryForBoth) {
  auto broker = Segment::Create(kRingBytesMin).value();
  auto client = Segment::Map(Descriptor(dup(broker.file().get())));
  ASSERT_TRUE(client.ok()) << client.status();
  RingWriter writer = client->ToBroker();
  writer.Write("hello");
  std::ignore = writer.Publish();
  RingReader reader = broker.FromClient();
  char into[5];
  EXPECT_EQ(reader.Read(into, 5), 5u);
  EXPECT_EQ(std::string(into, 5), "hello");
}

}  // namespace
}  // namespace baton
