// The head window against a model: the rows on disk, those that are leased, and a boundary.
#include "server/engine/head_window.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "storage/format/keys.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

using Window = HeadWindow<ReadyPosition, int>;

ReadyPosition At(uint64_t number) { return {.rank = number / 4, .seq = Seq(number % 4)}; }

TEST(HeadWindow, BeginsWithEverythingResident) {
  Window window(kReadyEnd);
  EXPECT_TRUE(window.all_resident());
  EXPECT_TRUE(window.Covers(At(1'000)));
}

TEST(HeadWindow, TakesAReadUpToItsLastRow) {
  Window window(kReadyEnd);
  window.StartAt(At(0));
  const uint64_t flight = window.BeginRead();
  EXPECT_TRUE(window.InFlight(flight));

  const auto taken = window.FinishRead({At(3), At(5)}, /*end_reached=*/false, [](auto&) { return false; });

  EXPECT_EQ(taken, (std::vector<size_t>{0, 1}));
  EXPECT_EQ(window.boundary(), Successor(At(5)));
  EXPECT_FALSE(window.reading());
}

TEST(HeadWindow, HasEverythingAfterAReadThatReachedTheEnd) {
  Window window(kReadyEnd);
  window.StartAt(At(0));
  window.BeginRead();
  window.FinishRead({At(3)}, /*end_reached=*/true, [](auto&) { return false; });
  EXPECT_TRUE(window.all_resident());
}

TEST(HeadWindow, BelievesAReadOnlyUpToTheFirstKeyPutSince) {
  Window window(kReadyEnd);
  window.StartAt(At(0));
  window.BeginRead();
  window.NotePut(At(8));
  window.NotePut(At(4));

  const auto taken =
      window.FinishRead({At(3), At(5), At(9)}, /*end_reached=*/true, [](auto&) { return false; });

  EXPECT_EQ(taken, (std::vector<size_t>{0}));
  EXPECT_EQ(window.boundary(), At(4));
}

TEST(HeadWindow, LeavesOutWhatWasRemovedSinceAndWhatIsElsewhere) {
  Window window(kReadyEnd);
  window.StartAt(At(0));
  window.BeginRead();
  window.NoteRemoved(At(3));

  const auto taken = window.FinishRead({At(3), At(5), At(9)}, /*end_reached=*/false,
                                       [](const ReadyPosition& key) { return key == At(5); });

  EXPECT_EQ(taken, (std::vector<size_t>{2}));
}

TEST(HeadWindow, ForgetsAReadWhenTheBoundaryComesDown) {
  Window window(kReadyEnd);
  window.Insert(At(1), 0);
  const uint64_t flight = window.BeginRead();
  window.LowerBoundary(At(2));

  EXPECT_FALSE(window.InFlight(flight));
  EXPECT_FALSE(window.reading());
  EXPECT_NE(window.BeginRead(), flight);
}

// Random moves of a queue. After each one the window must hold exactly the rows below its boundary that are
// not leased.
class WindowGame {
 public:
  explicit WindowGame(uint64_t seed) : random_(seed) {}

  void Play(int moves) {
    for (int i = 0; i < moves; ++i) {
      Move();
      ASSERT_NO_FATAL_FAILURE(Check());
    }
  }
  int reads() const { return reads_; }
  int voided() const { return voided_; }

 private:
  void Move() {
    switch (Below(10)) {
      case 0:
      case 1:
        return Publish();
      case 2:
        return Remove();
      case 3:
        return Lease();
      case 4:
        return Release();
      case 5:
        return Evict();
      case 6:
        return Start();
      case 7:
        return Look();
      case 8:
        return Finish();
      default:
        if (Below(200) == 0) Restart();
    }
  }

  void Publish() {
    const ReadyPosition key = At(Below(200));
    if (!disk_.insert(key).second) return;
    if (window_.Covers(key)) {
      window_.Insert(key, 0);
    } else {
      window_.NotePut(key);
    }
  }
  void Remove() {
    if (disk_.empty()) return;
    const ReadyPosition key = Any(disk_);
    disk_.erase(key);
    leased_.erase(key);
    window_.Erase(key);
    window_.NoteRemoved(key);
  }
  void Lease() {
    if (window_.empty()) return;
    const ReadyPosition key = window_.begin()->first;
    window_.Erase(window_.begin());
    leased_.insert(key);
  }
  void Release() {
    if (leased_.empty()) return;
    const ReadyPosition key = Any(leased_);
    leased_.erase(key);
    if (window_.Covers(key)) {
      window_.Insert(key, 0);
    } else {
      window_.NotePut(key);
    }
  }
  void Evict() {
    if (window_.size() < 2) return;
    ReadyPosition boundary;
    for (size_t keep = Below(window_.size()); window_.size() > keep;) {
      const auto last = std::prev(window_.end());
      boundary = last->first;
      window_.Erase(last);
    }
    if (window_.reading()) ++voided_;
    window_.LowerBoundary(boundary);
  }
  void Start() {
    if (window_.reading() || window_.all_resident()) return;
    flight_ = window_.BeginRead();
    from_ = window_.boundary();
    seen_.reset();
  }
  // The read looks at the disk, at any moment between its start and its end.
  void Look() {
    if (!window_.InFlight(flight_) || seen_.has_value()) return;
    seen_.emplace();
    const size_t rows_max = 1 + Below(6);
    for (auto at = disk_.lower_bound(from_);; ++at) {
      if (at == disk_.end()) {
        end_reached_ = true;
        return;
      }
      if (seen_->size() == rows_max) break;
      seen_->push_back(*at);
    }
    end_reached_ = false;
  }
  void Finish() {
    if (!window_.InFlight(flight_) || !seen_.has_value()) return;
    const std::vector<ReadyPosition> keys = *std::move(seen_);
    seen_.reset();
    for (const size_t index : window_.FinishRead(
             keys, end_reached_, [this](const ReadyPosition& key) { return leased_.contains(key); }))
      window_.Insert(keys[index], 0);
    ++reads_;
  }
  void Restart() {
    leased_.clear();
    while (!window_.empty()) window_.Erase(window_.begin());
    window_.StartAt(disk_.empty() ? kReadyEnd : *disk_.begin());
    seen_.reset();
  }

  void Check() {
    std::vector<ReadyPosition> expected;
    for (const ReadyPosition& key : disk_) {
      if (key < window_.boundary() && !leased_.contains(key)) expected.push_back(key);
    }
    std::vector<ReadyPosition> resident;
    for (const auto& [key, entry] : window_) resident.push_back(key);
    ASSERT_EQ(resident, expected);
  }

  uint64_t Below(uint64_t bound) { return random_() % bound; }
  ReadyPosition Any(const std::set<ReadyPosition>& keys) {
    auto at = keys.begin();
    std::advance(at, Below(keys.size()));
    return *at;
  }

  std::mt19937_64 random_;
  Window window_{kReadyEnd};
  std::set<ReadyPosition> disk_;
  std::set<ReadyPosition> leased_;
  uint64_t flight_ = 0;
  ReadyPosition from_;
  std::optional<std::vector<ReadyPosition>> seen_;
  bool end_reached_ = false;
  int reads_ = 0;
  int voided_ = 0;
};

TEST(HeadWindow, HoldsExactlyTheRowsBelowItsBoundaryWhateverHappens) {
  const uint64_t seed = RandomSeed();
  int reads = 0;
  int voided = 0;
  for (uint64_t game = 0; game < 50; ++game) {
    SCOPED_TRACE(seed + game);
    WindowGame play(seed + game);
    play.Play(2'000);
    if (testing::Test::HasFatalFailure()) return;
    reads += play.reads();
    voided += play.voided();
  }
  EXPECT_GT(reads, 1'000);
  EXPECT_GT(voided, 100);
}

}  // namespace
}  // namespace baton
