// A store that is all in memory and has no threads: the test decides when a commit is written or synced, when
// a read looks, and when its answer arrives. It holds the contract of storage/store.h to its letter, and
// checks the engine's side of it: rows of kinds R, D, P, X strictly alternate Put and SingleDelete, other
// rows are never SingleDeleted.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "storage/format/keys.h"
#include "storage/store.h"

namespace baton {

class FakeStore {
 public:
  using Rows = std::map<std::string, std::string>;

  // What survived becomes the new beginning.
  void Submit(CommitNumber number, Commit commit, Promise promise);
  void Read(ReadRequest request);

  // Commits that are not written yet; written ones that are not synced yet.
  size_t unwritten() const { return unwritten_.size(); }
  CommitNumber written() const { return written_; }
  CommitNumber synced() const { return synced_; }
  CommitNumber submitted() const { return submitted_; }
  void WriteOne();
  // Syncs everything written.
  void Sync();

  // The oldest read that has not looked yet looks now, if every commit before it is written.
  bool LookOne();
  // The oldest answer arrives.
  std::optional<ReadResult> TakeAnswer();
  bool HasReads() const { return !waiting_.empty() || !answers_.empty(); }

  // The process dies: what is not written is lost, reads too. Power fails: of what is not synced, only the
  // first `keep` commits stay. Returns the last commit that survived. Numbers start again.
  CommitNumber Crash(size_t keep_unsynced);
  size_t unsynced() const { return written_.value() - synced_.value(); }

  // The disk is damaged there: what reads that row fails. Heal undoes all of it.
  void Damage(const std::string& key) { damaged_.insert(key); }
  void Heal() { damaged_.clear(); }
  // The row holds what no engine has written.
  void Scramble(const std::string& key) { rows_.at(key) = synced_rows_.at(key) = "?"; }

  const Rows& rows() const { return rows_; }
  // What lies there is not what was written any more; who misses a row is forgiven.
  // REQUIRES: everything is written and synced.
  void Tamper(const std::function<void(Rows&)>& change);
  size_t CountOf(RowKind kind) const;
  absl::Status Scan(
      RowKind kind,
      const std::function<absl::Status(std::string_view key, std::string_view value)>& visit) const;

 private:
  struct Pending {
    CommitNumber number;
    Commit commit;
  };
  struct WaitingRead {
    ReadRequest request;
    CommitNumber after;
  };
  void Apply(const Commit& commit, Rows& rows) const;
  ReadResult Look(const ReadRequest& request) const;
  Row Find(const std::string& key, const ReadRequest& request) const;

  std::set<std::string> damaged_;
  Rows rows_;              // with everything written
  Rows synced_rows_;       // with everything synced
  bool forgives_ = false;  // who removes a row that is not there
  std::deque<Pending> unwritten_;
  std::deque<Pending> unsynced_;
  CommitNumber submitted_;
  CommitNumber written_;
  CommitNumber synced_;
  std::deque<WaitingRead> waiting_;
  std::deque<ReadResult> answers_;
};

}  // namespace baton
