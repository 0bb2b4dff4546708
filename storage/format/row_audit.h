// Judges rows that somebody else has left, all of them, before they are believed: each must be one that the
// engine can have written, each ledger must agree with a recount of its queue's rows, and locators, hints and
// attempts must belong to a message. Pure: the caller brings the rows.
//
// What a purge or a cut-off deletion leaves behind is no fault: such rows mean nothing, and are named so that
// they can be removed.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "base/ids.h"
#include "storage/format/keys.h"
#include "storage/format/records.h"

namespace baton {

class RowAudit {
 public:
  // The value of another row; absent: there is none.
  using Find = std::function<std::optional<std::string_view>(std::string_view key)>;

  // Of these queues, which exist. Rows of others mean nothing.
  RowAudit(const std::set<QueueId>& queues, Find find);

  // First every ledger, then every row (ledgers too) in key order, then Finish.
  // ERRORS: DATA_LOSS: what was given cannot have been written by an engine.
  absl::Status AddLedger(std::string_view key, std::string_view value);
  absl::Status Add(std::string_view key, std::string_view value);
  absl::Status Finish();

  // Keys of the rows that mean nothing.
  const std::vector<std::string>& idle() const { return idle_; }

 private:
  struct Counted {
    LedgerRecord ledger;
    bool has_ledger = false;
    RowCount ready;
    RowCount delayed;
    RowCount parked;
    uint64_t attempt_rows = 0;
    BirthBuckets births;  // the ledger's, without those found
  };
  Counted* FindQueue(QueueId queue);
  // Does a row beside the messages mean nothing? Its queue is gone, or in deletion, or was purged since.
  bool IsIdle(QueueId queue, Seq seq);
  absl::Status AddMessage(const MessageKeyParts& home, std::string_view key, std::string_view value);
  absl::Status CheckId(const MessageKeyParts& home, std::string_view key, const MessageRecord& record);
  absl::Status AddAttempts(std::string_view key, std::string_view value);
  absl::Status AddLocator(std::string_view key, std::string_view value);
  absl::Status AddHint(std::string_view key, std::string_view value);
  absl::Status Idle(std::string_view key) {
    idle_.emplace_back(key);
    return absl::OkStatus();
  }

  const Find find_;
  absl::flat_hash_map<QueueId, Counted> queues_;
  absl::flat_hash_set<std::pair<QueueId, Seq>> attempts_;  // whose message was not seen yet
  uint64_t moved_ = 0;                                     // messages that are not where they were born
  uint64_t locators_ = 0;
  uint64_t mortal_ = 0;  // messages with a deadline
  uint64_t hints_ = 0;
  std::vector<std::string> idle_;
};

}  // namespace baton
