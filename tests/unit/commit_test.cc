// The bytes of a commit, the order of keys, the store's own rows.
#include "storage/format/commit.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/format/keys.h"
#include "storage/format/records.h"
#include "storage/rocks/write_mark.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Operations(const Commit& commit) {
  std::vector<std::string> operations;
  commit.ForEach([&operations](const Commit::Op& op) {
    operations.push_back(fmt::format("{} {} {}", static_cast<int>(op.kind), op.key, op.value));
  });
  return operations;
}

TEST(Commit, GivesBackItsOperationsInOrder) {
  Commit commit;
  EXPECT_TRUE(commit.empty());
  EXPECT_THAT(Operations(commit), IsEmpty());
  commit.Put("R1", "value");
  commit.Put("R2", "head", "tail");
  commit.Put("R3", "");
  commit.Delete("L1");
  commit.SingleDelete("R1");
  commit.DeleteRange("R", "S");
  EXPECT_EQ(commit.count(), 6u);
  EXPECT_THAT(Operations(commit),
              ElementsAre("1 R1 value", "1 R2 headtail", "1 R3 ", "2 L1 ", "3 R1 ", "4 R S"));
}

// A commit may one day stand in a journal: these bytes do not change.
TEST(Commit, HasTheBytesItAlwaysHad) {
  Commit commit;
  commit.Put("R1", "a", "b");
  commit.Delete("L1");
  commit.SingleDelete("R1");
  commit.DeleteRange("R", "S");
  EXPECT_EQ(commit.disk_rep(), std::string("\1\2R1\2ab"
                                           "\2\2L1"
                                           "\3\2R1"
                                           "\4\1R\1S"));
}

TEST(Commit, HasAPartForEachStore) {
  const QueueId on_disk(1);
  const QueueId in_memory(kMemoryQueueBit | 2);
  const ReadyPosition first{1, Seq(1)};
  Commit commit;
  commit.Put(ReadyKey(in_memory, first), "in memory");
  commit.Put(ReadyKey(on_disk, first), "on disk");
  commit.Delete(LedgerKey(in_memory));
  commit.SingleDelete(ExpiryKey({InstantFromMicros(1), in_memory, Seq(1)}));
  commit.DeleteRange(ReadyKey(in_memory, first), ReadyKey(in_memory, {2, Seq(1)}));
  commit.Put(MemoryProducerKey(ProducerId(5)), "");
  commit.Put(ProducerKey(ProducerId(5)), "");
  commit.Put(QueueKey("name"), "");
  EXPECT_EQ(commit.count(), 8u);
  const size_t bytes = commit.bytes();
  const size_t memory_bytes = commit.memory_bytes();

  const Commit memory = commit.TakeMemory();
  EXPECT_EQ(memory.count(), 5u);
  EXPECT_EQ(Operations(memory)[0], fmt::format("1 {} in memory", ReadyKey(in_memory, first)));
  EXPECT_EQ(commit.count(), 3u);
  EXPECT_EQ(Operations(commit)[0], fmt::format("1 {} on disk", ReadyKey(on_disk, first)));
  EXPECT_EQ(commit.bytes() + memory.bytes(), bytes);
  EXPECT_EQ(commit.disk_bytes(), commit.bytes());
  EXPECT_EQ(memory.memory_bytes(), memory_bytes);
  EXPECT_GE(memory_bytes, memory.bytes());
  EXPECT_EQ(commit.memory_bytes(), 0u);
  EXPECT_TRUE(commit.TakeMemory().empty());
}

TEST(Commit, HasALocatorWhereTheRowIsThatItNames) {
  const QueueId on_disk(1);
  const QueueId in_memory(kMemoryQueueBit | 2);
  const std::string key = LocatorKey(Seq(7));
  const std::string row = ParkedKey(on_disk, Seq(9));
  Commit commit;  // the message moves from memory to disk
  commit.DeleteLocator(key, in_memory);
  commit.PutLocator(key, row);
  EXPECT_THAT(Operations(commit.TakeMemory()), ElementsAre(fmt::format("2 {} ", key)));
  EXPECT_THAT(Operations(commit), ElementsAre(fmt::format("1 {} {}", key, EncodeLocator(row))));
}

TEST(Commit, HoldsLargeValues) {
  const std::string value(3u << 20, '\xff');
  Commit commit;
  commit.Put("R1", value);
  commit.Put("R2", "next");
  std::vector<size_t> sizes;
  commit.ForEach([&sizes](const Commit::Op& op) { sizes.push_back(op.value.size()); });
  EXPECT_THAT(sizes, ElementsAre(value.size(), 4u));
}

