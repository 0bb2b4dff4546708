// Rows in shared memory: what is there after a kill at any moment, space, regions that cannot be trusted.
#include "storage/memory/memory_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "tests/support/random_seed.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

using testing::HasSubstr;
using Rows = std::map<std::string, std::string>;

constexpr size_t kSlot = 4'096;

std::string KeyOf(uint64_t number) {
  char text[16];
  std::snprintf(text, sizeof(text), "R%06llu", static_cast<unsigned long long>(number));
  return text;
}

void ApplyTo(Rows& rows, const Commit& commit) {
  commit.ForEach([&rows](const Commit::Op& op) {
    switch (op.kind) {
      case Commit::Kind::kPut:
        rows[std::string(op.key)] = op.value;
        break;
      case Commit::Kind::kDelete:
      case Commit::Kind::kSingleDelete:
        rows.erase(std::string(op.key));
        break;
      case Commit::Kind::kDeleteRange:
        rows.erase(rows.lower_bound(std::string(op.key)), rows.lower_bound(std::string(op.value)));
        break;
    }
  });
}

class MemoryStoreTest : public testing::Test {
 protected:
  MemoryRegion::Options Options(size_t slots = 64) const {
    return {.path = directory.path() + "/region",
            .identity = "the data directory",
            .boot_id = "this boot",
            .bytes_max = kSlotsOffset + slots * kSlot,
            .slot_bytes = kSlot};
  }
  std::unique_ptr<MemoryStore> Open(size_t slots = 64) {
    auto opened = MemoryStore::Open(Options(slots));
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *std::move(opened);
  }
  static Rows All(const MemoryStore& store) {
    Rows rows;
    EXPECT_TRUE(store
                    .Scan("", "\xff",
                          [&](std::string_view key, std::string_view value) {
                            rows.emplace(key, value);
                            return absl::OkStatus();
                          })
                    .ok());
    return rows;
  }
  static Commit PutOne(uint64_t key, const std::string& value) {
    Commit commit;
    commit.Put(KeyOf(key), value);
    return commit;
  }
  static Commit RemoveOne(uint64_t key) {
    Commit commit;
    commit.SingleDelete(KeyOf(key));
    return commit;
  }
  void Overwrite(size_t at, char byte) {
    std::fstream file(Options().path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at)).put(byte);
  }
  // Where bytes that mean something are: the header, the table's first entries, the slots. What was done.
  std::string DamageRandomly(std::mt19937_64& random) {
    std::fstream file(Options().path, std::ios::in | std::ios::out | std::ios::binary);
    const auto slots = std::filesystem::file_size(Options().path) - kSlotsOffset;
    std::string done;
    for (uint64_t left = 1 + random() % 3; left > 0; --left) {
      uint64_t at = kSlotsOffset + random() % std::min<uint64_t>(slots, 2 * kSlot);
      if (random() % 4 == 0) at = random() % sizeof(RegionHeader);
      if (random() % 8 == 0) at = kTableOffset + random() % (8 * sizeof(SlotEntry));
      if (random() % 8 == 0) at = kSlotsOffset + random() % slots;
      const int before = file.seekg(static_cast<std::streamoff>(at)).get();
      int after = before ^ (1 << random() % 8);
      if (random() % 3 == 0) after = static_cast<uint8_t>(random());
      if (random() % 8 == 0) after = 0;
      file.seekp(static_cast<std::streamoff>(at)).put(static_cast<char>(after));
      done +=
          " at " + std::to_string(at) + ": " + std::to_string(before) + " became " + std::to_string(after);
    }
    return done;
  }
  static Commit Random(std::mt19937_64& random, uint64_t keys) {
    Commit commit;
    for (uint64_t ops = 1 + random() % 6; ops > 0; --ops) {
      const std::string key = KeyOf(random() % keys);
      const uint64_t what = random() % 20;
      if (what < 11) {
        const size_t length = random() % 40 == 0 ? 9'000 : random() % 300;
        commit.Put(key, std::string(length, static_cast<char>('a' + random() % 26)));
      } else if (what < 19) {
        commit.Delete(key);
      } else {
        commit.DeleteRange(key, KeyOf(keys));
      }
    }
    return commit;
  }

  TemporaryDirectory directory{TemporaryDirectory::InMemory()};
};

