// What the data directory takes on the disk. Looking is a walk over all files, so with very many of them it
// is done more seldom: it takes at most a twentieth of its thread's time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/time.h"
#include "storage/rocks/data_directory.h"

namespace baton {

class DiskUsage {
 public:
  // The disk watch's thread, or the one that opens.
  void LookAgain(const std::string& path) {
    const SteadyTime begin = std::chrono::steady_clock::now();
    if (begin < next_look_) return;
    bytes_.store(DiskUsageOf(path), std::memory_order_relaxed);
    const SteadyTime end = std::chrono::steady_clock::now();
    next_look_ = end + 20 * (end - begin);
  }
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  SteadyTime next_look_;
  std::atomic<uint64_t> bytes_{0};
};

}  // namespace baton
