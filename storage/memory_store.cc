#include "storage/memory_store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>
#include <utility>

#include "base/check.h"

namespace baton {
namespace {

// A segment is copied forward when less than this part of it is live.
constexpr double kSparse = 0.5;
constexpr int kCompactionsPerCommit = 2;
constexpr int kCompactionsAtLast = 64;
// Without a slot gained: records fit badly, and more copying will not help.
constexpr int kFruitlessMax = 3;

uint64_t UnixSeconds() { return static_cast<uint64_t>(std::time(nullptr)); }

}  // namespace

MemoryStore::Key::Key(std::string_view text) : size(static_cast<uint8_t>(text.size())) {
  BATON_CHECK(text.size() <= kMemoryKeyMax) << text.size();
  std::memcpy(bytes.data(), text.data(), text.size());
}

MemoryStore::~MemoryStore() = default;

void MemoryStore::Remove(const std::string& path) { unlink(path.c_str()); }

// ---- Opening.

absl::StatusOr<MemoryStore::Adoption> MemoryStore::Adopt(const MemoryRegion::Options& options,
                                                         const Judge& judge) {
  Adoption adoption;
  auto region = MemoryRegion::Open(options);
  absl::Status trusted = region.status();
  if (region.ok()) {
    std::unique_ptr<MemoryStore> store(new MemoryStore(*std::move(region), options.slots_in_hand));
    trusted = store->AdoptRuns();
    if (trusted.ok() && judge) trusted = judge(*store);
    if (trusted.ok()) {
      adoption.adopted = store->adopted_;
      adoption.store = std::move(store);
      return adoption;
    }
  }
  if (absl::IsNotFound(trusted)) return adoption;
  if (!absl::IsDataLoss(trusted)) return trusted;  // says nothing about what is in it
  const std::string aside = fmt::format("{}.aside-{}", options.path, UnixSeconds());
  adoption.adopted.set_aside = fmt::format("{} ({})", aside, std::string(trusted.message()));
  if (std::rename(options.path.c_str(), aside.c_str()) != 0) {
    return absl::InternalError(fmt::format("{} cannot be set aside: {}", options.path, std::strerror(errno)));
  }
  return adoption;
}

absl::StatusOr<std::unique_ptr<MemoryStore>> MemoryStore::Open(const MemoryRegion::Options& options) {
  auto adoption = Adopt(options);
  if (!adoption.ok()) return adoption.status();
  if (adoption->store != nullptr) return std::move(adoption->store);
  auto created = MemoryRegion::Create(options);
  if (!created.ok()) return created.status();
  std::unique_ptr<MemoryStore> store(new MemoryStore(*std::move(created), options.slots_in_hand));
  store->adopted_ = std::move(adoption->adopted);
  if (absl::Status reserve = store->log_.region().KeepInHand(options.slots_in_hand); !reserve.ok()) {
    Remove(options.path);
    return reserve;
  }
  return store;
}

absl::Status MemoryStore::AdoptRuns() {
  const auto damaged = [](std::string_view what) {
    return absl::DataLossError(fmt::format("its contents make no sense: {}", what));
  };
  std::vector<MemoryLog::Run> runs;
  if (absl::Status read = log_.Load(runs); !read.ok()) return read;
  // The newest commit may have only removed rows, and be gone with its segment.
  const uint64_t applied = log_.applied();
  uint64_t last = applied;
  for (const auto& run : runs) {
    if (run.is_last) last = std::max(last, run.commit);
  }
  if (last > applied + 1) return damaged("which commits were carried out");
  bool twice = false;
  for (const auto& run : runs) {
    if (run.commit > applied) continue;
    log_.ForEachRecord(run, [&](const RecordReader& record, Place place) {
      if (record.kind() == Commit::Kind::kPut && record.dead() == 0) twice |= !AddRow(record, place);
    });
  }
  if (twice) return damaged("two live rows of one key");
  for (const auto& run : runs) {
    if (run.commit > applied && run.commit <= last) CarryOut(run);
  }
  if (!log_.AreThoseAfter(last)) return damaged("rows are missing, or there are too many");
  log_.GoOnAfter(last, runs);
  adopted_ = {.adopted = true, .rows = index_.size(), .set_aside = {}};
  return absl::OkStatus();
}

// False: its key has a live row already.
bool MemoryStore::AddRow(const RecordReader& record, Place place) {
  const size_t before = index_.size();
  index_.emplace_hint(index_.end(), Key(record.key()), place);
  log_.AddLive(place);
  return index_.size() > before;
}

// ---- Space.

absl::Status MemoryStore::MakeRoom(size_t bytes) {
  const uint32_t needed = slots_in_hand_ + log_.SlotsFor(bytes + bytes / 8);
  absl::Status room = log_.region().KeepInHand(needed);
  for (int fruitless = 0; !room.ok() && fruitless < kFruitlessMax; room = log_.region().KeepInHand(needed)) {
    const uint32_t before = log_.region().slots_used();
    if (!CompactOne(kSparse)) break;
    if (log_.region().slots_used() >= before) ++fruitless;
  }
  return room;
}

// Copies the live rows of the sparsest segment forward. False: none is sparse enough.
bool MemoryStore::CompactOne(double sparse) {
  const auto copy = log_.CopySparsest(sparse);
  if (!copy.has_value()) return false;
  BATON_CHECK(!copy->empty());  // or it would be free
  return Write(*copy).ok();
}

// ---- Writing.

absl::Status MemoryStore::Apply(const Commit& commit) {
  if (commit.empty()) return absl::OkStatus();
  absl::Status written = Write(commit);
  // Full segments are worth nothing, and every hole counts.
  for (int i = 0; !written.ok() && i < kCompactionsAtLast && CompactOne(1.0); ++i) written = Write(commit);
  if (!written.ok()) return written;
  const uint32_t low = slots_in_hand_ + 2 + log_.region().slots_max() / 8;
  for (int i = 0; i < kCompactionsPerCommit && FreeSlots() < low && CompactOne(kSparse); ++i) {
  }
  // allowed to fail: MakeRoom says so to those who want to grow
  std::ignore = log_.region().KeepInHand(slots_in_hand_);
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
  if (!request.keys.empty()) {
    for (const std::string& key : request.keys) result.rows.push_back(RowFor(key, request));
    return result;
  }
  size_t bytes = 0;
  const auto begin = index_.lower_bound(Key(request.begin));
  const auto end = index_.lower_bound(Key(request.end));
  const auto enough = [&] {
    return !result.rows.empty() && (result.rows.size() >= request.rows_max || bytes >= request.bytes_max);
  };
  const auto take = [&](const Key& key) {
    result.rows.push_back(RowFor(std::string(key.view()), request));
    bytes += result.rows.back().value->size();
  };
  if (request.reverse) {
    for (auto at = end; at != begin;) {
      if (enough()) return result;
      take((--at)->first);
    }
  } else {
    for (auto at = begin; at != end; ++at) {
      if (enough()) return result;
      take(at->first);
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
