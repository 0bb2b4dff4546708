// The rows of one message, and the ledger that counts them: each function adds to the turn's commit, keeps
// the ledger in step, and tells the windows what a read in flight cannot know. Used by LifeCycle only.
//
//   its row      R, D or P by message.home
//   locator      I, exactly while the row is not the one of its birth
//   expiry hint  X at message.hint, exactly while that is not never (a parked one has none)
//   attempts     A, exactly while attempts > 0 or the hint is not where its row says
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/engine/broker_state.h"

namespace baton {

class MessageRows {
 public:
  explicit MessageRows(BrokerState* state) : state_(*state) {}

  // The row at message.home. REQUIRES: it has none.
  void Put(Message& message, std::string_view parked_reason = {});
  // REQUIRES: it has one.
  void Remove(const Message& message);

  // When a message comes to its queue: counts its birth, hints at its expiry. When it leaves for good: all
  // its rows.
  void Arrive(Message& message);
  void Leave(const Message& message);
  // It never expires from now on. Its row still tells its deadline, until it is put again.
  void EndTtl(Message& message);

  // Its hint goes to its deadline. Its row stays: its attempts row tells.
  void MoveHint(Message& message);

  // After message.attempts was raised.
  void PutAttempts(const Message& message);
  // After only message.last_reason was changed. REQUIRES: attempts > 0.
  void RewriteAttempts(const Message& message);

  // Everything in the queue's ranges. Expiry hints stay: below the ledger's floor they are void, and go when
  // they are due.
  void RemoveAll(Queue& queue);
  // Before RemoveAll: what a resident message has outside those ranges.
  void Forget(const Message& message);

 private:
  // The ledger counts less than there is: nothing more reaches the store, but for a queue that skips damage.
  void Distrust(const Queue& queue);
  void PutHint(const Message& message);
  void RemoveHint(const Message& message);
  // Of the row at message.home; until the next call.
  std::string_view KeyOf(const Message& message);

  BrokerState& state_;
  // What rows are made in, so that each does not take memory of its own.
  std::string key_;
  std::string head_;
};

std::string BirthKeyOf(const MessageId& id);

// The key of the attempts row that belongs to a message row; "" for a key of another kind. For
// ReadRequest::companion.
std::string AttemptsKeyOfRow(std::string_view row_key);

// A message of `queue` from its row, state kSpilled; nullptr: the bytes make no sense.
std::unique_ptr<Message> MessageFromRow(Queue& queue, std::string_view key, std::string_view value,
                                        const std::optional<std::string>& attempts);

}  // namespace baton
