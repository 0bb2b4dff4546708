#include "storage/memory/memory_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/error.h"

namespace baton {
namespace {

// For what makes the store grow a segment is copied forward when less than this part of it is live …
constexpr double kSparse = 0.5;
// … and for what must be in hand when there is anything to gain.
constexpr double kHasGaps = 0.98;
constexpr int kCompactionsMax = 256;
// Copied forward after a commit at most, so that none takes long: so many slots, and times its bytes …
constexpr size_t kCopyAtOnce = 2;
constexpr size_t kCopyShare = 8;
constexpr size_t kCopyAtLeisure = 32;  // … and slots when it is looked at now and then
// Without a slot gained: records fit badly, and more copying will not help.
constexpr int kFruitlessMax = 3;

// Slots that are kept in hand: to copy a segment into, and for what only removes.
constexpr uint32_t kForCopying = 2;
constexpr uint32_t kForRemovals = 2;
// A commit's part of what writes rows again.
constexpr size_t kRewriteShare = 16;
constexpr size_t kRewriteBytesMax = 8u << 20;
// What a message that is written again may take more than it took: headers that tell its story, a locator,
// attempts; and the records that remove its rows. At most, and nearly always.
constexpr size_t kStoryBytes = 4'096;
constexpr size_t kStoryBytesUsually = 320;
// Of a run in a segment: its header, its padding, and the one that ends it.
constexpr size_t kRunBytes = 64;

size_t LessOrZero(size_t a, size_t b) { return a > b ? a - b : 0; }

}  // namespace

MemoryStore::Key::Key(std::string_view text) : size(static_cast<uint8_t>(text.size())) {
  BATON_CHECK(text.size() <= kMemoryKeyMax) << text.size();
  std::memcpy(bytes.data(), text.data(), text.size());
}

MemoryStore::MemoryStore(std::unique_ptr<MemoryRegion> region, size_t index_bytes_max)
    : log_(std::move(region)),
      index_bytes_max_(index_bytes_max),
      rewrite_bytes_(std::clamp(log_.region().Capacity() / kRewriteShare, log_.region().slot_bytes(),
                                std::max(kRewriteBytesMax, log_.region().slot_bytes()))) {}

// ---- Space.

// Records do not cross segments: of each so many bytes are used at least, but of the last one.
size_t MemoryStore::Fill(size_t largest) const {
  const size_t slot = log_.region().slot_bytes();
  return std::max(slot / 2, LessOrZero(slot, largest + kRunBytes));
}

uint32_t MemoryStore::SlotsFor(size_t bytes, size_t largest) const {
  return static_cast<uint32_t>(bytes / Fill(largest)) + 1;
}

size_t MemoryStore::BytesIn(uint32_t slots, size_t largest) const {
  return LessOrZero(slots * Fill(largest), 1);
}

// Slots to be in hand whatever happens.
uint32_t MemoryStore::Reserve(size_t largest) const {
  return kForCopying + kForRemovals + SlotsFor(rewrite_bytes_ + largest + kStoryBytes, largest);
}

MemoryRoom MemoryStore::Room() const {
  const MemoryRegion& region = log_.region();
  const size_t largest = log_.largest();
  const auto bytes_but = [&](uint32_t reserve) {
    return BytesIn(region.in_hand() - std::min(region.in_hand(), reserve), largest);
  };
  const bool may_grow = index_bytes() < index_bytes_max_ && HasRoomForStories(Reserve(largest) + 1);
  return {.grow = may_grow ? bytes_but(Reserve(largest)) : 0,
          .rewrite = LessOrZero(bytes_but(kForCopying + kForRemovals), largest + kStoryBytes),
          .remove = LessOrZero(bytes_but(kForCopying), kStoryBytes),
          .largest = largest,
          .index_bytes = index_bytes()};
}

// What is kept for what every message may take more when it is written again.
size_t MemoryStore::SlotsForStories(size_t bytes_used) const {
  return std::min(rows() * kStoryBytesUsually, bytes_used / 2) / log_.region().slot_bytes();
}

// Beyond so many slots. It need not be in hand: that would be memory which is hardly ever used.
bool MemoryStore::HasRoomForStories(uint32_t slots) const {
  return log_.region().in_hand() + available_ >= slots + SlotsForStories(bytes_used());
}

// What MakeRoom would find, for a message as large as the largest.
MemoryUse MemoryStore::Use() const {
  const MemoryRegion& region = log_.region();
  const size_t largest = log_.largest();
  const MemoryRegion::Extent most = region.Look();
  const size_t used = LessOrZero(region.slots_used(), log_.SlotsToGain(kSparse, Fill(largest)));
  const size_t taken = used + Reserve(largest) + SlotsForStories(used * region.slot_bytes());
  const size_t left = LessOrZero(size_t{most.slots} + 1, taken + SlotsFor(largest, largest));
  return {.shared_bytes = LessOrZero(most.bytes, left * region.slot_bytes()),
          .shared_bytes_max = most.bytes,
          .file_system_has_less = most.system_has_less,
          .index_bytes = index_bytes(),
          .index_bytes_max = index_bytes_max_};
}

// In hand, and with room for stories.
absl::Status MemoryStore::Have(uint32_t slots) {
  MemoryRegion& region = log_.region();
  const absl::Status in_hand = region.KeepInHand(slots);
  available_ = region.Available();
  if (!in_hand.ok() || HasRoomForStories(slots)) return in_hand;
  return region.WhyNoMore();
}

absl::Status MemoryStore::MakeRoom(size_t bytes, size_t value_bytes) {
  if (index_bytes() >= index_bytes_max_) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, reason::kQueueFull,
        fmt::format(
            "the index of memory queues is full: it may take {} MiB of the broker's own memory (a quarter "
            "of option memory_budget): consume from them, or raise it",
            index_bytes_max_ >> 20));
  }
  const size_t largest = std::max(log_.largest(), value_bytes + kMemoryKeyMax + kRunBytes);
  MemoryRegion& region = log_.region();
  const uint32_t needed = Reserve(largest) + SlotsFor(bytes, largest);
  absl::Status room = Have(needed);
  for (int fruitless = 0; !room.ok() && fruitless < kFruitlessMax; room = Have(needed)) {
    const uint32_t before = region.in_hand();
    if (!CompactOne(kSparse).has_value()) break;
    if (region.in_hand() <= before) ++fruitless;
  }
  // Slots in hand are worth as many in a row, unless somebody else is quicker.
  if (room.ok() && log_.SlotsFor(largest) > 1) room = log_.TryPlace(largest);
  if (!room.ok()) return room;
  log_.Expect(largest);
  // allowed to fail: more than was asked for, so that the next does not ask
  std::ignore = region.KeepInHand(needed + kForGrowing);
  return room;
}

