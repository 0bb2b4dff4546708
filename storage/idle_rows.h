// Keys of rows in shared memory that mean nothing, and are to be removed: what a purged queue leaves outside
// its ranges, and what a kill has left. There may be millions, so they go in small pieces, a few at a time.
// THREADS: one owner.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "storage/memory/memory_store.h"

namespace baton {

class IdleRows {
 public:
  // Of a thousand rows each.
  static constexpr size_t kPiecesPerCommit = 4;
  static constexpr size_t kPiecesPerLook = 50;
  static constexpr size_t kAllPieces = SIZE_MAX;

  void Add(std::string key);
  // A row is put under this key: it means something now. Only ledgers come back, and births with them: of a
  // queue whose definition a kill lost, with its number.
  void Revive(std::string_view key);
  bool empty() const { return keys_.empty() && ledgers_.empty(); }
  void Clear();

  // Each piece makes room for the next. What want of memory leaves goes when it is tried again.
  void Remove(MemoryStore& rows, size_t pieces_max);

  // All but ledgers and births.
  const std::vector<std::string>& keys() const { return keys_; }
  bool IsLedger(std::string_view key) const { return ledgers_.contains(key); }

 private:
  std::vector<std::string> keys_;
  std::set<std::string, std::less<>> ledgers_;
};

}  // namespace baton
