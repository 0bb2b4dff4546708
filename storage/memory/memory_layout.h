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
//   run, run …                                  each at a multiple of 8 bytes
//   run := RunHeader, record …                  sealed when it is complete
//   record := …                                 storage/memory/memory_record.h
//
// A commit is one run, or several when a segment was full; it counts when its last run is sealed. The records
// of rows that it replaced or removed are then marked as dead, in place; the region's header says which
// commit this was done for last, so that a new broker repeats it for the newest one.
//
// Damage is noticed: a run's checksum covers all of it but the `dead` bytes, and these are covered by the
// digest of what is live after the newest commit.
//
// To change the layout: raise kRegionVersion. From the first release on a broker must take over what the
// versions before it left, or an upgrade in place would empty the memory queues: keep a reader of their runs
// (storage/memory/memory_log.cc, Load), and write what it finds into a region of the new version.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace baton {

inline constexpr uint64_t kRegionMagic = 0x314745524E544142;  // the bytes "BATNREG1"
inline constexpr uint32_t kRegionVersion = 2;

// Which records are live after a commit, in a number: the exclusive or of a hash of each one's place.
struct LiveDigest {
  uint64_t commit;
  uint64_t digest;
};
static_assert(sizeof(LiveDigest) == 16);

struct RegionHeader {
  uint64_t magic;
  std::atomic<uint32_t> version;  // written last; 0 until then
  uint32_t header_bytes;
  uint64_t slot_bytes;
  char identity[64];              // of the data directory it belongs to; ended by a zero byte
  char boot_id[64];               // of the kernel's life it was made in
  std::atomic<uint64_t> applied;  // the last commit whose removals were carried out
  LiveDigest live[2];             // after the last commit with an even number, and with an odd one: written
                                  // before that is sealed, so that the other one is whole meanwhile
};
static_assert(offsetof(RegionHeader, version) == 8 && offsetof(RegionHeader, slot_bytes) == 16);
static_assert(offsetof(RegionHeader, identity) == 24 && offsetof(RegionHeader, boot_id) == 88);
static_assert(offsetof(RegionHeader, applied) == 152 && offsetof(RegionHeader, live) == 160);
static_assert(sizeof(RegionHeader) == 192);

// In a table of its own, where no message's bytes can be taken for one.
struct SlotEntry {
  std::atomic<uint64_t> segment;  // that begins here, in the order of use; 0: none does. Written last
  uint64_t slots;                 // it takes
};
static_assert(sizeof(SlotEntry) == 16);

struct RunHeader {
  std::atomic<uint64_t> commit;  // its number; 0: not sealed, and nothing follows
  uint32_t length;               // bytes of the records, and kLastRun
  uint32_t checksum;             // CRC-32C of commit, length and the records without their `dead` bytes
};
static_assert(offsetof(RunHeader, length) == 8 && offsetof(RunHeader, checksum) == 12);
static_assert(sizeof(RunHeader) == 16);
inline constexpr uint32_t kLastRun = 1u << 31;  // of the commit

inline constexpr size_t kPage = 4096;
inline constexpr size_t kSlotsMax = 4096;
// So that lengths and offsets in a segment fit their fields.
inline constexpr size_t kSlotBytesMax = 1u << 30;
inline constexpr size_t kTableOffset = kPage;
inline constexpr size_t kSlotsOffset = kTableOffset + kSlotsMax * sizeof(SlotEntry);
static_assert(kSlotsOffset == 69'632);

// Where the next run begins.
constexpr size_t RunEnd(size_t bytes) { return (bytes + 7) / 8 * 8; }

}  // namespace baton