void MemoryStore::Refill() {
  log_.MeasureLargest();
  available_ = log_.region().Available();
  Refill(kCopyAtLeisure * log_.region().slot_bytes());
  log_.region().GiveBackIdle();
}

// Copies at most so much forward: the less there is to gain from a segment, the more it costs.
void MemoryStore::Refill(size_t copy_bytes_max) {
  MemoryRegion& region = log_.region();
  const uint32_t reserve = Reserve(log_.largest());
  // Asking the system is dear, and little changes between two slots.
  if (std::exchange(looked_at_, region.slots_used()) != region.slots_used()) available_ = region.Available();
  region.set_kept(2 * (reserve + kForGrowing));
  for (size_t copied = 0; copied < copy_bytes_max && !region.KeepInHand(reserve + kForGrowing).ok();) {
    const auto bytes = CompactOne(region.in_hand() < reserve ? kHasGaps : kSparse);
    if (!bytes.has_value()) return;
    copied += *bytes;
  }
}

// Copies the live rows of the sparsest segment forward. How many bytes; absent: none is sparse enough.
std::optional<size_t> MemoryStore::CompactOne(double sparse) {
  const auto copy = log_.CopySparsest(sparse);
  if (!copy.has_value()) return std::nullopt;
  BATON_CHECK(!copy->empty());  // or it would be free
  if (!Write(*copy).ok()) return std::nullopt;
  return copy->bytes();
}

// ---- Writing.

absl::Status MemoryStore::Apply(const Commit& commit) {
  if (commit.empty()) return absl::OkStatus();
  absl::Status written = Write(commit);
  // Full segments are worth nothing, and every hole counts.
  for (int i = 0; !written.ok() && i < kCompactionsMax && CompactOne(1.0).has_value(); ++i)
    written = Write(commit);
  if (!written.ok()) return written;
  Refill(kCopyShare * commit.bytes() + kCopyAtOnce * log_.region().slot_bytes());
  return absl::OkStatus();
}

