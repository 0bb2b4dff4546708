// Birth buckets against a set that remembers every birth.
#include "storage/format/birth_buckets.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/support/random_seed.h"

namespace baton {
namespace {

using namespace std::chrono_literals;

// Both, and how far off the oldest age was at its worst.
class Births {
 public:
  explicit Births(uint64_t seed) : random_(seed) {}

  void Add(Instant born) {
    buckets_.Add(born);
    exact_.insert(born);
  }
  void RemoveOldest() { Remove(exact_.begin()); }
  void RemoveAny() {
    auto at = exact_.begin();
    std::advance(at, Below(exact_.size()));
    Remove(at);
  }
  void Check() {
    EXPECT_EQ(buckets_.empty(), exact_.empty());
    if (exact_.empty()) return;
    ASSERT_LE(buckets_.Oldest(), *exact_.begin());
    const auto age = static_cast<double>((now - *exact_.begin()).count());
    const auto told = static_cast<double>((now - buckets_.Oldest()).count());
    if (age <= 1e6) return;
    worst = std::max(worst, told / age - 1);
    sum_ += told / age - 1;
    ++checks_;
  }
  void StoreAndLoad() {
    Store();
    BirthBuckets row;
    if (!row_.empty()) row = BirthBuckets::FromRow(row_).value();
    BirthBuckets loaded;
    ByteReader reader(ledger_);
    ASSERT_TRUE(loaded.ReadFrom(reader, row) && reader.AtEnd());
    ASSERT_EQ(loaded, buckets_);
    buckets_ = loaded;
  }
  // As a commit does. How many bytes it takes.
  size_t Store() {
    const auto row = buckets_.TakeRow();
    if (row.has_value()) row_ = *row;
    ledger_.clear();
    buckets_.AppendTo(ledger_);
    return ledger_.size() + (row.has_value() ? row->size() : 0);
  }
  bool has_row() const { return !row_.empty(); }
  size_t size() const { return exact_.size(); }
  double mean() const { return sum_ / static_cast<double>(checks_); }  // of the errors
  uint64_t Below(uint64_t bound) { return random_() % bound; }

