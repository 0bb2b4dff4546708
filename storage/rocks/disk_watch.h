// DiskWatch looks at the free space of the store's file system and says when publishers have to be refused.
//
//   free space    ballast     state
//   -----------------------------------------------------------------------------
//   ok_bytes …    held        kOk; between low_bytes and ok_bytes as it was before
//   … low_bytes   held        kLow
//   … give_bytes  given up    kLow, until ok_bytes and the ballast are free again: then it is taken back
//
// The ballast is also given up by whoever meets a full disk first (rocks_space_guard.h). A start with less
// than ok_bytes free, or without the ballast, starts kLow. THREADS: Check and the callback on the watch's own
// thread, except the first Check, in the constructor.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "storage/rocks/ballast.h"
#include "storage/store.h"

namespace baton {

struct DiskLimits {
  uint64_t ballast_bytes = 0;
  uint64_t give_bytes = 0;  // less free: the ballast is given up
  uint64_t low_bytes = 0;   // less free: publishers are refused
  uint64_t ok_bytes = 0;    // as much free again: publishers are served
};

// Sizes for a store that may need `working_bytes` at once (log, memtables, a compaction), on a file system of
// `disk_bytes`.
DiskLimits PlanDiskLimits(uint64_t working_bytes, uint64_t disk_bytes);

struct DiskSpace {
  uint64_t total_bytes = 0;
  uint64_t free_bytes = 0;  // for us, without what is reserved for root
};
absl::StatusOr<DiskSpace> SpaceOf(const std::string& path);

class DiskWatch {
 public:
  using FreeBytes = std::function<std::optional<uint64_t>()>;  // nullopt: could not be found out

  // Borrows the ballast. Looks once: state() is right from the beginning.
  DiskWatch(const DiskLimits& limits, Ballast* ballast, FreeBytes free_bytes);
  ~DiskWatch();

  // One look; moves the ballast; what to tell publishers.
  DiskState Check();
  DiskState state() const { return state_.load(std::memory_order_relaxed); }
  uint64_t free_bytes() const { return free_bytes_.load(std::memory_order_relaxed); }

  // That much was written: looks at once when it is much against low_bytes. Any thread; does not block.
  void Wrote(uint64_t bytes);

  // `changed` is told every change, and kLow at once if it is so now. BLOCKS until that first word is said.
  void Start(std::function<void(DiskState)> changed);
  void Stop();

 private:
  void Run();

  const DiskLimits limits_;
  Ballast* const ballast_;
  const FreeBytes find_free_bytes_;
  std::function<void(DiskState)> changed_;

  std::atomic<DiskState> state_{DiskState::kLow};
  std::atomic<uint64_t> free_bytes_{0};
  std::atomic<uint64_t> wrote_bytes_{0};  // since the last look

  Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool look_now_ ABSL_GUARDED_BY(mutex_) = false;
  bool told_first_ ABSL_GUARDED_BY(mutex_) = false;
  CondVar wake_;
  std::thread thread_;
};

}  // namespace baton
