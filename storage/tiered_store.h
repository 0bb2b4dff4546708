// Two stores as one: the rows of memory queues are kept in shared memory (MemoryStore), all others by a store
// below, on disk; a locator is where the row is that it names; producers have rows of their own kind in
// memory.
//
// A commit has a part for each (storage/format/commit.h); that in memory is done when Submit returns
// (Promise::kApplied), and is not undone when the part on disk is lost. Reads of memory are answered at once,
// through the listener; a range over all queues is merged from both.
//
// The region is made with the first row, and goes with the last one. THREADS: as Store.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "storage/idle_rows.h"
#include "storage/memory/memory_store.h"
#include "storage/store.h"

namespace baton {

class TieredStore final : public Store, private Store::Listener {
 public:
  // Looks for a region that is there, and keeps of it what belongs to `queues`: memory queues whose
  // definitions are on disk. `disk` outlives this object. ERRORS: INTERNAL when what cannot be used cannot be
  // set aside either.
  static absl::StatusOr<std::unique_ptr<TieredStore>> Open(Store* disk, const MemoryRegion::Options& region,
                                                           const std::set<QueueId>& queues);

  // Of the region that was there: nothing when there was none.
  const MemoryStore::Adopted& adopted() const { return adopted_; }

  // Told of a file that lies where a region is to be made, though none was there at the opening: where it is
  // now, and why. Owner thread. REQUIRES: before Start.
  void TellSetAside(std::function<void(const std::string& set_aside)> tell) {
    tell_set_aside_ = std::move(tell);
  }

  void Start(Store::Listener* listener) override;
  void Stop() override { disk_->Stop(); }
  absl::Status Submit(CommitNumber number, Commit commit, Promise promise) override;
  void LookAgain() override;
  MemoryRoom memory_room() override;
  MemoryUse memory_use() override;
  absl::Status MakeMemoryRoom(size_t bytes, size_t message_bytes) override;
  void Read(ReadRequest request) override;
  absl::Status ScanNow(
      const std::string& begin, const std::string& end,
      const std::function<absl::Status(std::string_view key, std::string_view value)>& visit) override;
  Stats stats() const override { return disk_->stats(); }

 private:
  TieredStore(Store* disk, const MemoryRegion::Options& region) : disk_(disk), region_(region) {}

  absl::Status ApplyToMemory(const Commit& commit);
  std::vector<std::string> Leftovers(const Commit& commit) const;
  bool LeadsToARow(std::string_view key) const;  // a locator, of a message that is there
  absl::Status OpenMemory();
  void CloseMemoryIfEmpty();
  void Rescue(const MemoryStore& damaged, const std::set<QueueId>& queues);
  absl::Status Judge(const MemoryStore& rows, const std::set<QueueId>& queues);
  void ReadBoth(ReadRequest request);
  static ReadResult Merge(ReadResult disk, ReadResult memory, size_t rows_max);

  void OnProgress(CommitNumber written, CommitNumber synced) override;
  void OnRead(ReadResult result) override;
  void OnDiskState(DiskState state) override { listener_->OnDiskState(state); }
  void OnFailed(absl::Status status) override { listener_->OnFailed(std::move(status)); }
  void TellProgress(std::unique_lock<std::mutex> lock);  // of progress_mutex_

  // Constant after Start.
  Store* const disk_;
  const MemoryRegion::Options region_;
  Store::Listener* listener_ = nullptr;
  std::function<void(const std::string& set_aside)> tell_set_aside_;

  // Owner thread.
  std::unique_ptr<MemoryStore> memory_;  // null: there are no rows
  MemoryStore::Adopted adopted_;
  IdleRows idle_;
  bool memory_wanted_ = false;  // there are memory queues
  absl::Status refused_;        // why there was no room when it was asked for last …
  size_t refused_bytes_ = 0;    // … for so much
  size_t refused_message_bytes_ = 0;
  CommitNumber disk_submitted_;

  // Any thread.
  std::mutex progress_mutex_;
  // Commits not known to be synced: ours, and the last one the disk was given by then.
  std::deque<std::pair<CommitNumber, CommitNumber>> submitted_;
  size_t written_count_ = 0;  // of these, written: the first ones
  CommitNumber disk_written_;
  CommitNumber disk_synced_;
  CommitNumber written_;
  CommitNumber synced_;
  std::mutex reads_mutex_;
  absl::flat_hash_map<ReadId, std::pair<ReadResult, size_t>> half_read_;  // memory's half, rows_max
};

}  // namespace baton
