// Rows in shared memory when there is no more of it: whoever keeps to Room is refused what makes the store
// grow, and nothing else ever; in a region at its limit, and in a file system that is really full.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "storage/memory/memory_store.h"
#include "tests/support/random_seed.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

using Rows = std::map<std::string, std::string>;

constexpr size_t kSlot = 16'384;

// A store whose file system has no room, or whose region is at its limit, and what is to be in it.
class FullStore {
 public:
  FullStore(const std::string& directory, size_t bytes_max, uint64_t seed, size_t index_bytes_max = SIZE_MAX)
      : options_{.path = directory + "/region",
                 .identity = "the data directory",
                 .boot_id = "this boot",
                 .bytes_max = bytes_max,
                 .slot_bytes = kSlot,
                 .index_bytes_max = index_bytes_max},
        random_(seed) {
    Reopen();
  }

  void Reopen() {
    store_.reset();
    auto opened = MemoryStore::Open(options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    ASSERT_EQ(store_->adopted().set_aside, "");
    Check();
  }
  // Publishes until it is refused. How many bytes were taken.
  size_t Fill(size_t largest) {
    size_t taken = 0;
    for (;;) {
      const std::string value = Value(largest);
      Commit commit;
      commit.Put(Key(++last_), value);
      if (!store_->MakeRoom(commit.bytes() + commit.count() * 4, value.size()).ok()) return taken;
      rows_[Key(last_)] = value;
      taken += value.size();
      Apply(commit);
    }
  }
  // Publishes so many bytes at a time until it is refused, which its figures tell before.
  void FillAsItSays(size_t bytes) {
    const std::string value(bytes, 'x');
    for (bool taken = true; taken;) {
      Commit commit;
      commit.Put(Key(++last_), value);
      const MemoryUse before = store_->Use();
      const absl::Status made = store_->MakeRoom(commit.bytes(), value.size());
      ASSERT_EQ(made.ok(), !before.full())
          << made << "; " << before.shared_bytes << " bytes of " << before.shared_bytes_max << ", index "
          << before.index_bytes << " of " << before.index_bytes_max;
      taken = made.ok();
      if (!taken) continue;
      rows_[Key(last_)] = value;
      Apply(commit);
    }
  }
  // Writes every row again elsewhere, each with `more` bytes; as much in a commit as there may be, and not at
  // all while there may be nothing. How many were written.
  size_t MoveAll(size_t more) {
    size_t moved = 0;
    std::vector<std::string> keys = Keys();
    for (size_t at = 0; at < keys.size();) {
      Commit commit;
      for (; at < keys.size() && SizeOf(commit) < store_->Room().rewrite; ++at) {
        const std::string value = rows_.at(keys[at]) + std::string(more, '+');
        commit.Put(Key(++last_), value);
        commit.SingleDelete(keys[at]);
        rows_.erase(keys[at]);
        rows_[Key(last_)] = value;
        ++moved;
      }
      if (commit.empty()) {  // as the broker does once a second
        store_->Refill();
        if (store_->Room().rewrite == 0) return moved;
      }
      Apply(commit);
      if (testing::Test::HasFatalFailure()) return moved;
    }
    return moved;
  }
  // Removes some of the rows, in any order.
  void Remove(size_t count) {
    std::vector<std::string> keys = Keys();
    keys.resize(std::min(count, keys.size()));
    for (size_t at = 0; at < keys.size();) {
      Commit commit;
      for (; at < keys.size() && SizeOf(commit) < store_->Room().remove; ++at) {
        commit.SingleDelete(keys[at]);
        rows_.erase(keys[at]);
      }
      if (commit.empty()) store_->Refill();
      ASSERT_GT(store_->Room().remove, 0u) << "nothing can be removed any more";
      Apply(commit);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
  void Check() {
    Rows found;
    const absl::Status scanned = store_->Scan("", "\xff", [&](std::string_view key, std::string_view value) {
      found.emplace(key, value);
      return absl::OkStatus();
    });
    ASSERT_TRUE(scanned.ok());
    ASSERT_TRUE(found == rows_);
  }
  size_t rows() const { return rows_.size(); }
  size_t bytes_used() const { return store_->bytes_used(); }
  MemoryUse use() const { return store_->Use(); }

 private:
  static std::string Key(uint64_t number) {
    char text[16];
    std::snprintf(text, sizeof(text), "R%010llu", static_cast<unsigned long long>(number));
    return text;
  }
  static size_t SizeOf(const Commit& commit) { return commit.bytes() + 2 * commit.count(); }
  std::string Value(size_t largest) {
    return std::string(1 + random_() % largest, static_cast<char>('a' + random_() % 26));
  }
  std::vector<std::string> Keys() {
    std::vector<std::string> keys;
    for (const auto& [key, value] : rows_) keys.push_back(key);
    std::shuffle(keys.begin(), keys.end(), random_);
    return keys;
  }
  void Apply(const Commit& commit) {
    const absl::Status applied = store_->Apply(commit);
    ASSERT_TRUE(applied.ok()) << applied << "; " << rows_.size() << " rows, " << store_->bytes_live()
                              << " bytes live, " << store_->bytes_used() << " used";
  }

  const MemoryRegion::Options options_;
  std::mt19937_64 random_;
  std::unique_ptr<MemoryStore> store_;
  Rows rows_;
  uint64_t last_ = 0;
};

// Fills it, then does everything that is no publish, again and again.
void LiveWhenFull(FullStore& store, size_t largest) {
  const size_t first = store.Fill(largest);
  ASSERT_FALSE(testing::Test::HasFatalFailure());
  for (int round = 0; round < 2; ++round) {
    // Nacks with a delay, dead-letterings: as much written as removed.
    EXPECT_EQ(store.MoveAll(0), store.rows());
    ASSERT_FALSE(testing::Test::HasFatalFailure());
    store.Reopen();
    store.Remove(store.rows() / 3);
    store.Fill(largest);
    ASSERT_FALSE(testing::Test::HasFatalFailure());
  }
  // Whatever grows with each move ends somewhere; what is refused then is refused, and removal goes on.
  bool refused = false;
  for (int round = 0; round < 20 && !refused; ++round) refused = store.MoveAll(largest) < store.rows();
  EXPECT_TRUE(refused);
  ASSERT_FALSE(testing::Test::HasFatalFailure());
  store.Check();
  store.Reopen();
  store.Remove(store.rows());
  ASSERT_FALSE(testing::Test::HasFatalFailure());
  EXPECT_EQ(store.rows(), 0u);
  EXPECT_GE(store.Fill(largest), first * 8 / 10) << "of what it took at first";
  store.Check();
}

TEST(FullMemoryStore, AtItsLimitDoesEverythingButGrow) {
  const uint64_t seed = RandomSeed();
  for (const size_t largest : {100u, 1'000u, 8'000u, 40'000u}) {
    SCOPED_TRACE(largest);
    TemporaryDirectory directory{TemporaryDirectory::InMemory()};
    const size_t bytes_max = kSlotsOffset + 150 * kSlot;
    FullStore store(directory.path(), bytes_max, seed);
    LiveWhenFull(store, largest);
    EXPECT_LE(store.bytes_used(), bytes_max);
  }
}

// The rest of it is taken by somebody else, and its limit is far.
TEST(FullMemoryStore, InAFileSystemWithoutMemoryDoesEverythingButGrow) {
  const uint64_t seed = RandomSeed();
  for (const size_t largest : {100u, 1'000u, 8'000u, 40'000u}) {
    SCOPED_TRACE(largest);
    TemporaryDirectory place;
    if (mount("tmpfs", place.path().c_str(), "tmpfs", 0, "size=4M") != 0) {
      GTEST_SKIP() << "only root may make a small file system";
    }
    {
      std::ofstream(place.path() + "/somebody") << std::string(1u << 20, 'x');
      FullStore store(place.path(), 1u << 30, seed);
      LiveWhenFull(store, largest);
    }
    umount(place.path().c_str());
  }
}

TEST(FullMemoryStore, AtItsLimitSaysSo) {
  const uint64_t seed = RandomSeed();
  for (const size_t bytes : {10u, 1'000u, 8'000u, 40'000u}) {
    SCOPED_TRACE(bytes);
    TemporaryDirectory directory{TemporaryDirectory::InMemory()};
    const size_t bytes_max = kSlotsOffset + 150 * kSlot + 1'000;
    FullStore store(directory.path(), bytes_max, seed);
    EXPECT_EQ(store.use().shared_bytes_max, bytes_max);
    const size_t reserve = store.use().shared_bytes;
    EXPECT_LT(reserve, bytes_max / 5);
    for (int round = 0; round < 3; ++round) {
      store.FillAsItSays(bytes);
      ASSERT_FALSE(testing::Test::HasFatalFailure());
      EXPECT_EQ(store.use().shared_bytes, bytes_max);
      EXPECT_EQ(store.use().nearest(), MemoryUse::Bound::kSharedMemory);
      // Few are left in each segment: it is what they take that counts, not what has not been copied yet.
      store.Remove(store.rows() * 9 / 10);
      EXPECT_LT(store.use().shared_bytes, reserve + bytes_max / 3);
    }
  }
}

TEST(FullMemoryStore, InAFileSystemWithoutMemorySaysSo) {
  TemporaryDirectory place;
  if (mount("tmpfs", place.path().c_str(), "tmpfs", 0, "size=4M") != 0) {
    GTEST_SKIP() << "only root may make a small file system";
  }
  {
    FullStore store(place.path(), 1u << 30, RandomSeed());
    EXPECT_EQ(store.use().nearest(), MemoryUse::Bound::kFileSystem);
    EXPECT_LE(store.use().shared_bytes_max, 4u << 20);
    EXPECT_GE(store.use().shared_bytes_max, (4u << 20) - 2 * kSlot);
    store.FillAsItSays(1'000);
    EXPECT_EQ(store.use().shared_bytes, store.use().shared_bytes_max);
    EXPECT_EQ(store.use().nearest(), MemoryUse::Bound::kFileSystem);
  }
  umount(place.path().c_str());
}

TEST(FullMemoryStore, SaysWhatCanBeWhileOthersTakeMemoryAndGiveItBack) {
  TemporaryDirectory place;
  if (mount("tmpfs", place.path().c_str(), "tmpfs", 0, "size=16M") != 0) {
    GTEST_SKIP() << "only root may make a small file system";
  }
  {
    FullStore store(place.path(), 1u << 30, RandomSeed());
    const int file = open((place.path() + "/somebody").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    std::jthread somebody([file](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        EXPECT_EQ(posix_fallocate(file, 0, 12 << 20), 0);
        EXPECT_EQ(ftruncate(file, 0), 0);
      }
    });
    for (int look = 0; look < 100'000; ++look) {
      const MemoryUse use = store.use();
      ASSERT_LE(use.shared_bytes, use.shared_bytes_max);
    }
    somebody.request_stop();
    somebody.join();
    close(file);
  }
  umount(place.path().c_str());
}

TEST(FullMemoryStore, WhoseIndexIsFullSaysSo) {
  TemporaryDirectory directory{TemporaryDirectory::InMemory()};
  FullStore store(directory.path(), kSlotsOffset + 150 * kSlot, RandomSeed(), 50'000);
  EXPECT_EQ(store.use().index_bytes_max, 50'000u);
  store.FillAsItSays(10);
  EXPECT_GE(store.use().index_bytes, 50'000u);
  EXPECT_LT(store.use().index_bytes, 50'100u);
  EXPECT_LT(store.use().shared_bytes, store.use().shared_bytes_max);
  EXPECT_EQ(store.use().nearest(), MemoryUse::Bound::kIndex);
  store.Remove(store.rows() / 2);
  EXPECT_FALSE(store.use().full());
}

// Free slots may be holes: of a full file system they get no memory, and nobody may touch them.
TEST(FullMemoryStore, ANewBrokerTouchesNoHoles) {
  TemporaryDirectory place;
  if (mount("tmpfs", place.path().c_str(), "tmpfs", 0, "size=8M") != 0) {
    GTEST_SKIP() << "only root may make a small file system";
  }
  {
    FullStore store(place.path(), 1u << 30, RandomSeed());
    store.Fill(1'000);
    store.Remove(store.rows() * 9 / 10);
    std::ofstream somebody(place.path() + "/somebody");
    for (const std::string block(4'096, 'x'); somebody.write(block.data(), 4'096).flush();) {
    }
    store.Reopen();
    for (int round = 0; round < 5; ++round) EXPECT_EQ(store.MoveAll(0), store.rows());
    store.Fill(1'000);
    store.Remove(store.rows());
    store.Check();
  }
  umount(place.path().c_str());
}

}  // namespace
}  // namespace baton
