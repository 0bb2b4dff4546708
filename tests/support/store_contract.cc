#include "tests/support/store_contract.h"

#include <fmt/format.h>
#include <tuple>

#include <algorithm>
#include <random>
#include <utility>

#include "base/limits.h"
#include "gmock/gmock.h"
#include "tests/support/random_seed.h"

namespace baton {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

StoreContract::StoreContract() : harness_(GetParam()()), store_(harness_->Open()) { Start(); }

StoreContract::~StoreContract() { Close(); }

void StoreContract::Start() {
  listener_ = std::make_unique<RecordingListener>([this] { return harness_->LetItWork(); });
  last_commit_ = CommitNumber(0);
  store_->Start(listener_.get());
}

void StoreContract::Close() {
  store_->Stop();
  EXPECT_EQ(listener_->complaint(), "");
  store_.reset();
}

void StoreContract::Reopen() {
  Close();
  store_ = harness_->Open();
  Start();
}

absl::Status StoreContract::ScanAfterReopening(const std::string& begin, const std::string& end,
                                               const Visitor& visit) {
  Close();
  store_ = harness_->Open();
  absl::Status status = store_->ScanNow(begin, end, visit);
  Start();
  return status;
}

CommitNumber StoreContract::Submit(Commit commit, Promise promise) {
  last_commit_ = CommitNumber(last_commit_.value() + 1);
  std::ignore = store_->Submit(last_commit_, std::move(commit), promise);
  return last_commit_;
}

ReadResult StoreContract::Read(ReadRequest request) {
  request.id = ReadId(++last_read_);
  const ReadId id = request.id;
  store_->Read(std::move(request));
  return listener_->WaitForRead(id);
}

std::map<std::string, std::string> StoreContract::Rows(const std::string& begin, const std::string& end) {
  ReadResult result = Read({.begin = begin, .end = end, .rows_max = 1'000'000, .bytes_max = size_t{1} << 40});
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_TRUE(result.end_reached);
  std::map<std::string, std::string> rows;
  for (Row& row : result.rows) rows.emplace(std::move(row.key), std::move(row.value).value());
  return rows;
}

std::map<std::string, std::string> StoreContract::AllRows() {
  std::map<std::string, std::string> rows = Rows("A", "M");
  rows.merge(Rows("N", "Z"));
  return rows;
}

namespace {

Commit Puts(const std::vector<std::pair<std::string, std::string>>& rows) {
  Commit commit;
  for (const auto& [key, value] : rows) commit.Put(key, value);
  return commit;
}

std::vector<std::string> KeysOf(const ReadResult& result) {
  std::vector<std::string> keys;
  for (const Row& row : result.rows) keys.push_back(row.key);
  return keys;
}

TEST_P(StoreContract, IsEmptyAtFirst) { EXPECT_THAT(AllRows(), IsEmpty()); }

TEST_P(StoreContract, WritesAllOperationsOfACommit) {
  Submit(Puts({{"R1", "a"}, {"R2", "b"}, {"L1", "x"}, {"L2", "y"}}));
  Commit commit;
  commit.SingleDelete("R1");
  commit.Put("R3", "head", "tail");
  commit.Delete("L1");
  commit.Put("L2", "z");
  Submit(std::move(commit));

  EXPECT_THAT(AllRows(), ElementsAre(Pair("L2", "z"), Pair("R2", "b"), Pair("R3", "headtail")));
}

TEST_P(StoreContract, DeletesARangeButNotItsEnd) {
  Submit(Puts({{"R1", "a"}, {"R2", "b"}, {"R3", "c"}, {"R4", "d"}}));
  Commit commit;
  commit.DeleteRange("R2", "R4");
  commit.Put("R2", "again");
  Submit(std::move(commit));

  EXPECT_THAT(AllRows(), ElementsAre(Pair("R1", "a"), Pair("R2", "again"), Pair("R4", "d")));
}

TEST_P(StoreContract, AcceptsAnEmptyCommit) {
  const CommitNumber number = Submit(Commit());
  EXPECT_TRUE(listener().WaitForSynced(number));
}

TEST_P(StoreContract, ReportsASyncedCommitAsSynced) {
  const CommitNumber number = Submit(Puts({{"R1", "a"}}), Promise::kSynced);
  EXPECT_TRUE(listener().WaitForSynced(number));
  EXPECT_GE(listener().written(), number);
}

TEST_P(StoreContract, SyncsARelaxedCommitByItself) {
  const CommitNumber number = Submit(Puts({{"R1", "a"}}), Promise::kWritten);
  EXPECT_TRUE(listener().WaitForWritten(number));
  EXPECT_TRUE(listener().WaitForSynced(number));
}

TEST_P(StoreContract, ReportsEveryCommitOnce) {
  CommitNumber last;
  for (int i = 0; i < 1000; ++i) {
    last = Submit(Puts({{fmt::format("R{:04}", i), "v"}}), i % 3 == 0 ? Promise::kSynced : Promise::kWritten);
  }
  EXPECT_TRUE(listener().WaitForSynced(last));
  EXPECT_EQ(listener().written(), last);
  EXPECT_THAT(Rows("R", "S"), SizeIs(1000));
}

TEST_P(StoreContract, KeepsRowsOverAReopening) {
  Submit(Puts({{"R1", "a"}, {"R2", "b"}}));
  Commit commit;
  commit.SingleDelete("R1");
  Submit(std::move(commit), Promise::kWritten);
  Reopen();
  EXPECT_THAT(AllRows(), ElementsAre(Pair("R2", "b")));
  Submit(Puts({{"R1", "c"}}));
  Reopen();
  EXPECT_THAT(AllRows(), ElementsAre(Pair("R1", "c"), Pair("R2", "b")));
}

TEST_P(StoreContract, StopFinishesWhatWasSubmittedAndAsked) {
  const CommitNumber last = Submit(Puts({{"R1", "a"}}), Promise::kWritten);
  store().Read({.id = ReadId(77), .keys = {"R1"}});
  store().Stop();
  EXPECT_EQ(listener().synced(), last);
  EXPECT_EQ(listener().WaitForRead(ReadId(77)).rows.at(0).value, "a");
}

TEST_P(StoreContract, ReadsPointsInTheOrderAsked) {
  Submit(Puts({{"R1", "a"}, {"R2", "b"}, {"A1", ""}}));
  const ReadResult result = Read({.keys = {"R2", "R9", "A1", "R1", "R2"}});
  ASSERT_TRUE(result.status.ok()) << result.status;
  EXPECT_THAT(KeysOf(result), ElementsAre("R2", "R9", "A1", "R1", "R2"));
  EXPECT_EQ(result.rows[0].value, "b");
  EXPECT_EQ(result.rows[1].value, std::nullopt);
  EXPECT_EQ(result.rows[2].value, "");
  EXPECT_EQ(result.rows[3].value, "a");
  EXPECT_EQ(result.rows[4].value, "b");
}

TEST_P(StoreContract, ReadsTheFirstPointsUpToItsBytes) {
  Submit(Puts({{"R1", "aaaa"}, {"R2", "bbbb"}, {"R3", "cccc"}, {"R4", "dddd"}}));

  EXPECT_THAT(KeysOf(Read({.keys = {"R4", "R3", "R2", "R1"}, .bytes_max = 100})),
              ElementsAre("R4", "R3", "R2", "R1"));
  EXPECT_THAT(KeysOf(Read({.keys = {"R4", "R9", "R3"}, .bytes_max = 1})), ElementsAre("R4", "R9"));
  const ReadResult some = Read({.keys = {"R4", "R9", "R3", "R2", "R1"}, .bytes_max = 8});
  ASSERT_GE(some.rows.size(), 2u);
  EXPECT_LE(some.rows.size(), 3u);
  EXPECT_EQ(some.rows[0].value, "dddd");
  EXPECT_EQ(some.rows[1].value, std::nullopt);
}

TEST_P(StoreContract, ReadsARangeForwardUpToItsLimits) {
  Submit(Puts({{"R1", "aaaa"}, {"R2", "bbbb"}, {"R3", "cccc"}, {"R4", "dddd"}, {"S", "no"}}));

  const ReadResult by_rows = Read({.begin = "R", .end = "R4", .rows_max = 2, .bytes_max = 1000});
  EXPECT_THAT(KeysOf(by_rows), ElementsAre("R1", "R2"));
  EXPECT_FALSE(by_rows.end_reached);

  const ReadResult by_bytes = Read({.begin = "R2", .end = "S", .rows_max = 10, .bytes_max = 8});
  EXPECT_THAT(KeysOf(by_bytes), ElementsAre("R2", "R3"));
  EXPECT_FALSE(by_bytes.end_reached);

  const ReadResult all = Read({.begin = "R", .end = "S", .rows_max = 4, .bytes_max = 16});
  EXPECT_THAT(KeysOf(all), ElementsAre("R1", "R2", "R3", "R4"));
  EXPECT_TRUE(all.end_reached);

  const ReadResult large_row = Read({.begin = "R3", .end = "S", .rows_max = 10, .bytes_max = 1});
  EXPECT_THAT(KeysOf(large_row), ElementsAre("R3"));

  const ReadResult nothing = Read({.begin = "R5", .end = "S", .rows_max = 10, .bytes_max = 10});
  EXPECT_THAT(KeysOf(nothing), IsEmpty());
  EXPECT_TRUE(nothing.end_reached);
}

TEST_P(StoreContract, ReadsARangeBackwards) {
  Submit(Puts({{"Q", "no"}, {"R1", "aaaa"}, {"R2", "bbbb"}, {"R3", "cccc"}, {"R4", "dddd"}}));

  const ReadResult last =
      Read({.begin = "R", .end = "R4", .rows_max = 2, .bytes_max = 1000, .reverse = true});
  EXPECT_THAT(KeysOf(last), ElementsAre("R3", "R2"));
  EXPECT_FALSE(last.end_reached);

  const ReadResult all = Read({.begin = "R", .end = "S", .rows_max = 10, .bytes_max = 1000, .reverse = true});
  EXPECT_THAT(KeysOf(all), ElementsAre("R4", "R3", "R2", "R1"));
  EXPECT_TRUE(all.end_reached);
}

TEST_P(StoreContract, ReadsCompanionsWithTheRows) {
  Submit(Puts({{"R1", "a"}, {"R2", "b"}, {"A2", "returned"}}));
  const auto companion = [](std::string_view key) { return "A" + std::string(key.substr(1)); };

  const ReadResult range =
      Read({.begin = "R", .end = "S", .rows_max = 10, .bytes_max = 1000, .companion = companion});
  ASSERT_THAT(range.rows, SizeIs(2));
  EXPECT_EQ(range.rows[0].companion, std::nullopt);
  EXPECT_EQ(range.rows[1].companion, "returned");

  const ReadResult points = Read({.keys = {"R2", "R3"}, .companion = companion});
  ASSERT_THAT(points.rows, SizeIs(2));
  EXPECT_EQ(points.rows[0].companion, "returned");
  EXPECT_EQ(points.rows[1].companion, std::nullopt);
}

TEST_P(StoreContract, AReadSeesEveryCommitSubmittedBeforeIt) {
  for (int i = 0; i < 300; ++i) {
    const std::string key = fmt::format("R{:03}", i);
    Submit(Puts({{key, "v"}}), i % 2 == 0 ? Promise::kWritten : Promise::kSynced);
    store().Read({.id = ReadId(1000 + i), .keys = {key}});
  }
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(listener().WaitForRead(ReadId(1000 + i)).rows.at(0).value, "v") << i;
  }
}

TEST_P(StoreContract, AnswersReadsInOrder) {
  for (int i = 0; i < 100; ++i) store().Read({.id = ReadId(1 + i), .keys = {"R"}});
  listener().WaitForRead(ReadId(100));
  const std::vector<ReadId> order = listener().read_order();
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_THAT(order, SizeIs(100));
}

TEST_P(StoreContract, AReadSeesACommitWhollyOrNotAtAll) {
  // Rows R0 and R1 change together; a read while commits are under way must find them equal.
  const auto other = [](std::string_view) { return std::string("L1"); };
  for (int i = 0; i < 200; ++i) {
    Submit(Puts({{"L0", std::to_string(i)}, {"L1", std::to_string(i)}}), Promise::kWritten);
    store().Read({.id = ReadId(2 * i + 1), .keys = {"L0", "L1"}});
    store().Read({.id = ReadId(2 * i + 2),
                  .begin = "L0",
                  .end = "L1",
                  .rows_max = 1,
                  .bytes_max = 1,
                  .companion = other});
  }
  for (int i = 0; i < 200; ++i) {
    const ReadResult points = listener().WaitForRead(ReadId(2 * i + 1));
    EXPECT_EQ(points.rows.at(0).value, points.rows.at(1).value);
    const ReadResult range = listener().WaitForRead(ReadId(2 * i + 2));
    EXPECT_EQ(range.rows.at(0).value, range.rows.at(0).companion);
  }
}

TEST_P(StoreContract, TakesValuesOfAnySize) {
  const std::string large(5u << 20, 'x');
  Submit(Puts({{"R1", ""}, {"R2", large}, {"R3", std::string(100, '\0')}}));
  const ReadResult result = Read({.keys = {"R1", "R2", "R3"}});
  EXPECT_EQ(result.rows.at(0).value, "");
  EXPECT_EQ(result.rows.at(1).value, large);
  EXPECT_EQ(result.rows.at(2).value, std::string(100, '\0'));
}

TEST_P(StoreContract, HoldsWhatAModelHoldsOverRandomHistories) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("BATON_SEED={}", seed));
  std::mt19937_64 random(seed);
  std::map<std::string, std::string> model;
  for (int turn = 0; turn < 600; ++turn) {
    Commit commit;
    for (uint64_t op = random() % 8; op > 0; --op) {
      const std::string key = fmt::format("R{:02}", random() % 40);
      if (const auto it = model.find(key); it != model.end()) {
        commit.SingleDelete(key);
        model.erase(it);
      } else {
        const std::string value(random() % 50, static_cast<char>('a' + random() % 26));
        commit.Put(key, value);
        model[key] = value;
      }
    }
    if (random() % 20 == 0) {
      commit.DeleteRange("R10", "R20");
      model.erase(model.lower_bound("R10"), model.lower_bound("R20"));
    }
    Submit(std::move(commit), random() % 2 == 0 ? Promise::kSynced : Promise::kWritten);
    if (random() % 100 == 0) Reopen();
    if (random() % 10 == 0) {
      ASSERT_EQ(AllRows(), model) << "turn " << turn;
    }
  }
}

TEST_P(StoreContract, ScansARangeInOrderBeforeItIsStarted) {
  Submit(Puts({{"Q1", "x"}, {"R1", "a"}, {"R2", "b"}, {"R3", "c"}}));
  std::vector<std::pair<std::string, std::string>> seen;
  const absl::Status status =
      ScanAfterReopening("Q", "R3", [&](std::string_view key, std::string_view value) {
        seen.emplace_back(key, value);
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(seen, ElementsAre(Pair("Q1", "x"), Pair("R1", "a"), Pair("R2", "b")));
}

TEST_P(StoreContract, StopsAScanWithTheVisitorsError) {
  Submit(Puts({{"R1", "a"}, {"R2", "b"}}));
  int visits = 0;
  const absl::Status status = ScanAfterReopening("R", "S", [&](std::string_view, std::string_view) {
    ++visits;
    return absl::DataLossError("does not decode");
  });
  EXPECT_EQ(status, absl::DataLossError("does not decode"));
  EXPECT_EQ(visits, 1);
}

}  // namespace
}  // namespace baton
