// Row keys: their byte order is the order of delivery, and whatever is no key is refused.
#include "storage/format/keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "base/coding.h"
#include "tests/support/golden_file.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

const Instant kSometime = InstantFromMicros(1'700'000'000'000'000);

TEST(Key, HasTheBytesItAlwaysHad) {
  const Seq seq = MakeSeq(Epoch(2), 5);
  EXPECT_EQ(ToHex(ReadyKey(QueueId(3), {.rank = RankOfPriority(7), .seq = seq})),
            "52 00 00 00 03 00 00 00 00 00 00 00 00 ff ff ff f8 00 00 02 00 00 00 00 05");
  EXPECT_EQ(ToHex(DelayedKey(QueueId(3), {.due = kSometime, .seq = seq})),
            "44 00 00 00 03 00 06 0a 24 18 1e 40 00 00 00 02 00 00 00 00 05");
  EXPECT_EQ(ToHex(ParkedKey(QueueId(3), seq)), "50 00 00 00 03 00 00 02 00 00 00 00 05");
  EXPECT_EQ(ToHex(ExpiryKey({.deadline = kSometime, .queue = QueueId(3), .seq = seq})),
            "58 00 06 0a 24 18 1e 40 00 00 00 00 03 00 00 02 00 00 00 00 05");
  EXPECT_EQ(ToHex(AttemptsKey(QueueId(3), seq)), "41 00 00 00 03 00 00 02 00 00 00 00 05");
  EXPECT_EQ(ToHex(LocatorKey(seq)), "49 00 00 02 00 00 00 00 05");
  EXPECT_EQ(ToHex(LedgerKey(QueueId(3))), "4c 00 00 00 03");
  EXPECT_EQ(ToHex(BirthsKey(QueueId(3))), "42 00 00 00 03");
  EXPECT_EQ(ToHex(QueueKey("ab")), "51 61 62");
  EXPECT_EQ(ToHex(ProducerKey(ProducerId(258))), "4e 00 00 00 00 00 00 01 02");
}

TEST(Key, OfALargerPrioritySortsFirst) {
  const std::vector<uint32_t> priorities = {0xffffffff, 0xfffffffe, 0x80000000, 0x7fffffff, 256, 255, 1, 0};
  for (size_t i = 1; i < priorities.size(); ++i) {
    const std::string before =
        ReadyKey(QueueId(1), {.rank = RankOfPriority(priorities[i - 1]), .seq = Seq(999)});
    const std::string after = ReadyKey(QueueId(1), {.rank = RankOfPriority(priorities[i]), .seq = Seq(1)});
    EXPECT_LT(before, after) << priorities[i - 1] << " before " << priorities[i];
    EXPECT_EQ(PriorityOfRank(RankOfPriority(priorities[i])), priorities[i]);
  }
}

// Numbers at every edge of every byte.
std::vector<uint64_t> Edges(uint64_t max) {
  std::vector<uint64_t> edges = {0, 1, max - 1, max};
  for (int bit = 7; bit < 64; bit += 8) {
    const uint64_t edge = uint64_t{1} << bit;
    for (const uint64_t value : {edge - 1, edge, edge + 1, 2 * edge - 1, 2 * edge}) {
      if (value <= max) edges.push_back(value);
    }
  }
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  return edges;
}

template <class Position, class Encode>
void ExpectBytesSortAsPositions(std::vector<Position> positions, Encode&& encode) {
  std::sort(positions.begin(), positions.end());
  for (size_t i = 1; i < positions.size(); ++i)
    ASSERT_LT(encode(positions[i - 1]), encode(positions[i])) << "at " << i;
}

TEST(Key, BytesSortAsPositionsDo) {
  std::vector<ReadyPosition> ready;
  std::vector<DelayedPosition> delayed;
  std::vector<ExpiryPosition> expiry;
  for (const uint64_t a : Edges(INT64_MAX)) {
    for (const uint64_t b : Edges(UINT64_MAX)) {
      ready.push_back({.rank = a, .seq = Seq(b)});
      delayed.push_back({.due = InstantFromMicros(static_cast<int64_t>(a)), .seq = Seq(b)});
      expiry.push_back({.deadline = InstantFromMicros(static_cast<int64_t>(a)),
                        .queue = QueueId(static_cast<uint32_t>(b)),
                        .seq = Seq(b)});
    }
  }
  ExpectBytesSortAsPositions(ready, [](const auto& at) { return ReadyKey(QueueId(1), at); });
  ExpectBytesSortAsPositions(delayed, [](const auto& at) { return DelayedKey(QueueId(1), at); });
  ExpectBytesSortAsPositions(expiry, [](const auto& at) { return ExpiryKey(at); });
}

TEST(Key, ReadsBackAsItWasWritten) {
  std::mt19937_64 random(RandomSeed());
  for (int i = 0; i < 10'000; ++i) {
    const QueueId queue(static_cast<uint32_t>(random()));
    const ReadyPosition ready{.rank = random(), .seq = Seq(random())};
    const DelayedPosition delayed{.due = InstantFromMicros(static_cast<int64_t>(random() >> 1)),
                                  .seq = Seq(random())};
    const ExpiryPosition expiry{.deadline = delayed.due, .queue = queue, .seq = Seq(random())};
    const auto parsed_ready = ParseReadyKey(ReadyKey(queue, ready));
    const auto parsed_delayed = ParseDelayedKey(DelayedKey(queue, delayed));
    const auto parsed_parked = ParseParkedKey(ParkedKey(queue, ready.seq));
    ASSERT_TRUE(parsed_ready && parsed_delayed && parsed_parked);
    EXPECT_EQ(parsed_ready->queue, queue);
    EXPECT_EQ(parsed_ready->position, ready);
    EXPECT_EQ(parsed_delayed->queue, queue);
    EXPECT_EQ(parsed_delayed->position, delayed);
    EXPECT_EQ(parsed_parked->queue, queue);
    EXPECT_EQ(parsed_parked->seq, ready.seq);
    EXPECT_EQ(ParseExpiryKey(ExpiryKey(expiry)), expiry);
  }
}

TEST(Key, OfAMessageIsMadeOfItsParts) {
  const Seq seq(7);
  for (const std::string& key :
       {ReadyKey(QueueId(1), {.rank = 1, .seq = seq}), ReadyKey(QueueId(1), {.rank = UINT64_MAX, .seq = seq}),
        DelayedKey(QueueId(1), {.due = kSometime, .seq = seq}), ParkedKey(QueueId(1), seq)}) {
    const auto parts = ParseMessageKey(key);
    ASSERT_TRUE(parts.has_value()) << ToHex(key);
    EXPECT_EQ(MessageKey(*parts), key);
  }
}

// How many of the parsers take it.
int Takers(const std::string& key) {
  return ParseReadyKey(key).has_value() + ParseDelayedKey(key).has_value() + ParseParkedKey(key).has_value() +
         ParseExpiryKey(key).has_value();
}

TEST(Key, CutOrExtendedOrOfAnotherKindIsRefused) {
  const Seq seq(7);
  const std::string keys[] = {
      ReadyKey(QueueId(1), {.rank = 1, .seq = seq}), DelayedKey(QueueId(1), {.due = kSometime, .seq = seq}),
      ParkedKey(QueueId(1), seq), ExpiryKey({.deadline = kSometime, .queue = QueueId(1), .seq = seq})};
  for (const std::string& key : keys) {
    EXPECT_EQ(Takers(key), 1) << ToHex(key);
    for (size_t length = 0; length < key.size(); ++length) EXPECT_EQ(Takers(key.substr(0, length)), 0);
    EXPECT_EQ(Takers(key + '\0'), 0);
  }
  EXPECT_EQ(Takers(AttemptsKey(QueueId(1), seq)), 0);
  EXPECT_EQ(Takers(LedgerKey(QueueId(1))), 0);
}

TEST(Key, WithANumberThatNoMessageHasIsRefused) {
  for (const Seq seq : {Seq(), Seq(UINT64_MAX)}) {
    EXPECT_EQ(Takers(ReadyKey(QueueId(1), {.rank = 1, .seq = seq})), 0);
    EXPECT_EQ(Takers(DelayedKey(QueueId(1), {.due = kSometime, .seq = seq})), 0);
    EXPECT_EQ(Takers(ParkedKey(QueueId(1), seq)), 0);
    EXPECT_EQ(Takers(ExpiryKey({.deadline = kSometime, .queue = QueueId(1), .seq = seq})), 0);
  }
  std::string in_another_lane = ReadyKey(QueueId(1), {.rank = 1, .seq = Seq(7)});
  in_another_lane[8] = 1;
  EXPECT_EQ(Takers(in_another_lane), 0);
}

TEST(Key, WithATimeBefore1970IsRefused) {
  std::string delayed(1, 'D');
  AppendFixed32(delayed, 1);
  AppendFixed64(delayed, uint64_t{1} << 63);
  AppendFixed64(delayed, 7);
  EXPECT_FALSE(ParseDelayedKey(delayed).has_value());
  std::string expiry(1, 'X');
  AppendFixed64(expiry, UINT64_MAX);
  AppendFixed32(expiry, 1);
  AppendFixed64(expiry, 7);
  EXPECT_FALSE(ParseExpiryKey(expiry).has_value());
}

TEST(Key, OfHostileBytesHarmsNobody) {
  std::mt19937_64 random(RandomSeed());
  const std::string letters = "RDPXAILQNMU";
  for (int i = 0; i < 100'000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    if (!bytes.empty() && random() % 2 == 0) bytes[0] = letters[random() % letters.size()];
    EXPECT_LE(Takers(bytes), 1);
  }
}

TEST(KeyRange, OfAQueueHoldsItsRowsAndNoOthers) {
  for (const uint32_t number : {1u, 255u, 256u, 65'535u, 0xfffffffdu}) {
    const QueueId queue(number);
    const QueueId neighbours[] = {QueueId(number - 1), QueueId(number + 1)};
    const auto holds = [](const KeyRange& range, const std::string& key) {
      return range.begin <= key && key < range.end;
    };
    const KeyRange ready = AllOf(RowKind::kReady, queue);
    const KeyRange delayed = AllOf(RowKind::kDelayed, queue);
    const KeyRange parked = AllOf(RowKind::kParked, queue);
    EXPECT_TRUE(holds(ready, ReadyKey(queue, {})));
    EXPECT_TRUE(holds(ready, ReadyKey(queue, kReadyEnd)));
    EXPECT_TRUE(holds(delayed, DelayedKey(queue, {})));
    EXPECT_TRUE(holds(delayed, DelayedKey(queue, kDelayedEnd)));
    EXPECT_TRUE(holds(parked, ParkedKey(queue, Seq(UINT64_MAX))));
    for (const QueueId other : neighbours) {
      EXPECT_FALSE(holds(ready, ReadyKey(other, {})));
      EXPECT_FALSE(holds(ready, ReadyKey(other, kReadyEnd)));
      EXPECT_FALSE(holds(delayed, DelayedKey(other, kDelayedEnd)));
      EXPECT_FALSE(holds(parked, ParkedKey(other, Seq(1))));
    }
    EXPECT_FALSE(holds(ready, DelayedKey(queue, {})));
  }
}

TEST(KeyRange, OfAKindHoldsEveryQueue) {
  const KeyRange range = AllOf(RowKind::kExpiry);
  EXPECT_LE(range.begin, ExpiryKey({}));
  EXPECT_GT(range.end, ExpiryKey(kExpiryEnd));
  EXPECT_LT(AllOf(RowKind::kReady).begin, ReadyKey(QueueId(1), {}));
  EXPECT_GT(AllOf(RowKind::kReady).end, ReadyKey(QueueId(UINT32_MAX), kReadyEnd));
}

TEST(Position, HasASuccessorWithNothingBetween) {
  const ReadyPosition at{.rank = 5, .seq = Seq(9)};
  EXPECT_LT(at, Successor(at));
  EXPECT_EQ(Successor(at), (ReadyPosition{.rank = 5, .seq = Seq(10)}));
  EXPECT_EQ(Successor(DelayedPosition{.due = kSometime, .seq = Seq(9)}).seq, Seq(10));
  EXPECT_EQ(Successor(ExpiryPosition{.deadline = kSometime, .queue = QueueId(1), .seq = Seq(9)}).seq,
            Seq(10));
}

}  // namespace
}  // namespace baton
