// The store of a simulated broker: the fake store as its disk, and over it the real TieredStore with a real
// region in shared memory. The test decides when the disk writes, syncs and reads, when answers arrive, and
// what a crash leaves. REQUIRES: one thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/tiered_store.h"
#include "tests/support/fake_store.h"
#include "tests/support/temporary_directory.h"

namespace baton {

class SimulatedStore : private Store::Listener {
 public:
  SimulatedStore();
  ~SimulatedStore() override;

  // As a broker begins: opens what is there, loads rows, and goes to work.
  void Open();
  absl::Status Scan(RowKind kind,
                    const std::function<absl::Status(std::string_view key, std::string_view value)>& visit);
  void Start();

  void Submit(CommitNumber number, Commit commit, Promise promise);
  void Read(ReadRequest request) { tiered_->Read(std::move(request)); }

  // Of all commits: of one that only concerns memory queues, when those before it are.
  CommitNumber submitted() const { return submitted_; }
  CommitNumber written() const { return written_; }
  CommitNumber synced() const { return synced_; }

  // The disk's work.
  size_t unwritten() const { return disk_rows_.unwritten(); }
  size_t unsynced() const { return disk_rows_.unsynced(); }
  void WriteOne();
  void Sync();
  // The oldest read of the disk that has not looked yet looks now, if every commit before it is written.
  bool LookOne();

  // The oldest answer arrives.
  std::optional<ReadResult> TakeAnswer();
  bool HasReads() const { return disk_rows_.HasReads() || !answers_.empty(); }
  // What reads this row of the disk fails, until it is healed.
  void Damage(const std::string& key) { disk_rows_.Damage(key); }
  void Heal() { disk_rows_.Heal(); }
  // Of the disk: of a message, or that tells where or how often it was; `choice` decides. "": there is none.
  std::string AnyRowOfAMessage(uint64_t choice) const;
  // Shared memory. Others fill it, and make room again.
  MemoryRoom memory_room() const;
  absl::Status MakeMemoryRoom(size_t bytes, size_t message_bytes, MemoryRoom& room);
  void FillMemory(bool is_full) { is_full_ = is_full; }

  enum class Memory {
    kKept,      // kill -9: all that was handed over is there
    kLost,      // the machine was started again
    kUnusable,  // the region is damaged: it is set aside
  };
  struct Survived {
    CommitNumber on_disk;    // every commit up to this one
    CommitNumber in_memory;  // likewise; none when memory was lost
  };
  // Of what the disk has written and not synced, the first `keep_unsynced` commits stay. Numbers start again.
  Survived Crash(size_t keep_unsynced, Memory memory);

  size_t CountOf(RowKind kind);  // disk and memory

 private:
  class Disk;

  void OnProgress(CommitNumber written, CommitNumber synced) override;
  void OnRead(ReadResult result) override { answers_.push_back(std::move(result)); }
  void OnDiskState(DiskState /*state*/) override {}
  void OnFailed(absl::Status status) override;
  std::string RegionPath() const { return directory_.path() + "/region"; }
  std::set<QueueId> MemoryQueues() const;
  void AuditDisk() const;

  const TemporaryDirectory directory_{TemporaryDirectory::InMemory()};
  FakeStore disk_rows_;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<TieredStore> tiered_;
  int boots_ = 1;
  bool set_aside_expected_ = false;
  bool is_full_ = false;
  std::vector<std::pair<CommitNumber, CommitNumber>> handed_over_;  // and the last one the disk was given
  CommitNumber submitted_;
  CommitNumber written_;
  CommitNumber synced_;
  std::deque<ReadResult> answers_;
};

}  // namespace baton
