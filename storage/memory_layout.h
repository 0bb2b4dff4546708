// Every byte of the region in shared memory that holds the rows of memory queues. One writer, the broker; a
// new broker reads what the one before left. Numbers are in the host's byte order: the region never leaves
// the host. docs/storage-format.md draws it.
//
//        0  RegionHeader
//     4096  SlotEntry of slot 0, slot 1 … (kSlotsMax of them)
//    69632  slot 0, slot 1 … of slot_bytes each
//
// A segment is one slot, or several in a row when a record is larger than one. What it holds:
//
//   run, run …
//   run := RunHeader, record …                  sealed when it is complete
//   record := RecordHeader, key, value, padding to 8 bytes
//
// A commit is one run, or several when a segment was full; it counts when its last run is sealed. Its
// removals are then carried out in place, by marking the records they mean as dead; the region's header says
// which commit this was done for last, so that a new broker repeats it for the newest one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace baton {

inline constexpr uint64_t kRegionMagic = 0x314745524E544142;  // the bytes "BATNREG1"
inline constexpr uint32_t kRegionVersion = 1;

struct RegionHeader {
  uint64_t magic;
  std::atomic<uint32_t> version;  // written last; 0 until then
  uint32_t header_bytes;
  uint64_t slot_bytes;
  char identity[64];              // of the data directory it belongs to; ended by a zero byte
  char boot_id[64];               // of the kernel's life it was made in
  std::atomic<uint64_t> applied;  // the last commit whose removals were carried out
};
static_assert(offsetof(RegionHeader, version) == 8 && offsetof(RegionHeader, slot_bytes) == 16);
static_assert(offsetof(RegionHeader, identity) == 24 && offsetof(RegionHeader, boot_id) == 88);
static_assert(offsetof(RegionHeader, applied) == 152 && sizeof(RegionHeader) == 160);

// In a table of its own, where no message's bytes can be taken for one.
struct SlotEntry {
  std::atomic<uint64_t> segment;  // that begins here, in the order of use; 0: none does. Written last
  uint64_t slots;                 // it takes
};
static_assert(sizeof(SlotEntry) == 16);

struct RunHeader {
  std::atomic<uint64_t> commit;  // its number; 0: not sealed, and nothing follows
  uint64_t bytes;                // of the records
  uint32_t is_last;              // of the commit
  uint32_t records;
  uint64_t reserved;
};
static_assert(sizeof(RunHeader) == 32);

struct RecordHeader {
  uint32_t value_bytes;
  uint16_t key_bytes;
  uint8_t kind;  // Commit::Kind
  std::atomic<uint8_t> dead;
};
static_assert(sizeof(RecordHeader) == 8);

inline constexpr size_t kPage = 4096;
inline constexpr size_t kSlotsMax = 4096;
inline constexpr size_t kTableOffset = kPage;
inline constexpr size_t kSlotsOffset = kTableOffset + kSlotsMax * sizeof(SlotEntry);
static_assert(kSlotsOffset == 69'632);

constexpr size_t RecordBytes(size_t key_bytes, size_t value_bytes) {
  return (sizeof(RecordHeader) + key_bytes + value_bytes + 7) / 8 * 8;
}

}  // namespace baton
