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

constexpr OwnerId kOwner(1);
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
  producers.Accept(ProducerId(1), 1, false, kOwner, kStart);
  EXPECT_EQ(producers.dirty_memory_bytes(), 0u);
  producers.Accept(ProducerId(1), 2, true, kOwner, kStart);
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
      producers.Accept(producer, sequence, false, kOwner, kStart);
      accepted.insert(sequence);
      highest = std::max(highest, sequence);
    }
    ASSERT_EQ(producers.Highest(producer), highest);
    if (random() % 1'000 == 0) highest += random() % 3'000;  // skips ahead
    if (highest > producers.Highest(producer)) {
      producers.Accept(producer, highest, false, kOwner, kStart);
      accepted.insert(highest);
    }
    if (random() % 500 == 0) {  // another life
      Commit commit;
      producers.AppendTo(commit);
      rows = Apply(commit, rows);
      producers = Producers();
      for (const auto& [key, value] : rows) ASSERT_TRUE(producers.Load(key, value).ok());
      producers.Start();
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
    producers.Start();
    for (uint64_t behind = 0; behind < 1'010; ++behind) {
      EXPECT_EQ(producers.Check(ProducerId(7), highest - behind),
                record.accepted[behind] ? Verdict::kDuplicate : Verdict::kNew)
          << behind << " behind " << highest;
    }
    producers.Accept(ProducerId(7), highest - 5, false, kOwner, kStart);
    producers.Accept(ProducerId(7), highest + 2, false, kOwner, kStart);
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
  producers.Accept(ProducerId(1), 1, false, kOwner, kStart);
  producers.Accept(ProducerId(1), 2, false, kOwner, kStart);
  producers.Accept(ProducerId(2), 1, false, kOwner, kStart);
  EXPECT_TRUE(producers.dirty());

  Commit commit;
  producers.AppendTo(commit);

  EXPECT_EQ(commit.count(), 2u);
  EXPECT_FALSE(producers.dirty());
}

TEST(Producers, AreForgottenAfterTheirIdleTime) {
  Producers producers;
  producers.Accept(ProducerId(1), 1, false, kOwner, kStart);
  producers.Accept(ProducerId(2), 1, false, kOwner, kStart + 1h);
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
  producers.Accept(ProducerId(1), 1, false, kOwner, kStart);
  Commit commit;

  EXPECT_FALSE(producers.ForgetIdle(kStart + 2 * kProducerIdle, commit));

  EXPECT_EQ(producers.size(), 1u);
}

// ---- Too many of them.

bool Nobody(ProducerId) { return false; }

// Publishes once with each of first .. last, as clients do: the row is written before the next one comes.
void Use(Producers& producers, uint64_t first, uint64_t last, OwnerId owner, Instant at,
         const Producers::InUse& in_use = Nobody) {
  for (uint64_t id = first; id <= last; ++id) {
    Commit commit;
    if (producers.Check(ProducerId(id), 1) == Verdict::kTooMany) {
      ASSERT_TRUE(producers.MakeRoom(at, in_use, commit)) << id;
    }
    const uint64_t sequence = producers.Highest(ProducerId(id)) + 1;
    ASSERT_EQ(producers.Check(ProducerId(id), sequence), Verdict::kNew) << id;
    producers.Accept(ProducerId(id), sequence, false, owner, at);
    producers.AppendTo(commit);
  }
}

bool Knows(const Producers& producers, uint64_t id) { return producers.Highest(ProducerId(id)) > 0; }

TEST(Producers, AreLimitedInNumber) {
  Producers producers;
  Use(producers, 1, kProducersMax, kOwner, kStart);

  EXPECT_EQ(producers.Check(ProducerId(kProducersMax + 1), 1), Verdict::kTooMany);
  EXPECT_EQ(producers.Check(ProducerId(1), 2), Verdict::kNew);
}

TEST(Producers, AreLimitedInBytes) {
  Producers producers(1u << 20);
  uint64_t id = 1;
  while (producers.Check(ProducerId(id), 1) == Verdict::kNew) Use(producers, id, id, kOwner, kStart), ++id;
  EXPECT_LE(producers.bytes(), 1u << 20);
  EXPECT_GT(producers.size(), 2'000u);
  const size_t bytes = producers.bytes();
  Commit commit;
  EXPECT_TRUE(producers.MakeRoom(kStart, Nobody, commit));
  EXPECT_LT(producers.bytes(), bytes);
}

TEST(Producers, AtTheLimitTheLongestIdleGoesUnlessInUse) {
  Producers producers(1u << 20);
  Use(producers, 1, 10'000, kOwner, kStart, [](ProducerId id) { return id == ProducerId(1); });

  EXPECT_TRUE(Knows(producers, 1));
  EXPECT_FALSE(Knows(producers, 2));
  EXPECT_TRUE(Knows(producers, 10'000));
  EXPECT_EQ(producers.pushed_out(), 10'000 - producers.size());
}

TEST(Producers, WithoutEndPushOutTheirOwn) {
  Producers producers(1u << 20);
  const OwnerId honest = OwnerOf("ipv4:10.0.0.7:4711");
  const OwnerId stranger = OwnerOf("ipv4:10.0.0.8:4711");
  Use(producers, 1, 100, honest, kStart);
  Use(producers, 1'000, 50'000, stranger, kStart + 1s);
  for (uint64_t id = 1; id <= 100; ++id) EXPECT_TRUE(Knows(producers, id));

  Use(producers, 101, 200, honest, kStart + 2s);  // new ones are let in

  Use(producers, 50'001, 100'000, stranger, kStart + 3s);
  for (uint64_t id = 1; id <= 200; ++id) EXPECT_TRUE(Knows(producers, id));
}

TEST(Producers, ThatWereUsedForAMomentGoBeforeThoseThatAreKnown) {
  Producers producers(1u << 20);
  Use(producers, 1, 100, kOwner, kStart);
  Use(producers, 1, 100, kOwner, kStart + kProducerKnownAfter);
  Use(producers, 1'000, 50'000, kOwner, kStart + kProducerKnownAfter + 1s);
  for (uint64_t id = 1; id <= 100; ++id) EXPECT_TRUE(Knows(producers, id));
}

TEST(Producers, AreNotLookedThroughAgainAndAgainWhenAllAreInUse) {
  Producers producers(1u << 20);
  Use(producers, 1, 100, kOwner, kStart);
  int looks = 0;
  const auto in_use = [&looks](ProducerId) { return ++looks > 0; };
  Commit commit;
  for (int i = 0; i < 1'000; ++i) EXPECT_FALSE(producers.MakeRoom(kStart, in_use, commit));
  EXPECT_EQ(looks, 100);
  EXPECT_TRUE(producers.MakeRoom(kStart + 1s, Nobody, commit));
}

TEST(Producers, BelongToTheHostOrUserThatUsesThem) {
  EXPECT_EQ(OwnerOf("ipv4:10.0.0.7:4711"), OwnerOf("ipv4:10.0.0.7:4712"));
  EXPECT_NE(OwnerOf("ipv4:10.0.0.7:4711"), OwnerOf("ipv4:10.0.0.8:4711"));
  EXPECT_EQ(OwnerOf("ipv6:[::1]:1"), OwnerOf("ipv6:[::1]:2"));
  EXPECT_EQ(OwnerOf("unix:pid=7,uid=1000"), OwnerOf("unix:pid=8,uid=1000"));
  EXPECT_NE(OwnerOf("unix:pid=7,uid=1000"), OwnerOf("unix:pid=7,uid=1001"));
}

TEST(Producers, RowsThatMakeNoSenseAreRefused) {
  Producers producers;
  producers.Accept(ProducerId(1), 1, false, kOwner, kStart);
  Commit commit;
  producers.AppendTo(commit);
  const auto [key, value] = *Apply(commit).begin();

  EXPECT_EQ(producers.Load(key.substr(1), value).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(producers.Load(key, value.substr(1)).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace baton
