#include "storage/memory_rescue.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "storage/format/keys.h"
#include "storage/format/records.h"
#include "storage/format/row_audit.h"

namespace baton {
namespace {

constexpr size_t kPieceBytes = 1u << 20;

using Keys = std::vector<std::string>;

// Producers: none.
std::map<QueueId, Keys> KeysByQueue(const MemoryStore& rows) {
  std::map<QueueId, Keys> keys;
  const absl::Status scanned = rows.Scan("", "\xff", [&](std::string_view key, std::string_view value) {
    std::string_view row = key;
    if (key.front() == static_cast<char>(RowKind::kLocator))
      row = DecodeLocator(value).value_or(std::string_view());
    if (IsMemoryRow(row)) keys[QueueOfRow(row)].emplace_back(key);
    return absl::OkStatus();
  });
  return scanned.ok() ? keys : std::map<QueueId, Keys>();
}

// Takes those out that mean nothing.
bool IsWhole(QueueId queue, const MemoryStore& rows, Keys& keys) {
  RowAudit audit({queue}, [&rows](std::string_view key) { return rows.Find(key); });
  const auto ledger = rows.Find(LedgerKey(queue));
  if (!ledger.has_value()) return false;  // each has had one
  absl::Status status = audit.AddLedger(LedgerKey(queue), *ledger);
  for (const std::string& key : keys) {
    if (status.ok()) status = audit.Add(key, *rows.Find(key));
  }
  if (status.ok()) status = audit.Finish();
  const absl::flat_hash_set<std::string> idle(audit.idle().begin(), audit.idle().end());
  std::erase_if(keys, [&idle](const std::string& key) { return idle.contains(key); });
  return status.ok();
}

bool Copy(const MemoryStore& from, const Keys& keys, MemoryStore& into) {
  size_t largest = 0;
  Commit piece;
  const auto apply = [&] {
    const bool done = into.MakeRoom(piece.memory_bytes(), largest).ok() && into.Apply(piece).ok();
    piece = Commit();
    return done;
  };
  for (const std::string& key : keys) {
    const std::string_view value = *from.Find(key);
    largest = std::max(largest, value.size());
    const bool is_locator = key.front() == static_cast<char>(RowKind::kLocator);
    const auto row = is_locator ? DecodeLocator(value) : std::nullopt;
    row.has_value() ? piece.PutLocator(key, *row) : piece.Put(key, value);
    if (piece.bytes() >= kPieceBytes && !apply()) return false;
  }
  return piece.empty() || apply();
}

}  // namespace

std::set<QueueId> RescueQueues(const MemoryStore& damaged, const std::set<QueueId>& queues,
                               MemoryStore& into) {
  std::set<QueueId> lost;
  std::map<QueueId, Keys> keys = KeysByQueue(damaged);
  for (const QueueId queue : queues) {
    Keys& own = keys[queue];
    if (IsWhole(queue, damaged, own) && Copy(damaged, own, into)) continue;
    lost.insert(queue);
    Commit removal;  // of a part that had room
    for (const std::string& key : own) removal.Delete(key);
    std::ignore = into.Apply(removal);  // allowed to fail: then the next broker finds a part, and removes it
  }
  Keys producers;
  for (std::string& key : keys[QueueId()]) {
    if (DecodeProducer(*damaged.Find(key)).has_value()) producers.push_back(std::move(key));
  }
  std::ignore = Copy(damaged, producers, into);  // likewise
  return lost;
}

}  // namespace baton
