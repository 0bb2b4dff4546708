// How a store begins: with a new region, or with one that was there.
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "storage/memory/memory_store.h"

namespace baton {

absl::StatusOr<MemoryStore::Adoption> MemoryStore::Adopt(const MemoryRegion::Options& options,
                                                         const Judge& judge) {
  Adoption adoption;
  auto region = MemoryRegion::Open(options);
  absl::Status trusted = region.status();
  if (region.ok()) {
    std::unique_ptr<MemoryStore> store(new MemoryStore(*std::move(region), options.index_bytes_max));
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
  adoption.damaged = ReadDamaged(options);
  auto aside = MemoryRegion::SetAside(options.path, std::string(trusted.message()));
  if (!aside.ok()) return aside.status();
  adoption.adopted.set_aside = *std::move(aside);
  return adoption;
}

absl::StatusOr<std::unique_ptr<MemoryStore>> MemoryStore::Create(const MemoryRegion::Options& options) {
  std::string set_aside;
  auto created = MemoryRegion::Create(options);
  if (absl::IsAlreadyExists(created.status())) {
    const auto there = MemoryRegion::Open(options);  // keeps it from others
    if (!there.ok() && !absl::IsDataLoss(there.status())) return there.status();
    auto aside = MemoryRegion::SetAside(options.path, "it was not there when the broker was started");
    if (!aside.ok()) return aside.status();
    set_aside = *std::move(aside);
    created = MemoryRegion::Create(options);
  }
  if (!created.ok()) return created.status();
  std::unique_ptr<MemoryStore> store(new MemoryStore(*std::move(created), options.index_bytes_max));
  store->adopted_.set_aside = std::move(set_aside);
  if (absl::Status reserve = store->log_.region().KeepInHand(store->Reserve(0) + 1); !reserve.ok()) {
    Remove(options.path);
    return reserve;
  }
  return store;
}

absl::StatusOr<std::unique_ptr<MemoryStore>> MemoryStore::Open(const MemoryRegion::Options& options) {
  auto adoption = Adopt(options);
  if (!adoption.ok()) return adoption.status();
  if (adoption->store != nullptr) return std::move(adoption->store);
  auto created = Create(options);
  if (created.ok()) (*created)->adopted_ = std::move(adoption->adopted);
  return created;
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
  const uint32_t wanted = Reserve(log_.largest()) + kForGrowing;
  // Of a limit that was lowered since: what is there stays, and what makes it less has what it needs.
  log_.region().AllowAtLeast(log_.region().slots_used() + wanted);
  log_.region().set_kept(2 * wanted);
  log_.GoOnAfter(last, runs);
  Refill();
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

// Only of commits that were carried out: of those it is told by the rows themselves which are live.
std::unique_ptr<MemoryStore> MemoryStore::ReadDamaged(const MemoryRegion::Options& options) {
  auto region = MemoryRegion::Open(options);
  if (!region.ok()) return nullptr;
  std::unique_ptr<MemoryStore> store(new MemoryStore(*std::move(region), options.index_bytes_max));
  MemoryLog& log = store->log_;
  std::vector<MemoryLog::Run> runs;
  if (!log.Load(runs, MemoryLog::Damage::kLeftOut).ok()) return nullptr;
  bool is_clear = true;
  for (const auto& run : runs) {
    is_clear = is_clear && run.commit <= log.applied();
    log.ForEachRecord(run, [&](const RecordReader& record, Place place) {
      if (record.kind() == Commit::Kind::kPut && record.dead() == 0)
        is_clear = store->AddRow(record, place) && is_clear;
    });
  }
  return is_clear ? std::move(store) : nullptr;
}

}  // namespace baton
