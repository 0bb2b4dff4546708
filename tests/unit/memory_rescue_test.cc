// What a damaged region of shared memory still holds: whole queues, and no part of any other.
#include "storage/memory_rescue.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "storage/format/row_audit.h"
#include "storage/memory/memory_layout.h"
#include "tests/support/message_rows_of.h"
#include "tests/support/random_seed.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

constexpr int kQueues = 5;

class Rescue : public testing::Test {
 protected:
  static QueueId Number(int queue) { return QueueId(static_cast<uint32_t>(10 + queue) | kMemoryQueueBit); }
  MemoryRegion::Options Options() const {
    return {
        .path = directory.path() + "/region", .identity = "id", .boot_id = "boot", .bytes_max = 32u << 20};
  }

  // As a broker does: each message in a commit of its own, with the ledger.
  void Fill(int messages) {
    auto created = MemoryStore::Create(Options());
    ASSERT_TRUE(created.ok()) << created.status();
    for (int i = 0; i < kQueues; ++i) {
      queues.insert(Number(i));
      rows.emplace(Number(i), MessageRowsOf(Number(i)));
      Commit(**created, Number(i));
    }
    for (int i = 1; i <= messages; ++i) {
      const QueueId queue = Number(static_cast<int>(random() % kQueues));
      const auto seq = static_cast<uint64_t>(i);
      const std::string body(random() % 3'000, 'x');
      switch (random() % 4) {
        case 0:
          rows.at(queue).Returned(seq, body);
          break;
        case 1:
          rows.at(queue).Parked(seq, body);
          break;
        case 2:
          rows.at(queue).Mortal(seq, body);
          break;
        default:
          rows.at(queue).Ready(seq, body);
      }
      Commit(**created, queue);
    }
  }
  void Damage(int bytes) {
    std::fstream file(Options().path, std::ios::in | std::ios::out | std::ios::binary);
    for (; bytes > 0; --bytes) {
      const auto at = static_cast<std::streamoff>(kSlotsOffset + random() % end_of_records);
      file.seekg(at);
      const int before = file.get();
      file.seekp(at).put(static_cast<char>(before ^ (1 << (random() % 8))));
    }
  }
  // Of `store`, what belongs to the queue.
  static MessageRowsOf::Rows RowsOf(const MemoryStore& store, QueueId queue) {
    MessageRowsOf::Rows found;
    EXPECT_TRUE(store
                    .Scan("", "\xff",
                          [&](std::string_view key, std::string_view value) {
                            const bool is_locator = key[0] == static_cast<char>(RowKind::kLocator);
                            const std::string_view row = is_locator ? DecodeLocator(value).value() : key;
                            if (QueueOfRow(row) == queue) found.emplace(key, value);
                            return absl::OkStatus();
                          })
                    .ok());
    return found;
  }

  TemporaryDirectory directory = TemporaryDirectory(TemporaryDirectory::InMemory());
  std::mt19937_64 random{RandomSeed()};
  std::set<QueueId> queues;
  std::map<QueueId, MessageRowsOf> rows;
  size_t end_of_records = 1;

 private:
  void Commit(MemoryStore& store, QueueId queue) {
    baton::Commit commit;
    const auto now = rows.at(queue).rows();
    for (const auto& [key, value] : now) {
      if (const auto there = store.Find(key); there != value) commit.Put(key, value);
    }
    for (const auto& [key, value] : RowsOf(store, queue)) {
      if (!now.contains(key)) commit.Delete(key);
    }
    ASSERT_TRUE(store.MakeRoom(2 * commit.bytes(), 4'000).ok());
    ASSERT_TRUE(store.Apply(commit).ok());
    end_of_records = store.bytes_live();
  }
};

TEST_F(Rescue, KeepsTheQueuesThatAreWholeAndNoPartOfAnother) {
  int kept = 0;
  int lost = 0;
  for (int round = 0; round < 150; ++round) {
    SCOPED_TRACE(round);
    for (const auto& file : std::filesystem::directory_iterator(directory.path()))
      std::filesystem::remove(file.path());
    rows.clear();
    Fill(60);
    Damage(1 + static_cast<int>(random() % 2));
    auto adoption = MemoryStore::Adopt(Options());
    ASSERT_TRUE(adoption.ok()) << adoption.status();
    if (adoption->damaged == nullptr) continue;  // it hit nothing that counts, or all of it
    auto into = MemoryStore::Create(Options());
    ASSERT_TRUE(into.ok()) << into.status();
    const std::set<QueueId> without = RescueQueues(*adoption->damaged, queues, **into);
    for (const QueueId queue : queues) {
      const bool is_lost = without.contains(queue);
      ++(is_lost ? lost : kept);
      EXPECT_EQ(RowsOf(**into, queue), is_lost ? MessageRowsOf::Rows() : rows.at(queue).rows());
    }
  }
  EXPECT_GT(kept, 100);
  EXPECT_GT(lost, 10);
}

}  // namespace
}  // namespace baton
