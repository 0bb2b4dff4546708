#include "server/engine/turn.h"

#include <algorithm>

#include "base/check.h"

namespace baton {

namespace {

constexpr size_t kReserveMax = 1u << 20;

}  // namespace

Turn::Finished Turn::Finish() {
  BATON_CHECK(dirty_ && !commit_.empty());
  submitted_ = current();
  if (promise_ == Promise::kSynced) submitted_to_sync_ = submitted_;
  Finished finished{.number = submitted_, .commit = std::move(commit_), .promise = promise_};
  commit_ = Commit();
  commit_.ReserveLike(finished.commit, kReserveMax);  // turns resemble each other
  dirty_ = false;
  promise_ = Promise::kApplied;
  return finished;
}

void Confirmations::When(CommitNumber commit, Promise promise, Send send) {
  if (Holds(commit, promise)) {
    send();
    return;
  }
  auto& queue = promise == Promise::kSynced    ? for_synced_
                : promise == Promise::kWritten ? for_written_
                                               : for_applied_;
  if (!queue.empty()) commit = std::max(commit, queue.back().commit);  // in order
  queue.push_back({.commit = commit, .send = std::move(send)});
}

void Confirmations::OnHandedOver(CommitNumber handed_over) {
  handed_over_ = handed_over;
  Release(for_applied_, handed_over_);
}

void Confirmations::OnProgress(CommitNumber written, CommitNumber synced) {
  BATON_CHECK(written >= written_ && synced >= synced_ && written >= synced);
  written_ = written;
  synced_ = synced;
  Release(for_written_, written_);
  Release(for_synced_, synced_);
}

void Confirmations::Release(std::deque<Waiting>& queue, CommitNumber through) {
  while (!queue.empty() && queue.front().commit <= through) {
    Send send = std::move(queue.front().send);
    queue.pop_front();
    send();
  }
}

}  // namespace baton
