// Create, change, delete, purge, describe queues.
#pragma once

#include "server/engine/dispatcher.h"
#include "server/engine/life_cycle.h"
#include "server/engine/purger.h"
#include "server/engine/ttl_walk.h"

namespace baton {

class QueueAdmin {
 public:
  QueueAdmin(BrokerState* state, Dispatcher* dispatcher, Purger* purger, TtlWalk* ttl_walk)
      : state_(*state), dispatcher_(*dispatcher), purger_(*purger), ttl_walk_(*ttl_walk) {}

  void Handle(const CreateQueue& command, Instant now);
  void Handle(const UpdateQueue& command, Instant now);
  void Handle(const DeleteQueue& command);
  void Handle(const PurgeQueue& command);
  void Handle(const GetQueue& command, Instant now);
  void Handle(const ListQueues& command, Instant now);

  // At start, from its row.
  absl::Status Load(std::string_view key, std::string_view value);
  absl::Status LoadBirths(std::string_view key, std::string_view value);
  absl::Status LoadLedger(std::string_view key, std::string_view value);

 private:
  Queue& Add(std::string name, QueueId number);
  // `target`: "" = none.
  absl::Status CheckDeadLetterQueue(std::string_view queue, const QueueConfig& config) const;
  // FAILED_PRECONDITION (QUEUE_IN_USE) when a queue names `target` as its dead-letter queue.
  absl::Status CheckNotInUse(std::string_view target) const;
  // It is empty.
  absl::Status Delete(Queue& queue);
  QueueInfo Describe(const Queue& queue, Instant now) const;
  // Answers when the change is synced, whatever the queue's durability: administration is rare and must last.
  void AnswerWhenSynced(CallId call, Reply reply);

  BrokerState& state_;
  Dispatcher& dispatcher_;
  Purger& purger_;
  TtlWalk& ttl_walk_;
};

}  // namespace baton