  Instant now = InstantFromMicros(1'700'000'000'000'000);
  double worst = 0;

 private:
  void Remove(std::multiset<Instant>::iterator at) {
    EXPECT_TRUE(buckets_.Take(*at));
    exact_.erase(at);
  }

  std::mt19937_64 random_;
  double sum_ = 0;
  uint64_t checks_ = 0;
  BirthBuckets buckets_;
  std::multiset<Instant> exact_;
  std::string row_;
  std::string ledger_;
};

TEST(BirthBuckets, OfAFewMessagesAreExact) {
  BirthBuckets buckets;
  EXPECT_EQ(buckets.Oldest(), kNever);
  const Instant first = InstantFromMicros(1'700'000'000'000'000);
  for (int i = 0; i < 20; ++i) buckets.Add(first + i * 1s);

  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(buckets.Oldest(), first + i * 1s);
    EXPECT_TRUE(buckets.Take(first + i * 1s));
  }
  EXPECT_TRUE(buckets.empty());
}

TEST(BirthBuckets, OfASteadyQueueTellItsAgeWithinAnEighth) {
  Births births(RandomSeed());
  for (int i = 0; i < 100'000; ++i) {
    births.now += 10ms;
    births.Add(births.now);
    if (births.size() > 20'000) births.RemoveOldest();
    births.Check();
  }
  EXPECT_LT(births.worst, 0.15);
}

TEST(BirthBuckets, OfABacklogThatIsDrainedTellItsAgeWithinATenthAndNeverTwiceIt) {
  Births births(RandomSeed());
  for (int i = 0; i < 50'000; ++i) {
    births.now += Duration(10'000 + births.Below(10'000));
    births.Add(births.now);
  }
  while (births.size() > 0) {
    births.now += 1ms;
    births.RemoveOldest();
    births.Check();
  }
  // Now and then a merger is unlucky with the few messages that are left.
  EXPECT_LT(births.mean(), 0.1);
  EXPECT_LT(births.worst, 1.0);
}

TEST(BirthBuckets, OfADeadLetterQueueAreNotMisledByWhatHasLeft) {
  // Messages come with births of up to an hour ago, the oldest ones leave.
  Births births(RandomSeed());
  for (int i = 0; i < 50'000; ++i) {
    births.now += Duration(births.Below(50'000));
    births.Add(births.Below(10) == 0 ? births.now - Duration(births.Below(3'600'000'000)) : births.now);
    if (births.size() > 3'000) births.RemoveOldest();
    births.Check();
  }
  // Ages of up to an hour are told apart by 64 buckets only: never too small, and not twice the truth.
  EXPECT_LT(births.worst, 1.0);
}

TEST(BirthBuckets, FindEveryBirthAgainWhateverHappens) {
  Births births(RandomSeed());
  for (int i = 0; i < 100'000; ++i) {
    switch (births.Below(8)) {
      case 0:
        births.now += Duration(births.Below(uint64_t{1} << births.Below(36)));
        break;
      case 1:
        births.Add(births.now - Duration(births.Below(uint64_t{1} << births.Below(40))));
        break;
      case 2:
        if (births.size() > 0) births.RemoveOldest();
        break;
      case 3:
        if (births.size() > 0 && births.size() < 2'000) births.RemoveAny();
        break;
      case 4:
        births.Below(4) == 0 ? births.StoreAndLoad() : static_cast<void>(births.Store());
        break;
      default:
        births.Add(births.now);
    }
    births.Check();
  }
  while (births.size() > 0) births.RemoveOldest();
  births.Check();
}

TEST(BirthBuckets, AreReadAgainAfterEveryChange) {
  Births births(RandomSeed());
  const auto step = [&births](int grows) {
    births.now += Duration(births.Below(300'000));
    if (births.Below(8) < static_cast<uint64_t>(grows)) {
      births.Add(births.now - Duration(births.Below(4) == 0 ? births.Below(10'000'000) : 0));
    } else if (births.size() > 0) {
      births.Below(2) == 0 ? births.RemoveOldest() : births.RemoveAny();
    }
    births.StoreAndLoad();
  };
  for (int i = 0; i < 2'000; ++i) step(6);
  for (int i = 0; i < 10'000; ++i) step(2);
  while (births.size() > 0) births.RemoveOldest();
  births.StoreAndLoad();
  EXPECT_FALSE(births.has_row());
}

TEST(BirthBuckets, CostACommitLittleHoweverManyThereAre) {
  Births births(RandomSeed());
  for (int i = 0; i < 100'000; ++i) births.Add(births.now += 10ms);
  size_t bytes = 0;
  constexpr int kCommits = 10'000;
  for (int i = 0; i < kCommits; ++i) {  // one comes, one goes
    births.Add(births.now += 10ms);
    births.RemoveOldest();
    bytes += births.Store();
  }
  EXPECT_LT(bytes / kCommits, 50u);
}

TEST(BirthBuckets, OfAFewNeedNoRow) {
  Births births(RandomSeed());
  for (int i = 0; i < 1'000; ++i) {
    births.Add(births.now += 50ms);
    if (births.size() > 5) births.RemoveOldest();
    births.Store();
    EXPECT_FALSE(births.has_row());
  }
}

std::string Numbers(std::initializer_list<uint64_t> numbers) {
  std::string bytes;
  for (const uint64_t number : numbers) AppendVarint(bytes, number);
  return bytes;
}

TEST(BirthBuckets, ThatMakeNoSenseAreRefused) {
  const auto reads = [](std::initializer_list<uint64_t> numbers) {
    const std::string bytes = Numbers(numbers);
    ByteReader reader(bytes);
    return BirthBuckets().ReadWhole(reader);
  };
  EXPECT_TRUE(reads({0}));
  EXPECT_TRUE(reads({2, 100, 5, 1, 6, 0, 1}));
  EXPECT_FALSE(reads({1, 100, 5}));              // cut short
  EXPECT_FALSE(reads({1, 100, 5, 0}));           // an empty bucket
  EXPECT_FALSE(reads({2, 100, 5, 1, 5, 0, 1}));  // starts in the one before
  EXPECT_FALSE(reads({BirthBuckets::kBucketsMax + 1}));
  EXPECT_FALSE(reads({1, UINT64_MAX, 0, 1}));  // after all time
  EXPECT_FALSE(reads({1, INT64_MAX, 1, 1}));
  EXPECT_FALSE(reads({2, INT64_MAX, 0, 1, 1, 0, 1}));
}

TEST(BirthBuckets, ThatDoNotFitTheirRowAreRefused) {
  const BirthBuckets row = BirthBuckets::FromRow(Numbers({100, 5, 1, 10, 5, 1, 10, 5, 1})).value();
  const auto reads = [&row](std::initializer_list<uint64_t> numbers) {
    const std::string bytes = Numbers(numbers);
    ByteReader reader(bytes);
    return BirthBuckets().ReadFrom(reader, row);
  };
  EXPECT_TRUE(reads({0, 0}));
  EXPECT_TRUE(reads({2, 1, 1, 100, 9, 1, 1, 10, 0, 1}));  // one before the last two, one behind them
  EXPECT_FALSE(reads({3, 1, 0, 0}));                      // more than there are
  EXPECT_FALSE(reads({1, 3, 0, 0}));
  EXPECT_FALSE(reads({1, UINT64_MAX, 0, 0}));
  EXPECT_FALSE(reads({UINT64_MAX, 1, 0, 0}));
  EXPECT_FALSE(reads({2, 1, 1, 100, 10, 1, 0}));  // the one before reaches into the first kept
  EXPECT_FALSE(reads({3, 0, 0, 1, 4, 0, 1}));     // the one behind starts in the last kept
  EXPECT_FALSE(BirthBuckets::FromRow("").has_value());
  EXPECT_FALSE(BirthBuckets::FromRow(Numbers({100, 5})).has_value());
}

TEST(BirthBuckets, TakeAFewHundredBytesHoweverManyMessages) {
  Births births(RandomSeed());
  for (int i = 0; i < 1'000'000; ++i) births.Add(births.now += 37ms);
  EXPECT_LT(births.Store(), 1'000u);
}

}  // namespace
}  // namespace baton
