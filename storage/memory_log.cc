#include "storage/memory_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>

#include "base/check.h"

namespace baton {
namespace {

absl::Status Damaged(std::string_view what) {
  return absl::DataLossError(fmt::format("its contents make no sense: {}", what));
}

}  // namespace

// ---- Loading.

absl::Status MemoryLog::Load(std::vector<Run>& runs) {
  std::map<uint64_t, uint32_t> by_number;
  if (absl::Status read = ReadTable(by_number); !read.ok()) return read;
  for (const auto& [number, first] : by_number) {
    if (absl::Status read = ReadRuns(first, runs); !read.ok()) return read;
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
    if (!by_number.emplace(number, slot).second) return Damaged("two segments of one number");
    const auto slots = static_cast<uint32_t>(entry.slots);
    segments_[slot] = {.slots = slots, .live_bytes = 0};
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
    if (header.bytes == 0 || header.bytes % 8 != 0 || header.bytes > bytes - at)
      return Damaged("a run's length");
    if (!runs.empty() && commit < runs.back().commit) return Damaged("the order of commits");
    const Run run{.commit = commit,
                  .is_last = header.is_last != 0,
                  .first = {.segment = segment, .offset = static_cast<uint32_t>(at)},
                  .bytes = header.bytes};
    if (absl::Status checked = CheckRecords(run); !checked.ok()) return checked;
    runs.push_back(run);
    at += header.bytes;
  }
  return absl::OkStatus();
}

absl::Status MemoryLog::CheckRecords(const Run& run) const {
  size_t at = 0;
  while (at < run.bytes) {
    if (run.bytes - at < sizeof(RecordHeader)) return Damaged("the end of a run");
    const RecordHeader& record = RecordAt({run.first.segment, static_cast<uint32_t>(run.first.offset + at)});
    const size_t bytes = RecordBytes(record.key_bytes, record.value_bytes);
    const bool known = record.kind >= static_cast<uint8_t>(Commit::Kind::kPut) &&
                       record.kind <= static_cast<uint8_t>(Commit::Kind::kDeleteRange);
    if (!known || record.key_bytes == 0 || record.key_bytes > kMemoryKeyMax || bytes > run.bytes - at)
      return Damaged("a record");
    if (record.kind == static_cast<uint8_t>(Commit::Kind::kDeleteRange) && record.value_bytes > kMemoryKeyMax)
      return Damaged("the end of a range");
    at += bytes;
  }
  return absl::OkStatus();
}

void MemoryLog::GoOnAfter(uint64_t last_commit, const std::vector<Run>& runs) {
  last_commit_ = last_commit;
  NoteApplied();
  // Of a commit whose end is missing nothing may come back when its number is used again.
  for (const Run& run : runs) {
    if (run.commit <= last_commit) continue;
    auto& header =
        *reinterpret_cast<RunHeader*>(region_->At(run.first.segment) + run.first.offset - sizeof(RunHeader));
    header.commit.store(0, std::memory_order_release);
  }
  std::vector<uint32_t> firsts;
  for (const auto& [first, segment] : segments_) firsts.push_back(first);
  for (const uint32_t first : firsts) FreeIfEmpty(first);
  region_->FreeRest();
}

// ---- Writing.

absl::StatusOr<std::vector<MemoryLog::Run>> MemoryLog::Write(const Commit& commit) {
  if (absl::Status reserved = Reserve(commit); !reserved.ok()) return reserved;
  ++last_commit_;
  written_.clear();
  run_open_ = false;
  commit.ForEach([this](const Commit::Op& op) { Append(op); });
  SealRun(true);
  BATON_CHECK_EQ(next_reserved_, reserved_.size());
  return std::move(written_);
}

// Takes the segments that the commit will need besides what is left of the active one, before anything is
// written.
absl::Status MemoryLog::Reserve(const Commit& commit) {
  reserved_.clear();
  next_reserved_ = 0;
  const size_t used = active_ == UINT32_MAX ? 0 : SegmentBytes(active_) - end_;
  size_t left = used < sizeof(RunHeader) ? 0 : used - sizeof(RunHeader);
  absl::Status status;
  commit.ForEach([&](const Commit::Op& op) {
    const size_t bytes = RecordBytes(op.key.size(), op.value.size());
    if (bytes <= left || !status.ok()) {
      left -= std::min(left, bytes);
      return;
    }
    const uint32_t slots = SlotsFor(bytes);
    const auto first = region_->Take(slots);
    status = first.status();
    if (!first.ok()) return;
    reserved_.emplace_back(*first, slots);
    left = slots * region_->slot_bytes() - sizeof(RunHeader) - bytes;
  });
  if (status.ok()) return status;
  for (const auto& [first, slots] : reserved_) region_->Free(first, slots);
  reserved_.clear();
  return status;
}

void MemoryLog::Append(const Commit::Op& op) {
  const size_t bytes = RecordBytes(op.key.size(), op.value.size());
  const size_t needed = bytes + (run_open_ ? 0 : sizeof(RunHeader));
  const size_t left = active_ == UINT32_MAX ? 0 : SegmentBytes(active_) - end_;
  if (needed > left) {
    if (run_open_) SealRun(false);
    OpenSegment();
  }
  if (!run_open_) BeginRun();
  Step();
  auto* record = new (region_->At(active_) + end_) RecordHeader{};
  record->value_bytes = static_cast<uint32_t>(op.value.size());
  record->key_bytes = static_cast<uint16_t>(op.key.size());
  record->kind = static_cast<uint8_t>(op.kind);
  char* data = reinterpret_cast<char*>(record + 1);
  std::memcpy(data, op.key.data(), op.key.size());
  if (!op.value.empty()) std::memcpy(data + op.key.size(), op.value.data(), op.value.size());
  end_ += bytes;
  ++run_records_;
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
  segments_[first] = {.slots = slots, .live_bytes = 0};
  active_ = first;
  end_ = 0;
  run_open_ = false;
  if (before != UINT32_MAX) emptied_.push_back(before);
}

void MemoryLog::BeginRun() {
  run_open_ = true;
  run_at_ = end_;
  end_ += sizeof(RunHeader);
  run_records_ = 0;
}

void MemoryLog::SealRun(bool is_last) {
  char* start = region_->At(active_);
  // What follows is not sealed, before this is.
  if (end_ + sizeof(RunHeader) <= SegmentBytes(active_)) new (start + end_) RunHeader{};
  auto& header = *reinterpret_cast<RunHeader*>(start + run_at_);
  header.bytes = end_ - run_at_ - sizeof(RunHeader);
  header.is_last = is_last ? 1 : 0;
  header.records = run_records_;
  header.reserved = 0;
  Step();
  written_.push_back({.commit = last_commit_,
                      .is_last = is_last,
                      .first = {active_, static_cast<uint32_t>(run_at_ + sizeof(RunHeader))},
                      .bytes = header.bytes});
  header.commit.store(last_commit_, std::memory_order_release);
  run_open_ = false;
}

void MemoryLog::AddLive(Place place) {
  const RecordHeader& record = RecordAt(place);
  const size_t bytes = RecordBytes(record.key_bytes, record.value_bytes);
  segments_.at(place.segment).live_bytes += bytes;
  live_bytes_ += bytes;
}

void MemoryLog::Kill(Place place) {
  Step();
  RecordHeader& record = RecordAt(place);
  record.dead.store(1, std::memory_order_relaxed);
  const size_t bytes = RecordBytes(record.key_bytes, record.value_bytes);
  SegmentInfo& segment = segments_.at(place.segment);
  segment.live_bytes -= bytes;
  live_bytes_ -= bytes;
  if (segment.live_bytes == 0) emptied_.push_back(place.segment);
}

void MemoryLog::MarkDone(Place place) {
  RecordAt(place).dead.store(1, std::memory_order_relaxed);
  emptied_.push_back(place.segment);
}

// Segments are given up only now: a commit that is to be carried out again may lie in them.
void MemoryLog::NoteApplied() {
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

std::optional<Commit> MemoryLog::CopySparsest(double least) const {
  uint32_t victim = UINT32_MAX;
  for (const auto& [first, segment] : segments_) {
    const double live = static_cast<double>(segment.live_bytes) / static_cast<double>(SegmentBytes(first));
    if (first == active_ || live >= least) continue;
    victim = first;
    least = live;
  }
  if (victim == UINT32_MAX) return std::nullopt;
  Commit copy;
  std::vector<Run> runs;
  const absl::Status read = ReadRuns(victim, runs);
  BATON_CHECK(read.ok()) << read;
  for (const Run& run : runs) {
    ForEachRecord(run, [&](Place place) {
      if (RecordAt(place).dead.load(std::memory_order_relaxed) == 0) copy.Put(KeyAt(place), ValueAt(place));
    });
  }
  return copy;
}

// ---- Records.

RecordHeader& MemoryLog::RecordAt(Place place) const {
  return *reinterpret_cast<RecordHeader*>(region_->At(place.segment) + place.offset);
}

std::string_view MemoryLog::KeyAt(Place place) const {
  const RecordHeader& record = RecordAt(place);
  return {reinterpret_cast<const char*>(&record + 1), record.key_bytes};
}

std::string_view MemoryLog::ValueAt(Place place) const {
  const RecordHeader& record = RecordAt(place);
  return {reinterpret_cast<const char*>(&record + 1) + record.key_bytes, record.value_bytes};
}

}  // namespace baton
