// A region in shared memory, made of slots of one size (storage/memory_layout.h): a file in /dev/shm that
// belongs to one data directory and outlives the broker's process. Knows slots, not what is in them.
//
// Memory is asked for before it is touched, so a small /dev/shm is an error here and no signal later.
// THREADS: one.
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/memory_layout.h"

namespace baton {

class MemoryRegion {
 public:
  struct Options {
    std::string path;              // in /dev/shm, or another tmpfs
    std::string identity;          // of the data directory; at most 63 bytes
    std::string boot_id;           // of this life of the kernel; likewise
    size_t bytes_max = 0;          // of the file; at most kSlotsMax slots
    size_t slot_bytes = 1u << 20;  // of a new region; a multiple of the page size
    uint32_t slots_in_hand = 8;    // free ones that keep their memory
  };

  // Of a region of so many bytes: as many slots as there may be, and small.
  static size_t SlotBytesFor(size_t bytes_max);

  // A new one. ERRORS: ALREADY_EXISTS; RESOURCE_EXHAUSTED when there is no room for its header.
  static absl::StatusOr<std::unique_ptr<MemoryRegion>> Create(const Options& options);
  // The one that is there. Its slots count as used until Free. ERRORS: NOT_FOUND; DATA_LOSS: it is not ours,
  // of another life of the kernel, of another version, or damaged.
  static absl::StatusOr<std::unique_ptr<MemoryRegion>> Open(const Options& options);

  MemoryRegion(const MemoryRegion&) = delete;
  MemoryRegion& operator=(const MemoryRegion&) = delete;
  ~MemoryRegion();

  // So many slots in a row, with memory behind them; the first one's number. May go beyond bytes_max, to
  // twice of it: for what must be stored though it is full. ERRORS: RESOURCE_EXHAUSTED, with nothing changed.
  absl::StatusOr<uint32_t> Take(uint32_t slots);
  // They may be taken again. Their memory goes back to the system, but for twice slots_in_hand.
  void Free(uint32_t first, uint32_t slots);
  void Use(uint32_t first, uint32_t slots);  // after Open: they are taken
  void FreeRest();                           // after Open: all others are not
  // So many free slots have memory, ready to be taken, within bytes_max. ERRORS: RESOURCE_EXHAUSTED: fewer
  // have.
  absl::Status KeepInHand(uint32_t slots);

  char* At(uint32_t slot) const { return base() + kSlotsOffset + size_t{slot} * slot_bytes_; }
  SlotEntry& EntryOf(uint32_t slot) const {
    return reinterpret_cast<SlotEntry*>(base() + kTableOffset)[slot];
  }
  RegionHeader& header() const { return *reinterpret_cast<RegionHeader*>(base()); }
  size_t slot_bytes() const { return slot_bytes_; }
  uint32_t slots() const { return static_cast<uint32_t>(state_.size()); }  // that the file has
  uint32_t slots_max() const { return slots_max_; }
  uint32_t slots_used() const { return used_; }

 private:
  enum class SlotState : uint8_t { kUsed, kBacked, kBare };  // in use; free with memory; free without

  MemoryRegion(const Options& options, int fd);
  absl::Status Lock();  // FAILED_PRECONDITION: another process has it
  absl::Status MapAll();
  void SetLimits();
  char* base() const { return static_cast<char*>(mapping_.get_address()); }
  std::optional<uint32_t> FindFree(uint32_t slots) const;
  absl::Status Back(uint32_t first, uint32_t slots);

  const Options options_;
  const int fd_;
  size_t slot_bytes_ = 0;
  uint32_t slots_max_ = 0;     // within bytes_max
  uint32_t slots_mapped_ = 0;  // that there may ever be
  boost::interprocess::mapped_region mapping_;
  std::vector<SlotState> state_;
  uint32_t used_ = 0;
  uint32_t backed_ = 0;  // free ones with memory
};

}  // namespace baton
