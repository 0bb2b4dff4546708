// The log of commits in a region of shared memory (storage/memory/memory_layout.h): writes them, finds them
// again, and knows of each segment how much of it is live. Knows records, not what their keys mean.
//
// THREADS: one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/format/commit.h"
#include "storage/memory/memory_record.h"
#include "storage/memory/memory_region.h"

namespace baton {

class MemoryLog {
 public:
  struct Place {
    uint32_t segment = 0;  // its first slot
    uint32_t offset = 0;   // of the record, from the segment's start
  };
  // Records in a row, of one commit.
  struct Run {
    uint64_t commit = 0;
    bool is_last = false;
    Place first;
    size_t bytes = 0;
  };

  explicit MemoryLog(std::unique_ptr<MemoryRegion> region) : region_(std::move(region)) {}
  MemoryLog(const MemoryLog&) = delete;
  MemoryLog& operator=(const MemoryLog&) = delete;

  MemoryRegion& region() { return *region_; }
  const MemoryRegion& region() const { return *region_; }

  // ---- Once, on a region that was there: its runs in the order in which they were written, all checked.
  // ERRORS: DATA_LOSS.
  enum class Damage : uint8_t { kRefused, kLeftOut };  // a run, or the rest of a segment, that is damaged
  absl::Status Load(std::vector<Run>& runs, Damage damage = Damage::kRefused);
  uint64_t applied() const { return region_->header().applied.load(std::memory_order_acquire); }
  // Are the rows that were found (AddLive, Drop) those that this commit left?
  bool AreThoseAfter(uint64_t commit) const;
  // Which commit was the last that counts; the runs of later ones are made void.
  void GoOnAfter(uint64_t last_commit, const std::vector<Run>& runs);

  // ---- Writing. A commit is appended, then it is said which rows it makes and which it removes, then it is
  // finished: only then it counts.

  // ERRORS: RESOURCE_EXHAUSTED, with nothing changed.
  absl::StatusOr<std::vector<Run>> Append(const Commit& commit);
  void AddLive(Place place);  // a row's record
  void Drop(Place place);     // it is no row any more
  // Seals it, marks the records of dropped rows as dead, and gives up the segments where nothing is live.
  void Finish();

  // Slots in a row for a record of so many bytes.
  uint32_t SlotsFor(size_t bytes) const;
  // Could a record of so many bytes be written now? ERRORS: RESOURCE_EXHAUSTED.
  absl::Status TryPlace(size_t bytes);
  // The segment with the least part live, below `least`, of those that can be copied with what is in hand;
  // its live records as a commit. Absent: there is none so sparse.
  std::optional<Commit> CopySparsest(double least) const;
  // Slots that copying all those would gain, with so many bytes of records in each slot that they are copied
  // to.
  uint32_t SlotsToGain(double least, size_t fill) const;

  // ---- Records.

  std::string_view ValueAt(Place place) const { return ValueOfRecord(At(place)); }
  // visit(const RecordReader&, Place)
  template <class Visit>
  void ForEachRecord(const Run& run, Visit&& visit) const {
    RecordReader reader(Records(run));
    while (reader.Next()) {
      visit(reader, Place{run.first.segment, run.first.offset + static_cast<uint32_t>(reader.offset())});
    }
  }

  size_t live_bytes() const { return live_bytes_; }
  // At least the largest record of a row that is there or expected.
  size_t largest() const { return largest_; }
  // What is expected no more, or is gone with its segment, does not count any longer.
  void MeasureLargest();
  void Expect(size_t record_bytes) { largest_ = std::max(largest_, record_bytes); }

  // For tests: called before each store that a new broker would see.
  void set_step(std::function<void()> step) { step_ = std::move(step); }

 private:
  struct SegmentInfo {
    uint32_t slots = 1;
    size_t live_bytes = 0;
    size_t largest = 0;  // record that ever was live in it
  };

  absl::Status ReadTable(std::map<uint64_t, uint32_t>& by_number);
  absl::Status ReadRuns(uint32_t segment, std::vector<Run>& runs) const;
  absl::Status Check(const Run& run) const;

  absl::Status Reserve(const Commit& commit);
  void Write(const Commit::Op& op);
  void WriteRecord(const RecordShape& shape, std::string_view key);
  void OpenSegment();
  void BeginRun();
  void EndRun();
  void Seal(const Run& run);
  void CarryOut();
  void FreeIfEmpty(uint32_t segment);
  char* At(Place place) const { return region_->At(place.segment) + place.offset; }
  RunHeader& HeaderOf(const Run& run) const;
  std::string_view Records(const Run& run) const { return {At(run.first), run.bytes}; }
  bool CanBeCopied(uint32_t first, const SegmentInfo& segment) const;
  double PartLive(const SegmentInfo& segment) const;
  size_t SegmentBytes(uint32_t segment) const { return segments_.at(segment).slots * region_->slot_bytes(); }
  void Step() const {
    if (step_) step_();
  }

  const std::unique_ptr<MemoryRegion> region_;
  std::function<void()> step_;
  std::map<uint32_t, SegmentInfo> segments_;  // by first slot
  size_t live_bytes_ = 0;
  size_t largest_ = 0;
  uint64_t live_digest_ = 0;
  uint64_t last_commit_ = 0;
  uint64_t last_segment_ = 0;
  std::vector<Place> dropped_;     // by the commit at hand
  std::vector<uint32_t> emptied_;  // segments that may be free once the commit is carried out

  // The commit that is being written.
  uint32_t active_ = UINT32_MAX;                         // segment
  size_t end_ = 0;                                       // of what is written in it
  std::optional<size_t> run_at_;                         // of the open run's header, in it
  std::string_view previous_;                            // key in the open run
  uint32_t checksum_ = 0;                                // of the open run, so far
  std::vector<Run> written_;                             // the last one is not sealed before Finish
  std::vector<std::pair<uint32_t, uint32_t>> reserved_;  // segments to come: first slot, slots; in order
  size_t next_reserved_ = 0;
};

}  // namespace baton
