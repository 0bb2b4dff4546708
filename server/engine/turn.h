// The commit that the current turn builds, and the confirmations that wait for commits: the one place where
// an answer is held back until its promise holds.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/ids.h"
#include "storage/format/commit.h"
#include "storage/store.h"

namespace baton {

// The commit under construction. THREADS: the engine's.
class Turn {
 public:
  Commit& commit() { return commit_; }
  const Commit& commit() const { return commit_; }
  // Something was (or, at the end of the turn, will be) written for a queue with this promise.
  void Require(Promise promise) {
    dirty_ = true;
    promise_ = std::max(promise_, promise);
  }
  bool dirty() const { return dirty_; }

  // The number of the commit under construction.
  CommitNumber current() const { return CommitNumber(submitted_.value() + 1); }
  // What an answer given now has to wait for: the commit of this turn if there will be one, else the last
  // one.
  CommitNumber latest() const { return dirty_ ? current() : submitted_; }
  // The same for what is about one queue: the last commit with its promise (or a stronger one). Behind a
  // relaxed commit nobody hurries to sync, so an answer about a durable queue must not wait for that one.
  CommitNumber latest(Promise promise) const {
    if (promise != Promise::kSynced) return latest();
    return dirty_ && promise_ == Promise::kSynced ? current() : submitted_to_sync_;
  }

  struct Finished {
    CommitNumber number;
    Commit commit;
    Promise promise;
  };
  // REQUIRES: dirty() and a non-empty commit.
  Finished Finish();

 private:
  Commit commit_;
  bool dirty_ = false;
  Promise promise_ = Promise::kApplied;
  CommitNumber submitted_;
  CommitNumber submitted_to_sync_;  // the last one with Promise::kSynced
};

// Answers that wait. Those of one promise are released in the order they came. THREADS: the engine's.
class Confirmations {
 public:
  using Send = absl::AnyInvocable<void()>;

  void When(CommitNumber commit, Promise promise, Send send);
  // Send what may be sent now.
  void OnHandedOver(CommitNumber handed_over);
  void OnProgress(CommitNumber written, CommitNumber synced);

  bool Holds(CommitNumber commit, Promise promise) const {
    return commit <= (promise == Promise::kSynced    ? synced_
                      : promise == Promise::kWritten ? written_
                                                     : handed_over_);
  }

 private:
  struct Waiting {
    CommitNumber commit;
    Send send;
  };
  static void Release(std::deque<Waiting>& queue, CommitNumber through);

  std::deque<Waiting> for_applied_;
  std::deque<Waiting> for_written_;
  std::deque<Waiting> for_synced_;
  CommitNumber handed_over_;
  CommitNumber written_;
  CommitNumber synced_;
};

}  // namespace baton
