// How full memory queues' memory is, in the quantities by which publishers to them are refused. There are
// three bounds: option memory_queue_bytes and the file system for what lies in shared memory, and a share of
// memory_budget for the index of it in the broker's own memory. And there may be no shared memory to be had.
#pragma once

#include <cstddef>
#include <cstdint>

namespace baton {

struct MemoryUse {
  enum class Bound : uint8_t {
    kSharedMemory = 1,  // memory_queue_bytes
    kFileSystem = 2,    // has less than that
    kIndex = 3,
    kUnavailable = 4,  // no region can be made, and not for want of room
  };

  // What messages take, what the records of gone ones hold until they are copied together, and what is kept
  // in reserve, so that messages that are there can always be settled. Not what could be had for the asking:
  // a segment that is worth copying forward counts as what is live in it.
  size_t shared_bytes = 0;
  size_t shared_bytes_max = 0;        // 0: a region is wanted, and cannot be made
  bool file_system_has_less = false;  // than memory_queue_bytes: shared_bytes_max is what it has
  bool unavailable = false;           // it cannot be made, and no consumer makes room for it
  size_t index_bytes = 0;
  size_t index_bytes_max = 0;

  // The one that is reached first.
  Bound nearest() const {
    if (unavailable) return Bound::kUnavailable;
    if (Part(index_bytes, index_bytes_max) > Part(shared_bytes, shared_bytes_max)) return Bound::kIndex;
    return file_system_has_less ? Bound::kFileSystem : Bound::kSharedMemory;
  }
  // A message as large as the largest there is would be refused.
  bool full() const {
    return unavailable || shared_bytes >= shared_bytes_max || index_bytes >= index_bytes_max;
  }

  friend bool operator==(const MemoryUse&, const MemoryUse&) = default;

 private:
  static double Part(size_t bytes, size_t max) {
    return max == 0 ? 1.0 : static_cast<double>(bytes) / static_cast<double>(max);
  }
};

}  // namespace baton
