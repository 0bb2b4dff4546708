#include "storage/idle_rows.h"

#include <algorithm>
#include <utility>

#include "storage/format/commit.h"
#include "storage/format/keys.h"

namespace baton {

void IdleRows::Add(std::string key) {
  const auto is = [&key](RowKind kind) { return !key.empty() && key[0] == static_cast<char>(kind); };
  if (is(RowKind::kLedger) || is(RowKind::kBirths)) {
    ledgers_.insert(std::move(key));
  } else {
    keys_.push_back(std::move(key));
  }
}

void IdleRows::Revive(std::string_view key) {
  const auto found = ledgers_.find(key);
  if (found != ledgers_.end()) ledgers_.erase(found);
}

void IdleRows::Clear() {
  keys_.clear();
  ledgers_.clear();
}

void IdleRows::Remove(MemoryStore& rows, size_t pieces_max) {
  constexpr size_t kAtOnce = 1'000;
  for (size_t piece = 0; piece < pieces_max && !keys_.empty(); ++piece) {
    const size_t left = keys_.size() - std::min(kAtOnce, keys_.size());
    Commit removal;
    for (size_t i = left; i < keys_.size(); ++i) removal.Delete(keys_[i]);
    if (!rows.Apply(removal).ok()) return;
    keys_.resize(left);
  }
  if (keys_.empty()) keys_.shrink_to_fit();
  if (ledgers_.empty()) return;
  Commit removal;
  for (const std::string& key : ledgers_) removal.Delete(key);
  if (rows.Apply(removal).ok()) ledgers_.clear();
}

}  // namespace baton
