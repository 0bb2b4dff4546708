#include "storage/rocks/disk_watch.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "storage/posix_file.h"

namespace baton {
namespace {

// Others write to the disk as well.
constexpr std::chrono::milliseconds kLookEvery{200};

}  // namespace

DiskLimits PlanDiskLimits(uint64_t working_bytes, uint64_t disk_bytes) {
  const uint64_t reserve = std::min(working_bytes, disk_bytes / 10);
  return {.ballast_bytes = reserve,
          .give_bytes = reserve / 8,
          .low_bytes = reserve,
          .ok_bytes = reserve + reserve / 4};
}

absl::StatusOr<DiskSpace> SpaceOf(const std::string& path) {
  struct statvfs info;
  if (statvfs(path.c_str(), &info) != 0)
    return PosixError(fmt::format("cannot look at the disk of {}", path), errno);
  return DiskSpace{.total_bytes = uint64_t{info.f_blocks} * info.f_frsize,
                   .free_bytes = uint64_t{info.f_bavail} * info.f_frsize};
}

DiskWatch::DiskWatch(const DiskLimits& limits, Ballast* ballast, FreeBytes free_bytes)
    : limits_(limits), ballast_(ballast), find_free_bytes_(std::move(free_bytes)) {
  Check();
}

DiskWatch::~DiskWatch() { Stop(); }

DiskState DiskWatch::Check() {
  const std::optional<uint64_t> found = find_free_bytes_();
  if (!found.has_value()) return state();  // the store's own writes will meet what is wrong with the disk
  uint64_t free = *found;
  if (!ballast_->held() && free >= limits_.ok_bytes + limits_.ballast_bytes && ballast_->Take().ok()) {
    free -= std::min(free, limits_.ballast_bytes);
  }
  if (free < limits_.give_bytes && ballast_->Release()) free += limits_.ballast_bytes;
  free_bytes_.store(free, std::memory_order_relaxed);

  DiskState next = state();
  if (!ballast_->held() || free < limits_.low_bytes) {
    next = DiskState::kLow;
  } else if (free >= limits_.ok_bytes) {
    next = DiskState::kOk;
  }
  state_.store(next, std::memory_order_relaxed);
  return next;
}

void DiskWatch::Start(std::function<void(DiskState)> changed) {
  changed_ = std::move(changed);
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "baton-disk");
  const MutexLock lock(mutex_);
  while (!told_first_) wake_.Wait(mutex_);
}

void DiskWatch::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void DiskWatch::Wrote(uint64_t bytes) {
  const uint64_t before = wrote_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  const uint64_t much = limits_.low_bytes / 32;
  if (before + bytes < much || before >= much) return;  // not yet, or said already
  const MutexLock lock(mutex_);
  look_now_ = true;
  wake_.NotifyAll();
}

void DiskWatch::Run() {
  DiskState told = DiskState::kOk;
  while (true) {
    wrote_bytes_.store(0, std::memory_order_relaxed);
    const DiskState now = Check();
    if (now != told) changed_(now);
    told = now;
    const MutexLock lock(mutex_);
    told_first_ = true;
    wake_.NotifyAll();
    const SteadyTime next_look = std::chrono::steady_clock::now() + kLookEvery;
    while (!stopping_ && !look_now_ && wake_.WaitUntil(mutex_, next_look)) continue;
    if (stopping_) return;
    look_now_ = false;
  }
}

}  // namespace baton
