// Which store has which rows, when a commit is done, and what of a region a new broker keeps.
#include "storage/tiered_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "base/error.h"
#include "storage/format/keys.h"
#include "storage/format/records.h"
#include "tests/support/message_rows_of.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

constexpr QueueId kOnDisk(7);
constexpr QueueId kInMemory(8 | kMemoryQueueBit);

// Keeps what it is given, and does nothing by itself.
class Disk final : public Store {
 public:
  void Start(Listener* listener) override { this->listener = listener; }
  void Stop() override {}
  absl::Status Submit(CommitNumber number, Commit commit, Promise promise) override {
    EXPECT_EQ(number.value(), commits.size() + 1);
    EXPECT_NE(promise, Promise::kApplied);
    commits.push_back(std::move(commit));
    return absl::OkStatus();
  }
  void Read(ReadRequest request) override { reads.push_back(std::move(request)); }
  absl::Status ScanNow(
      const std::string& begin, const std::string& end,
      const std::function<absl::Status(std::string_view, std::string_view)>& visit) override {
    for (auto at = rows.lower_bound(begin); at != rows.end() && at->first < end; ++at) {
      if (absl::Status status = visit(at->first, at->second); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  Stats stats() const override { return {}; }

  Listener* listener = nullptr;
  std::vector<Commit> commits;
  std::vector<ReadRequest> reads;
  std::map<std::string, std::string> rows;
};

class Heard final : public Store::Listener {
 public:
  void OnProgress(CommitNumber now_written, CommitNumber now_synced) override {
    written = now_written.value();
    synced = now_synced.value();
  }
  void OnRead(ReadResult result) override { reads.push_back(std::move(result)); }
  void OnDiskState(DiskState /*state*/) override {}
  void OnFailed(absl::Status status) override { failure = std::move(status); }

  uint64_t written = 0;
  uint64_t synced = 0;
  std::vector<ReadResult> reads;
  absl::Status failure;
};

class Tiered : public testing::Test {
 protected:
  Tiered() { Open({kInMemory}); }

  MemoryRegion::Options RegionOptions() const {
    return {
        .path = directory.path() + "/region",
        .identity = "id",
        .boot_id = "boot",
        .bytes_max = 32u << 20,
    };
  }
  MemoryRegion::Options OtherRegionOptions() const {
    MemoryRegion::Options options = RegionOptions();
    options.path += "_other";
    return options;
  }
  void SubmitAll(const MessageRowsOf::Rows& rows) {
    Commit commit;
    for (const auto& [key, value] : rows) MessageRowsOf::AddTo(commit, key, value);
    Submit(std::move(commit));
  }
  void Open(const std::set<QueueId>& queues,
            std::function<void(const std::string& set_aside)> tell_set_aside = {}) {
    store.reset();
    auto opened = TieredStore::Open(&disk, RegionOptions(), queues);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store = *std::move(opened);
    store->TellSetAside(std::move(tell_set_aside));
    store->Start(&heard);
  }
  void Submit(Commit commit, Promise promise = Promise::kApplied) {
    const absl::Status taken = store->Submit(CommitNumber(++last), std::move(commit), promise);
    EXPECT_TRUE(taken.ok()) << taken;
  }
  static std::string Ready(QueueId queue, uint64_t seq) {
    return ReadyKey(queue, {.rank = 1, .seq = Seq(seq)});
  }
  static Commit Put(const std::string& key, const std::string& value = "value") {
    Commit commit;
    commit.Put(key, value);
    return commit;
  }
  std::vector<std::string> MemoryKeys() {
    std::vector<std::string> keys;
    disk.rows.clear();
    EXPECT_TRUE(store
                    ->ScanNow("", "\xff",
                              [&](std::string_view key, std::string_view) {
                                keys.emplace_back(key);
                                return absl::OkStatus();
                              })
                    .ok());
    return keys;
  }
  bool RegionIsThere() const { return std::filesystem::exists(directory.path() + "/region"); }

  TemporaryDirectory directory{TemporaryDirectory::InMemory()};
  Disk disk;
  Heard heard;
  std::unique_ptr<TieredStore> store;
  uint64_t last = 0;
};

TEST_F(Tiered, RowsGoWhereTheirQueueIs) {
  Submit(Put(Ready(kInMemory, 1)));
  EXPECT_THAT(disk.commits, IsEmpty());
  Submit(Put(Ready(kOnDisk, 2)), Promise::kSynced);
  EXPECT_EQ(disk.commits.size(), 1u);
  EXPECT_THAT(MemoryKeys(), ElementsAre(Ready(kInMemory, 1)));
}

TEST_F(Tiered, ACommitForBothIsDivided) {
  Commit commit = Put(Ready(kInMemory, 1));
  commit.Put(Ready(kOnDisk, 2), "value");
  Submit(std::move(commit), Promise::kSynced);
  ASSERT_EQ(disk.commits.size(), 1u);
  EXPECT_EQ(disk.commits[0].count(), 1u);
  EXPECT_THAT(MemoryKeys(), ElementsAre(Ready(kInMemory, 1)));
}

TEST_F(Tiered, WhatMemoryQueuesAcceptedIsKeptInMemory) {
  Commit commit;
  commit.Put(ProducerKey(ProducerId(5)), "on disk");
  commit.Put(MemoryProducerKey(ProducerId(5)), "in memory");
  commit.Put(LedgerKey(kInMemory), "ledger");
  Submit(std::move(commit), Promise::kSynced);
  ASSERT_EQ(disk.commits.size(), 1u);
  EXPECT_EQ(disk.commits[0].count(), 1u);
  EXPECT_THAT(MemoryKeys(), ElementsAre(LedgerKey(kInMemory), MemoryProducerKey(ProducerId(5))));
}

TEST_F(Tiered, ALocatorIsWhereTheRowIsThatItNames) {
  const auto submit = [this](auto&& add) {
    Commit commit;
    add(commit);
    Submit(std::move(commit), Promise::kWritten);
  };
  submit([](Commit& commit) { commit.PutLocator(LocatorKey(Seq(1)), Ready(kInMemory, 1)); });
  submit([](Commit& commit) { commit.PutLocator(LocatorKey(Seq(2)), Ready(kOnDisk, 2)); });
  EXPECT_THAT(MemoryKeys(), ElementsAre(LocatorKey(Seq(1))));
  // The one moves to disk, the other to memory.
  submit([](Commit& commit) {
    commit.DeleteLocator(LocatorKey(Seq(1)), kInMemory);
    commit.PutLocator(LocatorKey(Seq(1)), Ready(kOnDisk, 1));
  });
  EXPECT_THAT(MemoryKeys(), IsEmpty());
  submit([](Commit& commit) {
    commit.DeleteLocator(LocatorKey(Seq(2)), kOnDisk);
    commit.PutLocator(LocatorKey(Seq(2)), Ready(kInMemory, 2));
  });
  EXPECT_THAT(MemoryKeys(), ElementsAre(LocatorKey(Seq(2))));
  submit([](Commit& commit) {
    commit.DeleteLocator(LocatorKey(Seq(1)), kOnDisk);
    commit.DeleteLocator(LocatorKey(Seq(2)), kInMemory);
  });
  EXPECT_THAT(MemoryKeys(), IsEmpty());
  EXPECT_EQ(disk.commits.size(), 4u);
  submit([](Commit& commit) {
    commit.PutLocator(LocatorKey(Seq(3)), Ready(kInMemory, 3));
    commit.DeleteLocator(LocatorKey(Seq(3)), kInMemory);
  });
  EXPECT_THAT(MemoryKeys(), IsEmpty());
}

TEST_F(Tiered, CommitsInMemoryAreDoneInTheirOrderWithThoseOnDisk) {
  Submit(Put(Ready(kInMemory, 1)));
  EXPECT_EQ(heard.synced, 1u) << "nothing on disk to wait for";
  Submit(Put(Ready(kOnDisk, 2)), Promise::kSynced);
  Submit(Put(Ready(kInMemory, 3)));
  EXPECT_EQ(heard.written, 1u);
  disk.listener->OnProgress(CommitNumber(1), CommitNumber());
  EXPECT_EQ(heard.written, 3u);
  EXPECT_EQ(heard.synced, 1u);
  disk.listener->OnProgress(CommitNumber(1), CommitNumber(1));
  EXPECT_EQ(heard.synced, 3u);
}

TEST_F(Tiered, ReadsOfMemoryAreAnsweredAtOnce) {
  Submit(Put(Ready(kInMemory, 1), "one"));
  store->Read({.id = ReadId(1), .keys = {Ready(kInMemory, 1), LocatorKey(Seq(1))}});
  ASSERT_EQ(heard.reads.size(), 1u);
  EXPECT_EQ(heard.reads[0].rows[0].value, "one");
  EXPECT_EQ(heard.reads[0].rows[1].value, std::nullopt);
  store->Read({.id = ReadId(2), .keys = {Ready(kOnDisk, 1)}});
  EXPECT_EQ(disk.reads.size(), 1u);
}

TEST_F(Tiered, ARangeOverAllQueuesIsMergedAsFarAsBothCanTell) {
  const auto hint = [](int64_t second, QueueId queue) {
    return ExpiryKey({InstantFromMicros(second * 1'000'000), queue, Seq(1)});
  };
  for (const int64_t second : {1, 3, 5}) Submit(Put(hint(second, kInMemory)));
  store->Read({.id = ReadId(1),
               .begin = hint(0, QueueId()),
               .end = AllOf(RowKind::kExpiry).end,
               .rows_max = 3,
               .bytes_max = 1u << 20});
  ASSERT_EQ(disk.reads.size(), 1u);
  ReadResult half{.id = ReadId(1), .status = absl::OkStatus(), .rows = {}, .end_reached = false};
  for (const int64_t second : {2, 4})
    half.rows.push_back({.key = hint(second, kOnDisk), .value = "v", .companion = {}});
  disk.listener->OnRead(std::move(half));
  ASSERT_EQ(heard.reads.size(), 1u);
  std::vector<std::string> keys;
  for (const Row& row : heard.reads[0].rows) keys.push_back(row.key);
  EXPECT_THAT(keys, ElementsAre(hint(1, kInMemory), hint(2, kOnDisk), hint(3, kInMemory)));
  EXPECT_FALSE(heard.reads[0].end_reached);
}

TEST_F(Tiered, TheRegionComesWithTheFirstRowAndGoesWithTheLast) {
  Open({});
  EXPECT_FALSE(RegionIsThere());
  Submit(Put(LedgerKey(kInMemory)));
  EXPECT_TRUE(RegionIsThere());
  Commit gone;
  gone.Delete(LedgerKey(kInMemory));
  Submit(std::move(gone));
  EXPECT_FALSE(RegionIsThere());
}

TEST_F(Tiered, ANewBrokerKeepsOnlyRowsOfQueuesThatItKnows) {
  MessageRowsOf known(kInMemory);
  known.Ready(1, "one");
  known.Returned(2, "two");
  MessageRowsOf unknown(QueueId(9 | kMemoryQueueBit));
  unknown.Ready(3, "three");
  unknown.Returned(4, "four");
  SubmitAll(known.rows());
  SubmitAll(unknown.rows());
  Open({kInMemory});
  EXPECT_TRUE(store->adopted().adopted) << store->adopted().set_aside;
  EXPECT_EQ(store->adopted().rows, known.rows().size());
  EXPECT_EQ(store->adopted().messages_dropped, 2u);
  std::vector<std::string> keys;
  for (const auto& [key, value] : known.rows()) keys.push_back(key);
  EXPECT_EQ(MemoryKeys(), keys);
  Open({});
  EXPECT_FALSE(RegionIsThere());
}

TEST_F(Tiered, RowsThatMeanNothingAreNotMetWhereNoMemoryIsLeftToRemoveThem) {
  TemporaryDirectory place;
  if (mount("tmpfs", place.path().c_str(), "tmpfs", 0, "size=4M") != 0) {
    GTEST_SKIP() << "only root may make a small file system";
  }
  MemoryRegion::Options options = RegionOptions();
  options.path = place.path() + "/region";
  options.slot_bytes = 16'384;
  const std::string somebody = place.path() + "/somebody";
  MessageRowsOf gone(kInMemory);
  gone.Returned(1, "a");
  Commit commit;
  for (const auto& [key, value] : gone.rows()) MessageRowsOf::AddTo(commit, key, value);
  ASSERT_TRUE(MemoryStore::Open(options).value()->Apply(commit).ok());
  {
    auto region = MemoryRegion::Open(options).value();
    for (uint32_t slot = 0; slot < region->slots(); ++slot)
      if (region->EntryOf(slot).segment != 0) region->Use(slot, 1);
    region->FreeRest();  // none is kept
  }
  std::ofstream file(somebody);
  for (const std::string block(4'096, 'x'); file.write(block.data(), 4'096).flush();) {
  }
  auto opened = TieredStore::Open(&disk, options, {});
  ASSERT_TRUE(opened.ok()) << opened.status();
  store = *std::move(opened);
  EXPECT_EQ(store->adopted().rows, gone.rows().size()) << "or there was memory";
  EXPECT_THAT(MemoryKeys(), IsEmpty());
  std::filesystem::remove(somebody);
  file.close();
  store->Start(&heard);
  Submit(Put(MemoryProducerKey(ProducerId(5)), "with the next commit the rest goes, and the region"));
  EXPECT_FALSE(std::filesystem::exists(options.path));
  store.reset();
  umount(place.path().c_str());
}

TEST_F(Tiered, APurgeTakesTheHintsAndLocatorsOfItsOwnMessages) {
  constexpr QueueId kOther(9 | kMemoryQueueBit);
  MessageRowsOf purged(kInMemory);
  for (uint64_t seq = 1; seq < 4'000; seq += 4) {
    purged.Ready(seq, "a");
    purged.Returned(seq + 1, "b");
    purged.Parked(seq + 2, "c");
    purged.Mortal(seq + 3, "d");
  }
  MessageRowsOf kept(kOther);
  kept.Returned(5'000, "e");
  kept.Mortal(5'001, "f");
  SubmitAll(purged.rows());
  SubmitAll(kept.rows());
  MessageRowsOf fresh(kInMemory);  // published and purged in one turn
  fresh.Mortal(6'000, "g");
  fresh.Parked(6'001, "h");
  Commit purge;
  for (const auto& [key, value] : fresh.rows()) MessageRowsOf::AddTo(purge, key, value);
  for (const RowKind kind : {RowKind::kReady, RowKind::kDelayed, RowKind::kParked, RowKind::kAttempts}) {
    const KeyRange range = AllOf(kind, kInMemory);
    purge.DeleteRange(range.begin, range.end);
  }
  purge.Delete(LedgerKey(kInMemory));
  purge.Delete(BirthsKey(kInMemory));
  Submit(std::move(purge));
  std::vector<std::string> keys;
  for (const auto& [key, value] : kept.rows()) keys.push_back(key);
  EXPECT_EQ(MemoryKeys(), keys);
}

TEST_F(Tiered, APurgeOfManyIsDoneInShares) {
  MessageRowsOf purged(kInMemory);
  for (uint64_t seq = 1; seq <= 10'000; ++seq) purged.Mortal(seq, "a");
  SubmitAll(purged.rows());
  Commit purge;
  const KeyRange range = AllOf(RowKind::kReady, kInMemory);
  purge.DeleteRange(range.begin, range.end);
  purge.Put(LedgerKey(kInMemory), "ledger");
  purge.Delete(BirthsKey(kInMemory));
  Submit(std::move(purge));
  const size_t with_hints = store->memory_room().index_bytes;
  store->LookAgain();
  EXPECT_LT(store->memory_room().index_bytes, with_hints / 1'000) << "which went, but not at once";
  EXPECT_THAT(MemoryKeys(), ElementsAre(LedgerKey(kInMemory)));
}

TEST_F(Tiered, ALedgerThatAKillLeftIsNotRemovedOnceItsQueueLives) {
  auto rows = MemoryStore::Create(OtherRegionOptions());
  ASSERT_TRUE(rows.ok()) << rows.status();
  for (const std::string& key : {LedgerKey(kInMemory), BirthsKey(kInMemory)}) {
    IdleRows idle;
    idle.Add(key);
    ASSERT_TRUE((*rows)->Apply(Put(key)).ok());
    idle.Revive(key);
    idle.Remove(**rows, IdleRows::kAllPieces);
    EXPECT_TRUE((*rows)->Find(key).has_value());
    EXPECT_TRUE(idle.empty());
  }
}

TEST_F(Tiered, APurgeLeavesTheLocatorsOfWhatWasMovedAwayBeforeInTheSameCommit) {
  constexpr QueueId kOther(9 | kMemoryQueueBit);
  MessageRowsOf before(kInMemory);
  before.Returned(1, "a");
  SubmitAll(before.rows());
  MessageRowsOf within(kInMemory);  // moves twice in one turn
  within.Returned(2, "b");
  MessageRowsOf elsewhere(kOther);
  elsewhere.DeadLettered(before.Id(1), 101, "a");
  elsewhere.DeadLettered(within.Id(2), 102, "b");
  Commit turn;
  for (const auto& [key, value] : within.rows()) MessageRowsOf::AddTo(turn, key, value);
  for (MessageRowsOf* left : {&before, &within})
    for (const auto& [key, value] : left->rows())
      key[0] == static_cast<char>(RowKind::kLocator) ? turn.DeleteLocator(key, kInMemory) : turn.Delete(key);
  for (const auto& [key, value] : elsewhere.rows()) MessageRowsOf::AddTo(turn, key, value);
  for (const RowKind kind : {RowKind::kReady, RowKind::kDelayed, RowKind::kParked, RowKind::kAttempts}) {
    const KeyRange range = AllOf(kind, kInMemory);
    turn.DeleteRange(range.begin, range.end);
  }
  Submit(std::move(turn));
  std::vector<std::string> keys;
  for (const auto& [key, value] : elsewhere.rows()) keys.push_back(key);
  EXPECT_EQ(MemoryKeys(), keys);
  Open({kOther});
  EXPECT_TRUE(store->adopted().adopted) << store->adopted().set_aside;
  EXPECT_EQ(MemoryKeys(), keys);
}

TEST_F(Tiered, RoomIsMadeWhenItIsAskedFor) {
  Open({});
  EXPECT_EQ(store->memory_room().grow, 0u) << "there is no region";
  ASSERT_TRUE(store->MakeMemoryRoom(1u << 20, 1'000).ok());
  EXPECT_GE(store->memory_room().grow, 1u << 20);
  EXPECT_GE(store->memory_room().largest, 1'000u);
  const absl::Status refused = store->MakeMemoryRoom(1u << 30, 1'000);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("memory_queue_bytes"));
  EXPECT_TRUE(store->MakeMemoryRoom(1u << 20, 1'000).ok()) << "less than what was refused";
}

TEST_F(Tiered, WithoutADirectoryForItThereIsNoRoomAndNothingIsLeft) {
  MemoryRegion::Options nowhere = RegionOptions();
  nowhere.path = directory.path() + "/nowhere/region";
  auto opened = TieredStore::Open(&disk, nowhere, {});
  ASSERT_TRUE(opened.ok()) << opened.status();
  const absl::Status refused = (*opened)->MakeMemoryRoom(1'000, 1'000);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_EQ(ReasonOf(refused), reason::kMemoryQueuesUnavailable) << "and not that a queue is full";
  EXPECT_THAT(std::string(refused.message()), HasSubstr("set memory_queue_dir"));
  EXPECT_EQ((*opened)->memory_room(), MemoryRoom());
}

TEST_F(Tiered, AShortageOfDescriptorsIsNoMatterForAnOperator) {
  Open({});
  rlimit usual{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = usual.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const absl::Status refused = store->MakeMemoryRoom(1'000, 1'000);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &usual), 0);
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(ReasonOf(refused), reason::kBrokerBusy);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("try again"));
  store->LookAgain();
  EXPECT_TRUE(store->MakeMemoryRoom(1'000, 1'000).ok());
}

TEST_F(Tiered, MemoryWithoutARegionIsEmptyOrCannotBeHad) {
  Open({});
  EXPECT_EQ(store->memory_use(), (MemoryUse{.shared_bytes_max = RegionOptions().bytes_max,
                                            .index_bytes_max = RegionOptions().index_bytes_max}));
  ASSERT_TRUE(store->MakeMemoryRoom(1'000, 1'000).ok());
  EXPECT_GT(store->memory_use().shared_bytes, 0u) << "the reserve";
  EXPECT_FALSE(store->memory_use().full());

  MemoryRegion::Options nowhere = RegionOptions();
  nowhere.path = directory.path() + "/nowhere/region";
  auto opened = TieredStore::Open(&disk, nowhere, {kInMemory});
  ASSERT_TRUE(opened.ok()) << opened.status();
  (*opened)->LookAgain();
  EXPECT_TRUE((*opened)->memory_use().full());
  EXPECT_EQ((*opened)->memory_use().nearest(), MemoryUse::Bound::kUnavailable) << "no consumer makes room";
  EXPECT_EQ((*opened)->memory_use().shared_bytes_max, 0u);
}

TEST_F(Tiered, MemoryInAFileSystemWithoutRoomForARegionIsFull) {
  TemporaryDirectory place;
  if (mount("tmpfs", place.path().c_str(), "tmpfs", 0, "size=64K") != 0) {
    GTEST_SKIP() << "only root may make a small file system";
  }
  MemoryRegion::Options small = RegionOptions();
  small.path = place.path() + "/region";
  {
    auto opened = TieredStore::Open(&disk, small, {kInMemory});
    ASSERT_TRUE(opened.ok()) << opened.status();
    (*opened)->LookAgain();
    EXPECT_TRUE((*opened)->memory_use().full());
    EXPECT_EQ((*opened)->memory_use().nearest(), MemoryUse::Bound::kFileSystem);
  }
  umount(place.path().c_str());
}

TEST_F(Tiered, ARegionThatWasPutThereSinceIsNotAdopted) {
  std::string told;
  Open({}, [&told](const std::string& set_aside) { told = set_aside; });
  Commit commit = Put(Ready(kInMemory, 1));  // without a ledger
  ASSERT_TRUE(MemoryStore::Open(RegionOptions()).value()->Apply(commit).ok());
  ASSERT_TRUE(store->MakeMemoryRoom(1'000, 1'000).ok());
  EXPECT_THAT(MemoryKeys(), IsEmpty());
  EXPECT_THAT(told, HasSubstr("it was not there when the broker was started"));
  const auto files = std::filesystem::directory_iterator(directory.path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 2) << "the one in use, and the other";
}

TEST_F(Tiered, ARegionThatAnotherBrokerHasIsLeftAlone) {
  Open({});
  const auto other = MemoryStore::Open(RegionOptions());
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_THAT(std::string(store->MakeMemoryRoom(1'000, 1'000).message()), HasSubstr("in use by another"));
  EXPECT_TRUE(RegionIsThere());
}

TEST_F(Tiered, RowsThatDoNotAgreeAreSetAsideAsAWhole) {
  MessageRowsOf queue(kInMemory);
  queue.Ready(1, "one");
  ++queue.ledger().ready.rows;
  SubmitAll(queue.rows());
  Open({kInMemory});
  EXPECT_FALSE(store->adopted().adopted);
  EXPECT_THAT(store->adopted().set_aside, HasSubstr("its ledger counts 2 ready"));
  EXPECT_THAT(MemoryKeys(), IsEmpty());
  SubmitAll(MessageRowsOf(kInMemory).rows());
  EXPECT_THAT(MemoryKeys(), ElementsAre(LedgerKey(kInMemory)));
}

TEST_F(Tiered, ARowThatBelongsOnDiskIsSetAside) {
  store.reset();
  {
    auto region = MemoryStore::Open(RegionOptions());
    ASSERT_TRUE(region.ok()) << region.status();
    ASSERT_TRUE((*region)->Apply(Put(Ready(kOnDisk, 1))).ok());
  }
  Open({kInMemory});
  EXPECT_THAT(store->adopted().set_aside, HasSubstr("rows that belong on disk"));
}

}  // namespace
}  // namespace baton
