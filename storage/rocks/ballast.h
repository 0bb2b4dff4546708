// Ballast is disk space kept back as a file, to be given up when the disk is full: so that acks, which free
// space in the end, are still written.
//
// THREADS: any; Release may come from RocksDB's threads.
#pragma once

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "base/mutex.h"

namespace baton {

class Ballast {
 public:
  // Takes over the file of an earlier life if it has the size. bytes 0: no ballast; it counts as held.
  Ballast(std::string path, uint64_t bytes);

  uint64_t bytes() const { return bytes_; }
  bool held() const;

  // BLOCKS. Reserves the space. RESOURCE_EXHAUSTED when there is none.
  absl::Status Take();
  // Gives it up. True: there was something to give.
  bool Release();

 private:
  const std::string path_;
  const uint64_t bytes_;
  mutable Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace baton