TEST(Keys, SortAsTheirNumbersDo) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("BATON_SEED={}", seed));
  std::mt19937_64 random(seed);
  // Small and large numbers, and the same ones often.
  const auto number = [&random] { return random() >> (random() % 8 * 8) & ~uint64_t{0} >> 1; };
  const auto sign = [](auto order) { return order < 0 ? -1 : order > 0 ? 1 : 0; };
  for (int i = 0; i < 20'000; ++i) {
    const QueueId q1(static_cast<uint32_t>(number() >> 32)),
        q2(random() % 2 ? q1.value() : static_cast<uint32_t>(number()));
    const ReadyPosition r1{number(), Seq(number())}, r2{random() % 2 ? r1.rank : number(), Seq(number())};
    EXPECT_EQ(sign(ReadyKey(q1, r1).compare(ReadyKey(q2, r2))), sign(std::tie(q1, r1) <=> std::tie(q2, r2)));
    const DelayedPosition d1{InstantFromMicros(static_cast<int64_t>(number())), r1.seq};
    const DelayedPosition d2{random() % 2 ? d1.due : InstantFromMicros(static_cast<int64_t>(number())),
                             r2.seq};
    EXPECT_EQ(sign(DelayedKey(q1, d1).compare(DelayedKey(q2, d2))),
              sign(std::tie(q1, d1) <=> std::tie(q2, d2)));
    const ExpiryPosition x1{d1.due, q1, r1.seq}, x2{d2.due, q2, r2.seq};
    EXPECT_EQ(sign(ExpiryKey(x1).compare(ExpiryKey(x2))), sign(x1 <=> x2));
    EXPECT_EQ(sign(ParkedKey(q1, r1.seq).compare(ParkedKey(q2, r2.seq))),
              sign(std::tie(q1, r1.seq) <=> std::tie(q2, r2.seq)));
  }
}

TEST(Keys, GiveBackTheirParts) {
  const ReadyPosition position{RankOfPriority(7), MakeSeq(Epoch(3), 9)};
  const auto ready = ParseReadyKey(ReadyKey(QueueId(5), position));
  ASSERT_TRUE(ready.has_value());
  EXPECT_EQ(ready->queue, QueueId(5));
  EXPECT_EQ(ready->position, position);
  EXPECT_EQ(PriorityOfRank(ready->position.rank), 7u);
  const DelayedPosition due{InstantFromMicros(123), position.seq};
  EXPECT_EQ(ParseDelayedKey(DelayedKey(QueueId(5), due))->position, due);
  const ExpiryPosition expiry{due.due, QueueId(5), position.seq};
  EXPECT_EQ(ParseExpiryKey(ExpiryKey(expiry)), expiry);
  EXPECT_EQ(ParseParkedKey(ParkedKey(QueueId(5), position.seq))->seq, position.seq);
}

TEST(Keys, OfAnotherKindOrLengthAreNotTaken) {
  const std::string key = ReadyKey(QueueId(5), {1, Seq(2)});
  EXPECT_FALSE(ParseReadyKey("").has_value());
  EXPECT_FALSE(ParseReadyKey(key + "x").has_value());
  EXPECT_FALSE(ParseReadyKey(key.substr(0, key.size() - 1)).has_value());
  EXPECT_FALSE(ParseDelayedKey(key).has_value());
  EXPECT_FALSE(ParseReadyKey(DelayedKey(QueueId(5), {InstantFromMicros(1), Seq(2)})).has_value());
}

TEST(Keys, RangesHoldTheirKindAndQueueOnly) {
  const KeyRange range = AllOf(RowKind::kReady, QueueId(5));
  const auto holds = [&range](const std::string& key) { return key >= range.begin && key < range.end; };
  EXPECT_TRUE(holds(ReadyKey(QueueId(5), {0, Seq(0)})));
  EXPECT_TRUE(holds(ReadyKey(QueueId(5), {~uint64_t{0}, Seq(~uint64_t{0})})));
  EXPECT_FALSE(holds(ReadyKey(QueueId(4), {~uint64_t{0}, Seq(~uint64_t{0})})));
  EXPECT_FALSE(holds(ReadyKey(QueueId(6), {0, Seq(0)})));
  EXPECT_FALSE(holds(ParkedKey(QueueId(5), Seq(1))));
}

TEST(WriteMark, IsReadBackFromItsRowAndFromTheHeadOfABatch) {
  const WriteMark mark{.secret = 0x0123456789abcdef, .number = 42, .synced = 41};
  const std::string value = EncodeWriteMark(mark);
  EXPECT_EQ(DecodeWriteMark(value), mark);
  EXPECT_EQ(DecodeWriteMark(value + "x"), std::nullopt);
  EXPECT_EQ(DecodeWriteMark(value.substr(1)), std::nullopt);

  const std::string batch = std::string(12, 's') + "\1\6Mwrite\x18" + value;
  EXPECT_EQ(batch.size(), kBatchHeadBytes);
  EXPECT_EQ(MarkOfBatch(batch + "more operations"), mark);
  EXPECT_EQ(MarkOfBatch(batch.substr(0, batch.size() - 1)), std::nullopt);
  EXPECT_EQ(MarkOfBatch(std::string(12, 's') + "\1\6Mother\x18" + value), std::nullopt);
  EXPECT_EQ(MarkOfBatch(""), std::nullopt);
}

}  // namespace
}  // namespace baton
