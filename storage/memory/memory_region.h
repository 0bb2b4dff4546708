// A region in shared memory, made of slots of one size (storage/memory/memory_layout.h): a file in /dev/shm
// that belongs to one data directory and outlives the broker's process. Knows slots, not what is in them.
//
// Memory is asked for before it is touched, so a small /dev/shm is an error here and no signal later.
// THREADS: one.
#pragma once

#include <algorithm>
#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/memory/memory_layout.h"

namespace baton {

class MemoryRegion {
 public:
  struct Options {
    std::string path;                   // in /dev/shm, or another tmpfs
    std::string identity;               // of the data directory; at most 63 bytes
    std::string boot_id;                // of this life of the kernel; likewise
    size_t bytes_max = 0;               // of the file; at most kSlotsMax slots
    size_t slot_bytes = 1u << 20;       // of a new region; a multiple of the page size
    size_t index_bytes_max = SIZE_MAX;  // of the process's own memory, for what leads to its rows
  };

  // Of a region of so many bytes: small, and with twice the numbers that it needs, for its file may have
  // holes.
  static size_t SlotBytesFor(size_t bytes_max);

  // A new one. ERRORS: ALREADY_EXISTS; RESOURCE_EXHAUSTED when there is no room for its header, or a shortage
  // of descriptors or memory, which passes; FAILED_PRECONDITION when no file can be made there.
  static absl::StatusOr<std::unique_ptr<MemoryRegion>> Create(const Options& options);
  // The one that is there. Its slots count as used until Free. ERRORS: NOT_FOUND; DATA_LOSS: it is not ours,
  // of another life of the kernel, of another version, or damaged; RESOURCE_EXHAUSTED in a shortage;
  // FAILED_PRECONDITION: it cannot be opened, or is in use.
  static absl::StatusOr<std::unique_ptr<MemoryRegion>> Open(const Options& options);

  // Gives the file another name; where it lies then, and why. ERRORS: INTERNAL.
  static absl::StatusOr<std::string> SetAside(const std::string& path, std::string_view why);
  static void Remove(const std::string& path);

  MemoryRegion(const MemoryRegion&) = delete;
  MemoryRegion& operator=(const MemoryRegion&) = delete;
  ~MemoryRegion();

  // So many slots in a row, with memory behind them; the first one's number. Never fails for want of memory
  // while so many are in hand. ERRORS: RESOURCE_EXHAUSTED, with no slot taken.
  absl::StatusOr<uint32_t> Take(uint32_t slots);
  // They may be taken again, and keep their memory.
  void Free(uint32_t first, uint32_t slots);
  // What was in hand all the time since the last call, beyond `kept` slots (of a system that was low on
  // memory: four times as many), gives its memory back: a part of it, so that it does not take long.
  void GiveBackIdle();
  void set_kept(uint32_t slots) { kept_ = slots; }
  void Use(uint32_t first, uint32_t slots);  // after Open: they are taken
  void FreeRest();                           // after Open: all others are not
  // Free slots with memory, ready to be taken.
  uint32_t in_hand() const { return backed_; }
  // At least so many are in hand. ERRORS: RESOURCE_EXHAUSTED: fewer are.
  absl::Status KeepInHand(uint32_t slots);
  // How many more could be in hand; and the reason why there are no more.
  uint32_t Available() const;
  absl::Status WhyNoMore() const;
  // What there may be, by one look at the system: between two, others take memory and give it back.
  struct Extent {
    uint32_t slots = 0;            // used, in hand, and those that could be in hand
    size_t bytes = 0;              // with a header: bytes_max (or more: AllowAtLeast), or what the system has
    bool system_has_less = false;  // than its limit allows: that is all there is
  };
  Extent Look() const;
  // May have so many slots, used and in hand, whatever bytes_max says: of a region that was larger.
  void AllowAtLeast(uint32_t slots);

  char* At(uint32_t slot) const { return base() + kSlotsOffset + size_t{slot} * slot_bytes_; }
  SlotEntry& EntryOf(uint32_t slot) const {
    return reinterpret_cast<SlotEntry*>(base() + kTableOffset)[slot];
  }
  RegionHeader& header() const { return *reinterpret_cast<RegionHeader*>(base()); }
  size_t slot_bytes() const { return slot_bytes_; }
  uint32_t slots() const { return static_cast<uint32_t>(state_.size()); }  // that the file has
  uint32_t slots_max() const { return slots_max_; }
  // What there may be at most: bytes_max, or the size of its file system.
  size_t Capacity() const;
  uint32_t slots_used() const { return used_; }

 private:
  enum class SlotState : uint8_t { kUsed, kBacked, kBare };  // in use; free with memory; free without

  MemoryRegion(const Options& options, int fd);
  absl::Status Make();
  // More slots that may have memory, whether or not the system has it; and all, with the header.
  uint32_t Allowed() const { return slots_max_ - std::min(slots_max_, used_ + backed_); }
  size_t AllowedBytes() const;
  absl::Status Lock();  // FAILED_PRECONDITION: another process has it
  absl::Status MapAll();
  void SetLimits();
  char* base() const { return static_cast<char*>(mapping_.get_address()); }
  std::optional<uint32_t> FindFree(SlotState wanted, uint32_t slots) const;
  absl::Status Back(uint32_t first, uint32_t slots);
  absl::Status BackRun(uint32_t first, uint32_t slots);
  void PunchOutside(uint32_t first, uint32_t slots, uint32_t count);
  void Punch(uint32_t slot);

  const Options options_;
  const int fd_;
  size_t slot_bytes_ = 0;
  uint32_t slots_max_ = 0;     // with memory
  uint32_t slots_mapped_ = 0;  // that there may ever be: more, for free ones in a row are found at the end
  uint32_t kept_ = 0;
  bool system_is_low_ = false;  // had no memory when it was asked last
  boost::interprocess::mapped_region mapping_;
  std::vector<SlotState> state_;
  uint32_t used_ = 0;
  uint32_t backed_ = 0;        // free ones with memory
  uint32_t least_backed_ = 0;  // since GiveBackIdle
};

}  // namespace baton
