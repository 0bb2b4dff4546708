// What was accepted of each producer, against a set that remembers everything.
#include "server/engine/producers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "tests/support/random_seed.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using Verdict = Producers::Verdict;

const Instant kStart = InstantFromMicros(1'700'000'000'000'000);

// The rows that a store would hold.
std::map<std::string, std::string> Apply(const Commit& commit, std::map<std::string, std::string> rows = {}) {
  commit.ForEach([&rows](const Commit::Op& op) {
    if (op.kind == Commit::Kind::kPut) {
      rows[std::string(op.key)] = op.value;
    } else {
      EXPECT_EQ(op.kind, Commit::Kind::kDelete);
      rows.erase(std::string(op.key));
    }
  });
  return rows;
}

TEST(Producers, TakeSharedMemoryOnlyForWhatMemoryQueuesAccepted) {
  Producers producers;
  producers.Accept(ProducerId(1), 1, false, kStart);
  EXPECT_EQ(producers.dirty_memory_bytes(), 0u);
  producers.Accept(ProducerId(1), 2, true, kStart);
  EXPECT_EQ(producers.dirty_memory_bytes(), kProducerBytesMax);
  Commit commit;
  producers.AppendTo(commit);
  EXPECT_EQ(producers.dirty_memory_bytes(), 0u);
}

TEST(Producers, AgreeWithASetOfEverything) {
  std::mt19937_64 random(RandomSeed());
  Producers producers;
  std::map<std::string, std::string> rows;
  std::set<uint64_t> accepted;
  const ProducerId producer(7);
  uint64_t highest = 0;
  for (int i = 0; i < 50'000; ++i) {
    const uint64_t reach = uint64_t{1} << random() % 12;
    const uint64_t center = highest + random() % 3;
    const uint64_t sequence =
        std::max<uint64_t>(1, center + random() % 3 - std::min(center, random() % reach));
    const Verdict verdict = producers.Check(producer, sequence);
    if (highest >= sequence && highest - sequence >= kProducerWindow) {
      ASSERT_EQ(verdict, Verdict::kTooOld) << sequence << " of " << highest;
    } else if (accepted.contains(sequence)) {
      ASSERT_EQ(verdict, Verdict::kDuplicate) << sequence << " of " << highest;
    } else {
      ASSERT_EQ(verdict, Verdict::kNew) << sequence << " of " << highest;
      producers.Accept(producer, sequence, false, kStart);
      accepted.insert(sequence);
      highest = std::max(highest, sequence);
    }
    ASSERT_EQ(producers.Highest(producer), highest);
    if (random() % 1'000 == 0) highest += random() % 3'000;  // skips ahead
    if (highest > producers.Highest(producer)) {
      producers.Accept(producer, highest, false, kStart);
      accepted.insert(highest);
    }
    if (random() % 500 == 0) {  // another life
      Commit commit;
      producers.AppendTo(commit);
      rows = Apply(commit, rows);
      producers = Producers();
      for (const auto& [key, value] : rows) ASSERT_TRUE(producers.Load(key, value).ok());
    }
  }
}

// Bit i of a row is about the i-th sequence below the highest, whatever form it has in memory.
TEST(Producers, ReadAndWriteRowsAsTheFormatSays) {
  const std::string key = ProducerKey(ProducerId(7));
  for (const uint64_t highest : {uint64_t{1'500}, uint64_t{2 * kProducerWindow}, uint64_t{1'023}}) {
    ProducerRecord record{.highest = highest, .last_use = kStart, .accepted = {}};
    for (const size_t behind : {0, 3, 1'000}) record.accepted[behind] = true;
    Producers producers;
    ASSERT_TRUE(producers.Load(key, EncodeProducer(record)).ok());
    for (uint64_t behind = 0; behind < 1'010; ++behind) {
      EXPECT_EQ(producers.Check(ProducerId(7), highest - behind),
                record.accepted[behind] ? Verdict::kDuplicate : Verdict::kNew)
          << behind << " behind " << highest;
    }
    producers.Accept(ProducerId(7), highest - 5, false, kStart);
    producers.Accept(ProducerId(7), highest + 2, false, kStart);
    Commit commit;
    producers.AppendTo(commit);
    ProducerRecord expected{.highest = highest + 2, .last_use = kStart, .accepted = {}};
    for (const size_t behind : {0, 2, 5, 7, 1'002}) expected.accepted[behind] = true;
    EXPECT_EQ(DecodeProducer(Apply(commit).at(key)), expected);
  }
}

TEST(Producers, AreWrittenWhenTheyChangedAndOnce) {
  Producers producers;
  EXPECT_FALSE(producers.dirty());
  producers.Accept(ProducerId(1), 1, false, kStart);
  producers.Accept(ProducerId(1), 2, false, kStart);
  producers.Accept(ProducerId(2), 1, false, kStart);
  EXPECT_TRUE(producers.dirty());

  Commit commit;
  producers.AppendTo(commit);

  EXPECT_EQ(commit.count(), 2u);
  EXPECT_FALSE(producers.dirty());
}

TEST(Producers, AreForgottenAfterTheirIdleTime) {
  Producers producers;
  producers.Accept(ProducerId(1), 1, false, kStart);
  producers.Accept(ProducerId(2), 1, false, kStart + 1h);
  Commit written;
  producers.AppendTo(written);
  const auto rows = Apply(written);
  ASSERT_EQ(rows.size(), 2u);

  Commit nothing;
  EXPECT_FALSE(producers.ForgetIdle(kStart + kProducerIdle - 1us, nothing));
  EXPECT_TRUE(nothing.empty());
  Commit commit;
  EXPECT_TRUE(producers.ForgetIdle(kStart + kProducerIdle, commit));

  EXPECT_EQ(producers.size(), 1u);
  EXPECT_EQ(Apply(commit, rows).size(), 1u);
  EXPECT_EQ(producers.Check(ProducerId(1), 1), Verdict::kNew);
  EXPECT_EQ(producers.Check(ProducerId(2), 1), Verdict::kDuplicate);
}

TEST(Producers, WithAChangeNotYetWrittenAreNotForgotten) {
  Producers producers;
  producers.Accept(ProducerId(1), 1, false, kStart);
  Commit commit;

  EXPECT_FALSE(producers.ForgetIdle(kStart + 2 * kProducerIdle, commit));

  EXPECT_EQ(producers.size(), 1u);
}

TEST(Producers, AreLimitedInNumber) {
  Producers producers;
  for (uint64_t id = 1; id <= kProducersMax; ++id) producers.Accept(ProducerId(id), 1, false, kStart);

  EXPECT_EQ(producers.Check(ProducerId(kProducersMax + 1), 1), Verdict::kTooMany);
  EXPECT_EQ(producers.Check(ProducerId(1), 2), Verdict::kNew);
}

TEST(Producers, AtTheLimitTheLongestIdleMakeRoomUnlessInUse) {
  Producers producers;
  for (uint64_t id = 1; id <= kProducersMax; ++id)
    producers.Accept(ProducerId(id), 1, false, kStart + std::chrono::microseconds(id));
  Commit written;
  producers.AppendTo(written);
  const auto in_use = [](ProducerId id) { return id == ProducerId(1); };

  Commit nothing;
  EXPECT_FALSE(producers.MakeRoom(kStart + kProducerIdleMin, in_use, nothing));
  EXPECT_TRUE(nothing.empty());
  Commit commit;
  EXPECT_FALSE(producers.MakeRoom(kStart + kProducerIdleMin + 500ms, in_use, commit))
      << "looks again too soon";
  EXPECT_TRUE(producers.MakeRoom(kStart + kProducerIdleMin + 1s, in_use, commit));

  const size_t forgotten = kProducersMax - producers.size();
  EXPECT_GT(forgotten, 0u);
  EXPECT_EQ(commit.count(), forgotten);
  EXPECT_EQ(producers.Check(ProducerId(1), 1), Verdict::kDuplicate);
  EXPECT_EQ(producers.Check(ProducerId(2), 1), Verdict::kNew);
  EXPECT_EQ(producers.Check(ProducerId(kProducersMax), 1), Verdict::kDuplicate);
  EXPECT_EQ(producers.Check(ProducerId(kProducersMax + 1), 1), Verdict::kNew);
}

TEST(Producers, RowsThatMakeNoSenseAreRefused) {
  Producers producers;
  producers.Accept(ProducerId(1), 1, false, kStart);
  Commit commit;
  producers.AppendTo(commit);
  const auto [key, value] = *Apply(commit).begin();

  EXPECT_EQ(producers.Load(key.substr(1), value).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(producers.Load(key, value.substr(1)).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace baton
