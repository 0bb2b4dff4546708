#include "server/engine/locator_sweep.h"

#include <utility>

#include "storage/format/keys.h"
#include "storage/format/records.h"

namespace baton {
namespace {

constexpr std::string_view kMarkKey = "Mlocator_sweep";
constexpr size_t kRowsPerRead = 1'000;
constexpr size_t kBytesPerRead = 64u << 10;
constexpr Duration kSweepAgain = std::chrono::minutes(5);

}  // namespace

absl::Status LocatorSweep::Load(std::string_view key, std::string_view /*value*/) {
  if (key != kMarkKey) return absl::OkStatus();
  is_marked_ = wanted_ = true;
  return absl::OkStatus();
}

void LocatorSweep::BeforePurge(const Queue& queue) {
  if (queue.is_memory()) return;
  ++purges_;
  // The ids of those in memory are known.
  const uint64_t held = queue.stored_count() + queue.ledger.parked.rows;
  if (held == queue.resident_count() && !queue.skips_damage) return;
  wanted_ = true;
  if (is_marked_) return;
  is_marked_ = true;
  state_.turn.commit().Put(kMarkKey, "\x01");
  state_.turn.Require(Promise::kWritten);
}

void LocatorSweep::Tick(Instant now) {
  if (try_again_ <= now) {
    try_again_ = kNever;
    wanted_ = true;
  }
  if (reading_ || !reads_.HasRoom()) return;
  if (from_.empty()) {
    if (!wanted_) return;
    wanted_ = missed_some_ = false;
    from_ = AllOf(RowKind::kLocator).begin;
  }
  reading_ = true;
  reads_.Start(
      {.begin = from_,
       .end = AllOf(RowKind::kLocator).end,
       .rows_max = kRowsPerRead,
       .bytes_max = kBytesPerRead,
       .skip_damage = true},
      [this, purges = purges_](ReadResult result, Instant at) { OnRows(purges, std::move(result), at); });
}

void LocatorSweep::OnRows(uint64_t purges, ReadResult result, Instant now) {
  reading_ = false;
  // A message may have moved on before its queue was purged: then its locator is not the one that was read,
  // which is read again.
  if (purges != purges_) return;
  missed_some_ |= !result.status.ok() || result.skipped > 0;
  for (const Row& row : result.rows) {
    if (!row.value.has_value() || !IsVoid(*row.value)) continue;
    state_.turn.commit().Delete(row.key);
    state_.turn.Require(Promise::kWritten);
  }
  if (result.status.ok() && !result.end_reached && !result.rows.empty()) {
    from_ = result.rows.back().key + '\0';
    return;
  }
  from_.clear();
  if (missed_some_) try_again_ = now + kSweepAgain;
  if (wanted_ || missed_some_) return;
  is_marked_ = false;
  state_.turn.commit().Delete(kMarkKey);
  state_.turn.Require(Promise::kWritten);
}

bool LocatorSweep::IsVoid(std::string_view locator) const {
  const auto key = DecodeLocator(locator);
  const auto home = key.has_value() ? ParseMessageKey(*key) : std::nullopt;
  if (!home.has_value()) return false;
  const Queue* queue = state_.FindQueue(home->queue);
  return queue == nullptr || home->seq < queue->ledger.floor_seq;
}

}  // namespace baton
