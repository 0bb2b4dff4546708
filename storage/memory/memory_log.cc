#include "storage/memory/memory_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <optional>

#include "base/check.h"
#include "storage/crc32c.h"

namespace baton {
namespace {

absl::Status Damaged(std::string_view what) {
  return absl::DataLossError(fmt::format("its contents make no sense: {}", what));
}

template <class Number>
std::string_view BytesOf(const Number& number) {
  return {reinterpret_cast<const char*>(&number), sizeof(number)};
}

uint32_t ChecksumOfRun(uint32_t of_records, uint64_t commit, uint32_t length) {
  return ExtendCrc32c(ExtendCrc32c(of_records, BytesOf(commit)), BytesOf(length));
}

// A place's part of the digest: its bits well mixed (splitmix64's finish).
uint64_t HashOf(MemoryLog::Place place) {
  uint64_t bits = (uint64_t{place.segment} << 32 | place.offset) + 0x9e3779b97f4a7c15;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  return bits ^ (bits >> 31);
}

}  // namespace

// ---- Loading.

absl::Status MemoryLog::Load(std::vector<Run>& runs, Damage damage) {
  std::map<uint64_t, uint32_t> by_number;
  if (absl::Status read = ReadTable(by_number); !read.ok()) return read;
  for (const auto& [number, first] : by_number) {
    const size_t before = runs.size();
    absl::Status read = ReadRuns(first, runs);
    const auto bad =
        std::remove_if(runs.begin() + static_cast<std::ptrdiff_t>(before), runs.end(), [&](const Run& run) {
          const absl::Status checked = Check(run);
          read.Update(checked);
          return !checked.ok();
        });
    if (!read.ok() && damage == Damage::kRefused) return read;
    runs.erase(bad, runs.end());
    last_segment_ = number;
  }
  return absl::OkStatus();
}

absl::Status MemoryLog::ReadTable(std::map<uint64_t, uint32_t>& by_number) {
  for (uint32_t slot = 0; slot < region_->slots();) {
    const SlotEntry& entry = region_->EntryOf(slot);
    const uint64_t number = entry.segment.load(std::memory_order_acquire);
    if (number == 0) {
      ++slot;
      continue;
    }
    if (entry.slots == 0 || entry.slots > region_->slots() - slot) return Damaged("the table of segments");
    if (entry.slots * region_->slot_bytes() > kSlotBytesMax) return Damaged("the table of segments");
    if (!by_number.emplace(number, slot).second) return Damaged("two segments of one number");
    const auto slots = static_cast<uint32_t>(entry.slots);
    segments_[slot] = {.slots = slots, .live_bytes = 0, .largest = 0};
    region_->Use(slot, slots);
    slot += slots;
  }
  return absl::OkStatus();
}

absl::Status MemoryLog::ReadRuns(uint32_t segment, std::vector<Run>& runs) const {
  const size_t bytes = SegmentBytes(segment);
  size_t at = 0;
  while (at + sizeof(RunHeader) <= bytes) {
    const auto& header = *reinterpret_cast<const RunHeader*>(region_->At(segment) + at);
    const uint64_t commit = header.commit.load(std::memory_order_acquire);
    if (commit == 0) break;
    at += sizeof(RunHeader);
    const size_t length = header.length & ~kLastRun;
    if (length == 0 || length > bytes - at) return Damaged("a run's length");
    if (!runs.empty() && commit < runs.back().commit) return Damaged("the order of commits");
    runs.push_back({.commit = commit,
                    .is_last = (header.length & kLastRun) != 0,
                    .first = {.segment = segment, .offset = static_cast<uint32_t>(at)},
                    .bytes = length});
    at = RunEnd(at + length);
  }
  return absl::OkStatus();
}

absl::Status MemoryLog::Check(const Run& run) const {
  RecordReader reader(Records(run));
  uint32_t checksum = 0;
  while (reader.Next()) checksum = ExtendCrc32c(checksum, reader.fixed_bytes());
  if (reader.damaged()) return Damaged("a record");
  const RunHeader& header = HeaderOf(run);
  if (ChecksumOfRun(checksum, run.commit, header.length) != header.checksum) return Damaged("a checksum");
  return absl::OkStatus();
}

bool MemoryLog::AreThoseAfter(uint64_t commit) const {
  const LiveDigest& live = region_->header().live[commit % 2];
  return live.commit == commit && live.digest == live_digest_;
}

void MemoryLog::GoOnAfter(uint64_t last_commit, const std::vector<Run>& runs) {
  last_commit_ = last_commit;
  CarryOut();
  // Of a commit whose end is missing nothing may come back when its number is used again.
  for (const Run& run : runs) {
    if (run.commit > last_commit) HeaderOf(run).commit.store(0, std::memory_order_release);
  }
  std::vector<uint32_t> firsts;
  for (const auto& [first, segment] : segments_) firsts.push_back(first);
  for (const uint32_t first : firsts) FreeIfEmpty(first);
  region_->FreeRest();
}

// ---- Writing.

absl::StatusOr<std::vector<MemoryLog::Run>> MemoryLog::Append(const Commit& commit) {
  if (absl::Status reserved = Reserve(commit); !reserved.ok()) return reserved;
  ++last_commit_;
  written_.clear();
  commit.ForEach([this](const Commit::Op& op) { Write(op); });
  EndRun();
  written_.back().is_last = true;
  BATON_CHECK_EQ(next_reserved_, reserved_.size());
  return written_;
}

// Takes the segments that the commit will need besides what is left of the active one, before anything is
// written. Goes through the commit exactly as Write does.
absl::Status MemoryLog::Reserve(const Commit& commit) {
  reserved_.clear();
  next_reserved_ = 0;
  const size_t rest = active_ == UINT32_MAX ? 0 : SegmentBytes(active_) - end_;
  size_t left = rest < sizeof(RunHeader) ? 0 : rest - sizeof(RunHeader);
  std::string_view previous;
  absl::Status status;
  commit.ForEach([&](const Commit::Op& op) {
    if (!status.ok()) return;
    const size_t bytes = RecordShape(std::exchange(previous, op.key), op).bytes();
    if (bytes <= left) {
      left -= bytes;
      return;
    }
    const size_t alone = RecordShape({}, op).bytes();
    const uint32_t slots = SlotsFor(alone);
    const auto first = region_->Take(slots);
    status = first.status();
    if (!first.ok()) return;
    reserved_.emplace_back(*first, slots);
    left = slots * region_->slot_bytes() - sizeof(RunHeader) - alone;
  });
  if (status.ok()) return status;
  for (const auto& [first, slots] : reserved_) region_->Free(first, slots);
  reserved_.clear();
  return status;
}

void MemoryLog::Write(const Commit::Op& op) {
  const bool is_open = run_at_.has_value();
  const size_t left = active_ == UINT32_MAX ? 0 : SegmentBytes(active_) - end_;
  const RecordShape shape(is_open ? previous_ : std::string_view(), op);
  if ((is_open ? 0 : sizeof(RunHeader)) + shape.bytes() <= left) {
    if (!is_open) BeginRun();
    return WriteRecord(shape, op.key);
  }
  if (is_open) {
    EndRun();
    Seal(written_.back());
  }
  OpenSegment();
  BeginRun();
  WriteRecord(RecordShape({}, op), op.key);
}

void MemoryLog::WriteRecord(const RecordShape& shape, std::string_view key) {
  Step();
  char* const record = region_->At(active_) + end_;
  shape.Write(record);
  checksum_ = ExtendCrc32c(checksum_, {record + 1, shape.bytes() - 1});
  previous_ = key;
  end_ += shape.bytes();
}

void MemoryLog::OpenSegment() {
  const uint32_t before = active_;
  BATON_CHECK(next_reserved_ < reserved_.size());
  const auto [first, slots] = reserved_[next_reserved_++];
  new (region_->At(first)) RunHeader{};  // nothing in it yet, whatever was there before
  SlotEntry& entry = region_->EntryOf(first);
  entry.slots = slots;
  Step();
  entry.segment.store(++last_segment_, std::memory_order_release);
  segments_[first] = {.slots = slots, .live_bytes = 0, .largest = 0};
  active_ = first;
  end_ = 0;
  if (before != UINT32_MAX) emptied_.push_back(before);
}

void MemoryLog::BeginRun() {
  run_at_ = end_;
  end_ += sizeof(RunHeader);
  previous_ = {};
  checksum_ = 0;
}

// All of it but the seal.
void MemoryLog::EndRun() {
  char* const start = region_->At(active_);
  const size_t first = *run_at_ + sizeof(RunHeader);
  written_.push_back({.commit = last_commit_,
                      .is_last = false,
                      .first = {active_, static_cast<uint32_t>(first)},
                      .bytes = end_ - first});
  end_ = RunEnd(end_);
  // What follows is not sealed, before this is.
  if (end_ + sizeof(RunHeader) <= SegmentBytes(active_)) new (start + end_) RunHeader{};
  run_at_.reset();
}

void MemoryLog::Seal(const Run& run) {
  RunHeader& header = HeaderOf(run);
  header.length = static_cast<uint32_t>(run.bytes) | (run.is_last ? kLastRun : 0);
  header.checksum = ChecksumOfRun(checksum_, run.commit, header.length);
  Step();
  header.commit.store(run.commit, std::memory_order_release);
}

void MemoryLog::AddLive(Place place) {
  const size_t bytes = BytesOfRecord(At(place));
  SegmentInfo& segment = segments_.at(place.segment);
  segment.live_bytes += bytes;
  segment.largest = std::max(segment.largest, bytes);
  live_bytes_ += bytes;
  Expect(bytes);
  live_digest_ ^= HashOf(place);
}

void MemoryLog::MeasureLargest() {
  largest_ = 0;
  for (const auto& [first, segment] : segments_) Expect(segment.largest);
}

void MemoryLog::Drop(Place place) {
  const size_t bytes = BytesOfRecord(At(place));
  SegmentInfo& segment = segments_.at(place.segment);
  segment.live_bytes -= bytes;
  live_bytes_ -= bytes;
  live_digest_ ^= HashOf(place);
  dropped_.push_back(place);
  if (segment.live_bytes == 0) emptied_.push_back(place.segment);
}

void MemoryLog::Finish() {
  Step();
  region_->header().live[last_commit_ % 2] = {.commit = last_commit_, .digest = live_digest_};
  Seal(written_.back());
  CarryOut();
}

// Segments are given up only at the end: a commit that is to be carried out again may lie in them.
void MemoryLog::CarryOut() {
  for (const Place place : dropped_) {
    Step();
    MarkDead(At(place));
  }
  dropped_.clear();
  Step();
  region_->header().applied.store(last_commit_, std::memory_order_release);
  for (const uint32_t segment : std::exchange(emptied_, {})) FreeIfEmpty(segment);
}

void MemoryLog::FreeIfEmpty(uint32_t segment) {
  const auto found = segments_.find(segment);
  if (found == segments_.end() || found->second.live_bytes > 0 || segment == active_) return;
  Step();
  region_->EntryOf(segment).segment.store(0, std::memory_order_release);
  region_->Free(segment, found->second.slots);
  segments_.erase(found);
}

uint32_t MemoryLog::SlotsFor(size_t bytes) const {
  bytes += sizeof(RunHeader);
  return static_cast<uint32_t>((bytes + region_->slot_bytes() - 1) / region_->slot_bytes());
}

absl::Status MemoryLog::TryPlace(size_t bytes) {
  const uint32_t slots = SlotsFor(bytes);
  const auto first = region_->Take(slots);
  if (first.ok()) region_->Free(*first, slots);
  return first.status();
}

// The record that is larger than a slot, what comes before it, and what comes after it.
bool MemoryLog::CanBeCopied(uint32_t first, const SegmentInfo& segment) const {
  return first != active_ && (segment.slots == 1 || segment.slots + 2 <= region_->in_hand());
}

double MemoryLog::PartLive(const SegmentInfo& segment) const {
  return static_cast<double>(segment.live_bytes) / static_cast<double>(segment.slots * region_->slot_bytes());
}

uint32_t MemoryLog::SlotsToGain(double least, size_t fill) const {
  size_t slots = 0;
  size_t live_bytes = 0;
  for (const auto& [first, segment] : segments_) {
    if (!CanBeCopied(first, segment) || PartLive(segment) >= least) continue;
    slots += segment.slots;
    live_bytes += segment.live_bytes;
  }
  // What is left of the active one is filled first.
  live_bytes -= std::min(live_bytes, active_ == UINT32_MAX ? 0 : SegmentBytes(active_) - end_);
  return static_cast<uint32_t>(slots - std::min(slots, (live_bytes + fill - 1) / fill));
}

std::optional<Commit> MemoryLog::CopySparsest(double least) const {
  uint32_t victim = UINT32_MAX;
  for (const auto& [first, segment] : segments_) {
    const double live = PartLive(segment);
    if (live >= least || !CanBeCopied(first, segment)) continue;
    victim = first;
    least = live;
  }
  if (victim == UINT32_MAX) return std::nullopt;
  Commit copy;
  std::vector<Run> runs;
  const absl::Status read = ReadRuns(victim, runs);
  BATON_CHECK(read.ok()) << read;
  for (const Run& run : runs) {
    ForEachRecord(run, [&](const RecordReader& record, Place) {
      if (record.kind() == Commit::Kind::kPut && record.dead() == 0) copy.Put(record.key(), record.value());
    });
  }
  return copy;
}

RunHeader& MemoryLog::HeaderOf(const Run& run) const {
  return *reinterpret_cast<RunHeader*>(At(run.first) - sizeof(RunHeader));
}

}  // namespace baton