absl::Status MemoryStore::Write(const Commit& commit) {
  const auto runs = log_.Append(commit);
  if (!runs.ok()) return runs.status();
  for (const auto& run : *runs) CarryOut(run);
  log_.Finish();
  return absl::OkStatus();
}

void MemoryStore::CarryOut(const MemoryLog::Run& run) {
  log_.ForEachRecord(run, [this](const RecordReader& record, Place place) { CarryOutRecord(record, place); });
}

void MemoryStore::CarryOutRecord(const RecordReader& record, Place place) {
  const Key key(record.key());
  switch (record.kind()) {
    case Commit::Kind::kPut: {
      log_.AddLive(place);
      const auto [at, fresh] = index_.try_emplace(key, place);
      if (!fresh) log_.Drop(std::exchange(at->second, place));
      return;
    }
    case Commit::Kind::kDelete:
    case Commit::Kind::kSingleDelete: {
      const auto found = index_.find(key);
      if (found == index_.end()) return;
      log_.Drop(found->second);
      index_.erase(found);
      return;
    }
    case Commit::Kind::kDeleteRange: {
      const auto begin = index_.lower_bound(key);
      const auto end = index_.lower_bound(Key(record.value()));
      for (auto at = begin; at != end; ++at) log_.Drop(at->second);
      index_.erase(begin, end);
      return;
    }
  }
}

// ---- Reading.

std::optional<std::string_view> MemoryStore::Find(std::string_view key) const {
  const auto found = index_.find(Key(key));
  if (found == index_.end()) return std::nullopt;
  return log_.ValueAt(found->second);
}

Row MemoryStore::RowFor(const std::string& key, const ReadRequest& request) const {
  const auto value = [this](const std::string& wanted) -> std::optional<std::string> {
    const auto found = wanted.empty() ? std::nullopt : Find(wanted);
    return found.has_value() ? std::optional(std::string(*found)) : std::nullopt;
  };
  Row row{.key = key, .value = value(key), .companion = {}};
  if (row.value.has_value() && request.companion != nullptr) row.companion = value(request.companion(key));
  return row;
}

ReadResult MemoryStore::Read(const ReadRequest& request) const {
  ReadResult result{.id = request.id, .status = absl::OkStatus(), .rows = {}, .end_reached = false};
  size_t bytes = 0;
  const auto take = [&](const std::string& key) {
    const auto& value = result.rows.emplace_back(RowFor(key, request)).value;
    bytes += value.has_value() ? value->size() : 0;
  };
  for (const std::string& key : request.keys) {
    if (request.bytes_max != 0 && result.rows.size() >= 2 && bytes >= request.bytes_max) break;
    take(key);
  }
  if (!request.keys.empty()) return result;
  const auto begin = index_.lower_bound(Key(request.begin));
  const auto end = index_.lower_bound(Key(request.end));
  const auto enough = [&] {
    return !result.rows.empty() && (result.rows.size() >= request.rows_max || bytes >= request.bytes_max);
  };
  if (request.reverse) {
    for (auto at = end; at != begin;) {
      if (enough()) return result;
      take(std::string((--at)->first.view()));
    }
  } else {
    for (auto at = begin; at != end; ++at) {
      if (enough()) return result;
      take(std::string(at->first.view()));
    }
  }
  result.end_reached = true;
  return result;
}

bool MemoryStore::HasRowsOutside(char first_byte) const {
  if (index_.empty()) return false;
  return index_.begin()->first.bytes[0] != first_byte ||
         std::prev(index_.end())->first.bytes[0] != first_byte;
}

absl::Status MemoryStore::Scan(
    std::string_view begin, std::string_view end,
    const std::function<absl::Status(std::string_view key, std::string_view value)>& visit) const {
  const auto last = index_.lower_bound(Key(end));
  for (auto at = index_.lower_bound(Key(begin)); at != last; ++at) {
    if (absl::Status visited = visit(at->first.view(), log_.ValueAt(at->second)); !visited.ok())
      return visited;
  }
  return absl::OkStatus();
}

}  // namespace baton