TEST_F(MemoryStoreTest, RowsAreThereForTheNextBroker) {
  {
    auto store = Open();
    EXPECT_FALSE(store->adopted().adopted);
    ASSERT_TRUE(store->Apply(PutOne(1, "one")).ok());
    ASSERT_TRUE(store->Apply(PutOne(2, "two")).ok());
    ASSERT_TRUE(store->Apply(RemoveOne(1)).ok());
  }
  auto store = Open();
  EXPECT_TRUE(store->adopted().adopted);
  EXPECT_EQ(All(*store), (Rows{{KeyOf(2), "two"}}));
}

TEST_F(MemoryStoreTest, ReadsAnswerAsTheDisksStoreDoes) {
  auto store = Open();
  for (uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(store->Apply(PutOne(i, std::to_string(i))).ok());
  ReadResult some = store->Read({.begin = KeyOf(2), .end = KeyOf(8), .rows_max = 3, .bytes_max = 1'000});
  ASSERT_EQ(some.rows.size(), 3u);
  EXPECT_EQ(some.rows[0].key, KeyOf(2));
  EXPECT_EQ(some.rows[0].value, "2");
  EXPECT_FALSE(some.end_reached);
  ReadResult last =
      store->Read({.begin = KeyOf(2), .end = KeyOf(8), .rows_max = 100, .bytes_max = 1'000, .reverse = true});
  ASSERT_EQ(last.rows.size(), 6u);
  EXPECT_EQ(last.rows[0].key, KeyOf(7));
  EXPECT_TRUE(last.end_reached);
  ReadResult points = store->Read({.keys = {KeyOf(5), KeyOf(99)}});
  EXPECT_EQ(points.rows[0].value, "5");
  EXPECT_EQ(points.rows[1].value, std::nullopt);
}

TEST_F(MemoryStoreTest, AgreesWithAMapOfEverything) {
  std::mt19937_64 random(RandomSeed());
  Rows expected;
  auto store = Open(400);
  for (int i = 0; i < 3'000; ++i) {
    const Commit commit = Random(random, 200);
    ASSERT_TRUE(store->Apply(commit).ok());
    ApplyTo(expected, commit);
    if (i % 100 == 0) {
      ASSERT_EQ(All(*store), expected) << i;
    }
    if (i % 500 == 250) {
      store.reset();
      store = Open(400);
      ASSERT_TRUE(store->adopted().adopted);
      ASSERT_EQ(All(*store), expected) << i;
    }
  }
}

struct Killed {};

// Whatever was stored when the process is killed, the commit under way is there as a whole or not at all.
TEST_F(MemoryStoreTest, AKillBeforeAnyStoreLeavesACommitWholeOrAbsent) {
  std::mt19937_64 random(RandomSeed());
  Rows expected;
  uint64_t steps_left = 0;
  auto store = Open(400);
  int killed = 0;
  for (int i = 0; i < 4'000; ++i) {
    const Commit commit = Random(random, 60);
    steps_left = random() % 40;
    store->set_step([&] {
      if (steps_left-- == 0) throw Killed();
    });
    Rows after = expected;
    ApplyTo(after, commit);
    try {
      ASSERT_TRUE(store->Apply(commit).ok());
      expected = after;
      continue;
    } catch (const Killed&) {
      ++killed;
    }
    store.reset();
    store = Open(400);
    ASSERT_TRUE(store->adopted().adopted) << store->adopted().set_aside;
    const Rows found = All(*store);
    ASSERT_TRUE(found == expected || found == after) << "commit " << i;
    expected = found;
  }
  EXPECT_GT(killed, 500);
}

// The same with a real kill -9, between any two instructions.
TEST_F(MemoryStoreTest, AKilledProcessLeavesEveryCommitThatItConfirmed) {
  std::mt19937_64 random(RandomSeed());
  for (int round = 0; round < 100; ++round) {
    const uint64_t seed = random();
    int confirmed[2];
    ASSERT_EQ(pipe(confirmed), 0);
    const pid_t child = fork();
    if (child == 0) {
      std::filesystem::remove(Options().path);
      auto store = MemoryStore::Open(Options(400));
      std::mt19937_64 commits(seed);
      while (store.ok() && (*store)->Apply(Random(commits, 100)).ok()) {
        if (write(confirmed[1], "x", 1) != 1) break;
      }
      _exit(0);
    }
    close(confirmed[1]);
    char byte = 0;
    ASSERT_EQ(read(confirmed[0], &byte, 1), 1);
    size_t count = 1;
    for (uint64_t more = random() % 300; more > 0 && read(confirmed[0], &byte, 1) == 1; --more) ++count;
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    while (read(confirmed[0], &byte, 1) == 1) ++count;
    close(confirmed[0]);
    std::mt19937_64 commits(seed);
    Rows expected;
    for (size_t i = 0; i < count; ++i) ApplyTo(expected, Random(commits, 100));
    Rows with_next = expected;
    ApplyTo(with_next, Random(commits, 100));
    const Rows found = All(*Open(400));
    ASSERT_TRUE(found == expected || found == with_next) << "round " << round << ", " << count << " commits";
  }
}

TEST_F(MemoryStoreTest, AKillWhileARegionIsMadeIsNotTakenForDamage) {
  std::mt19937_64 random(RandomSeed());
  for (int round = 0; round < 100; ++round) {
    int made[2];
    ASSERT_EQ(pipe(made), 0);
    const pid_t child = fork();
    if (child == 0) {
      while (write(made[1], "x", 1) == 1) {
        MemoryStore::Remove(Options().path);
        if (!MemoryStore::Open(Options()).ok()) _exit(1);
      }
      _exit(0);
    }
    close(made[1]);
    char byte = 0;
    for (uint64_t more = 1 + random() % 20; more > 0; --more) ASSERT_EQ(read(made[0], &byte, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    close(made[0]);
    EXPECT_EQ(Open()->adopted().set_aside, "") << "round " << round;
  }
  MemoryStore::Remove(Options().path);
  std::ofstream(Options().path + ".new") << "unfinished";
  ASSERT_TRUE(Open()->Apply(PutOne(1, "one")).ok());
  EXPECT_FALSE(std::filesystem::exists(Options().path + ".new"));
}

TEST_F(MemoryStoreTest, ASmallRegionCarriesAnEndlessFlow) {
  auto store = Open(16);
  for (uint64_t i = 0; i < 5'000; ++i) {
    ASSERT_TRUE(store->MakeRoom(500, 500).ok()) << i;
    ASSERT_TRUE(store->Apply(PutOne(i, std::string(500, 'x'))).ok());
    if (i >= 20) {
      ASSERT_TRUE(store->Apply(RemoveOne(i - 20)).ok());
    }
  }
  EXPECT_EQ(store->rows(), 20u);
}

TEST_F(MemoryStoreTest, SparseSegmentsMakeRoom) {
  auto store = Open(16);
  uint64_t kept = 0;
  for (uint64_t i = 0; i < 2'000; ++i) {
    ASSERT_TRUE(store->MakeRoom(300, 300).ok()) << i;
    ASSERT_TRUE(store->Apply(PutOne(i, std::string(300, 'x'))).ok());
    if (i % 100 == 0) {
      ++kept;
    } else {
      ASSERT_TRUE(store->Apply(RemoveOne(i)).ok());
    }
  }
  EXPECT_EQ(store->rows(), kept);
  EXPECT_EQ(All(*store).size(), kept);
}

TEST_F(MemoryStoreTest, AFullOneRefusesToGrowAndStillTakesWhatShrinksIt) {
  auto store = Open(24);
  uint64_t stored = 0;
  while (store->MakeRoom(1'000, 1'000).ok()) {
    ASSERT_TRUE(store->Apply(PutOne(stored, std::string(1'000, 'x'))).ok());
    ++stored;
  }
  EXPECT_GT(stored, 20u);
  EXPECT_THAT(std::string(store->MakeRoom(1'000, 1'000).message()), HasSubstr("memory_queue_bytes"));
  for (uint64_t i = 0; i < stored; ++i) ASSERT_TRUE(store->Apply(RemoveOne(i)).ok()) << i;
  EXPECT_TRUE(store->MakeRoom(1'000, 1'000).ok());
  EXPECT_EQ(store->bytes_live(), 0u);
}

TEST_F(MemoryStoreTest, RefusesToGrowWhenItsIndexIsLarge) {
  auto options = Options();
  options.index_bytes_max = 5'000;
  auto store = MemoryStore::Open(options).value();
  uint64_t stored = 0;
  for (; store->MakeRoom(10, 10).ok() && stored < 10'000; ++stored) {
    EXPECT_GT(store->Room().grow, 0u);
    ASSERT_TRUE(store->Apply(PutOne(stored, "x")).ok());
  }
  EXPECT_GE(store->Room().index_bytes, 5'000u);
  EXPECT_EQ(store->Room().grow, 0u);
  EXPECT_LT(stored, 150u);
  EXPECT_THAT(std::string(store->MakeRoom(10, 10).message()), HasSubstr("memory_budget"));
  ASSERT_TRUE(store->Apply(RemoveOne(0)).ok());
  EXPECT_TRUE(store->MakeRoom(10, 10).ok());
}

TEST_F(MemoryStoreTest, ARecordMayBeLargerThanASlot) {
  const std::string large(5 * kSlot, 'x');
  {
    auto store = Open();
    ASSERT_TRUE(store->Apply(PutOne(1, "before")).ok());
    ASSERT_TRUE(store->MakeRoom(large.size(), large.size()).ok());
    ASSERT_TRUE(store->Apply(PutOne(2, large)).ok());
    ASSERT_TRUE(store->Apply(PutOne(3, "after")).ok());
  }
  auto store = Open();
  EXPECT_EQ(All(*store), (Rows{{KeyOf(1), "before"}, {KeyOf(2), large}, {KeyOf(3), "after"}}));
}

TEST_F(MemoryStoreTest, ALargeRecordThatIsGoneIsNotReckonedWithAnyMore) {
  auto store = Open(400);
  ASSERT_TRUE(store->Apply(PutOne(1, "small")).ok());
  const size_t before = store->Room().largest;
  const std::string large(5 * kSlot, 'x');
  ASSERT_TRUE(store->MakeRoom(large.size(), large.size()).ok());
  ASSERT_TRUE(store->Apply(PutOne(2, large)).ok());
  store->Refill();
  EXPECT_GE(store->Room().largest, large.size()) << "it is there";
  ASSERT_TRUE(store->Apply(RemoveOne(2)).ok());
  // Its segment is the one in use until there is another.
  for (uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(store->Apply(PutOne(3, std::string(2'000, 'y'))).ok());
  ASSERT_TRUE(store->Apply(PutOne(3, "small")).ok());
  for (uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(store->Apply(PutOne(4, std::string(1'000, 'y'))).ok());
  store->Refill();
  EXPECT_LE(store->Room().largest, 2'100u);
  EXPECT_GE(store->Room().largest, before);
}

TEST_F(MemoryStoreTest, MemoryThatIsNotNeededGoesBackToTheSystem) {
  auto store = Open(1'000);
  for (uint64_t i = 0; i < 2'000; ++i) ASSERT_TRUE(store->Apply(PutOne(i, std::string(1'000, 'x'))).ok());
  Commit all;
  all.DeleteRange(KeyOf(0), KeyOf(100'000));
  ASSERT_TRUE(store->Apply(all).ok());
  const auto bytes = [this] {
    struct stat info {};
    EXPECT_EQ(stat(Options().path.c_str(), &info), 0);
    return static_cast<size_t>(info.st_blocks) * 512;
  };
  store->Refill();
  EXPECT_GE(bytes(), kSlotsOffset + 500 * kSlot) << "it was needed a moment ago";
  store->Refill();
  EXPECT_LE(bytes(), kSlotsOffset + 200 * kSlot) << "of 600 and more";
}

TEST_F(MemoryStoreTest, OneThatCannotBeTrustedIsSetAside) {
  const auto set_aside = [this](const MemoryRegion::Options& options) {
    auto store = MemoryStore::Open(options);
    EXPECT_TRUE(store.ok()) << store.status();
    EXPECT_EQ((*store)->rows(), 0u);
    return (*store)->adopted().set_aside;
  };
  ASSERT_TRUE(Open()->Apply(PutOne(1, "one")).ok());
  auto other = Options();
  other.identity = "another data directory";
  EXPECT_THAT(set_aside(other), HasSubstr("another data directory"));
  auto later = other;
  later.boot_id = "the next boot";
  EXPECT_THAT(set_aside(later), HasSubstr("before the machine was started"));
  std::filesystem::remove(Options().path);
  std::ofstream(Options().path) << "not a region";
  EXPECT_THAT(set_aside(Options()), HasSubstr("region.aside-"));
  const auto files = std::filesystem::directory_iterator(directory.path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 4) << "three that were set aside, and the one in use";
}

// One bit, one byte, or a few of them: in headers, the table, lengths, keys, values, `dead` bytes.
TEST_F(MemoryStoreTest, DamageAnywhereIsSetAsideOrChangesNothing) {
  std::mt19937_64 random(RandomSeed());
  int set_aside = 0;
  for (int round = 0; round < 1'000; ++round) {
    for (const auto& entry : std::filesystem::directory_iterator(directory.path()))
      std::filesystem::remove(entry.path());
    Rows expected;
    {
      auto store = Open();
      for (uint64_t commits = random() % 30; commits > 0; --commits) {
        const Commit commit = Random(random, 50);
        ASSERT_TRUE(store->Apply(commit).ok());
        ApplyTo(expected, commit);
      }
    }
    const auto damage = DamageRandomly(random);
    SCOPED_TRACE(testing::Message() << "round " << round << damage);
    auto store = MemoryStore::Open(Options());
    ASSERT_TRUE(store.ok()) << store.status();
    if (!(*store)->adopted().set_aside.empty()) {
      ++set_aside;
      EXPECT_EQ((*store)->rows(), 0u);
      continue;
    }
    ASSERT_EQ(All(**store), expected);
    for (int i = 0; i < 10; ++i) {
      const Commit commit = Random(random, 50);
      ASSERT_TRUE((*store)->Apply(commit).ok());
      ApplyTo(expected, commit);
    }
    ASSERT_EQ(All(**store), expected);
  }
  EXPECT_GT(set_aside, 300);
}

TEST_F(MemoryStoreTest, ADeadMarkMoreOrLessIsNoticed) {
  for (const char mark : {1, 0}) {
    std::filesystem::remove(Options().path);
    {
      auto store = Open();
      ASSERT_TRUE(store->Apply(PutOne(1, "one")).ok());
      ASSERT_TRUE(store->Apply(PutOne(2, "two")).ok());
      if (mark == 0) {
        ASSERT_TRUE(store->Apply(RemoveOne(1)).ok());
        ASSERT_TRUE(store->Apply(PutOne(3, "three")).ok());
      }
    }
    Overwrite(kSlotsOffset + sizeof(RunHeader), mark);
    EXPECT_THAT(Open()->adopted().set_aside, HasSubstr("rows are missing, or there are too many")) << +mark;
  }
}

TEST_F(MemoryStoreTest, ARegionOfAnotherVersionIsSetAsideAndSaysWhich) {
  ASSERT_TRUE(Open()->Apply(PutOne(1, "one")).ok());
  Overwrite(offsetof(RegionHeader, version), 1);
  EXPECT_THAT(Open()->adopted().set_aside,
              HasSubstr("its layout is of version 1, and this broker knows only"));
}

TEST_F(MemoryStoreTest, ASystemWithoutMemoryIsAnErrorNotASignal) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const size_t most = kSlotsOffset + 20 * kSlot;
    const rlimit limit{.rlim_cur = most, .rlim_max = most};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(1);
    auto store = MemoryStore::Open(Options(60));
    if (!store.ok()) _exit(2);
    uint64_t stored = 0;
    while ((*store)->MakeRoom(1'000, 1'000).ok()) {
      if (!(*store)->Apply(PutOne(stored++, std::string(1'000, 'x'))).ok()) _exit(3);
    }
    for (uint64_t i = 0; i < stored; ++i)
      if (!(*store)->Apply(RemoveOne(i)).ok()) _exit(4);
    _exit(stored > 10 ? 0 : 5);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

}  // namespace
}  // namespace baton
