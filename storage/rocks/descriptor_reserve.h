// Descriptors kept for the store: clients can take all that the process may have, and a store that cannot
// open a file has failed. Each is an open one that nobody uses, given up when one is needed and none is left.
// THREADS: any.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"

namespace baton {

class DescriptorReserve {
 public:
  // Fewer when the process may not have so many.
  explicit DescriptorReserve(size_t count);
  ~DescriptorReserve();
  DescriptorReserve(const DescriptorReserve&) = delete;
  DescriptorReserve& operator=(const DescriptorReserve&) = delete;

  // None is left for anybody: gives one up. False: some are left, or there is none to give.
  bool ReleaseIfScarce();
  // Takes back what was given up, as far as there are some again.
  void Refill();

 private:
  const size_t count_;
  Mutex mutex_;
  std::vector<int> kept_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace baton
