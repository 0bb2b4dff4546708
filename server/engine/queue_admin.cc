#include "server/engine/queue_admin.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/coding.h"
#include "base/error.h"
#include "base/queue_name.h"
#include "server/engine/queue_record.h"

namespace baton {
namespace {

constexpr size_t kUsersNamed = 5;  // of a dead-letter queue, in an error

absl::Status UnreadableLedger(QueueId number) {
  return absl::DataLossError(fmt::format(
      "the ledger of queue number {} cannot be read, or its queue is missing: the store is damaged "
      "or of a newer version",
      number.value()));
}

}  // namespace

Queue& QueueAdmin::Add(std::string name, QueueId number) {
  auto queue = std::make_unique<Queue>();
  queue->number = number;
  queue->name = name;
  queue->clock_steps = &state_.clock_steps;
  Queue& added = *queue;
  state_.queues.emplace(std::move(name), std::move(queue));
  state_.queues_by_number.emplace(number, &added);
  if (IsMemoryQueue(number) && state_.options.on_memory_queue) state_.options.on_memory_queue(added.name);
  return added;
}

absl::Status QueueAdmin::CheckDeadLetterQueue(std::string_view queue, const QueueConfig& config) const {
  const std::string_view target = config.dead_letter_queue;
  if (target == queue) {
    return MakeError(absl::StatusCode::kInvalidArgument, reason::kQueueConfigInvalid,
                     fmt::format("queue {} cannot be its own dead-letter queue: name another one", queue));
  }
  const auto found = state_.queues.find(target);
  if (!target.empty() && found == state_.queues.end()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, reason::kQueueNotFound,
        fmt::format("the dead-letter queue {} does not exist: create it first (baton queue create {})",
                    target, target));
  }
  if (!target.empty() && found->second->is_memory() != (config.durability == Durability::kMemory)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, reason::kQueueConfigInvalid,
        fmt::format("the dead-letter queue {} is {} memory queue, and queue {} is {}: dead letters "
                    "stay where their queue is, so both must be memory queues, or neither",
                    target, found->second->is_memory() ? "a" : "no", queue,
                    config.durability == Durability::kMemory ? "one" : "not"));
  }
  return absl::OkStatus();
}

absl::Status QueueAdmin::CheckNotInUse(std::string_view target) const {
  std::string users;
  size_t count = 0;
  for (const auto& [name, queue] : state_.queues) {
    if (queue->config.dead_letter_queue != target) continue;
    if (++count <= kUsersNamed) users += (count == 1 ? "" : ", ") + name;
  }
  if (count == 0) return absl::OkStatus();
  if (count > kUsersNamed) users += fmt::format(" and {} more", count - kUsersNamed);
  return MakeError(absl::StatusCode::kFailedPrecondition, reason::kQueueInUse,
                   fmt::format("queue {} is the dead-letter queue of {}: give {} another one first, or none "
                               "(baton queue set --dead-letter-queue)",
                               target, users, count == 1 ? "it" : "them"));
}

void QueueAdmin::AnswerWhenSynced(CallId call, Reply reply) {
  state_.confirmations.When(
      state_.turn.latest(), Promise::kSynced,
      [this, call, reply = std::move(reply)]() mutable { state_.outputs->Answer(call, std::move(reply)); });
}

void QueueAdmin::Handle(const CreateQueue& command, Instant now) {
  const auto refuse = [&](absl::Status why) { state_.outputs->Answer(command.call, std::move(why)); };
  if (auto status = CheckQueueName(command.name); !status.ok()) return refuse(status);
  if (state_.FindQueue(command.name) != nullptr) {
    return refuse(MakeError(absl::StatusCode::kAlreadyExists, reason::kQueueExists,
                            fmt::format("queue {} exists already: change it with `baton queue set {}`",
                                        command.name, command.name)));
  }
  if (state_.queues.size() >= kQueuesMax || state_.last_queue_number >= kMemoryQueueBit - 2) {
    return refuse(MakeError(
        absl::StatusCode::kResourceExhausted, reason::kQueueLimit,
        fmt::format("there are {} queues, which is the limit: delete some first", state_.queues.size())));
  }
  const QueueConfig config = command.config.ApplyTo(QueueConfig());
  if (auto status = CheckQueueConfig(config); !status.ok()) return refuse(status);
  if (auto status = CheckOverflow(config); !status.ok()) return refuse(status);
  if (auto status = CheckDeadLetterQueue(command.name, config); !status.ok()) return refuse(status);
  if (config.durability == Durability::kMemory) {
    if (auto status = state_.budget.RoomToGrow(kLedgerBytesMax); !status.ok()) return refuse(status);
  }
  ++state_.last_queue_number;
  const uint32_t memory_bit = config.durability == Durability::kMemory ? kMemoryQueueBit : 0;
  Queue& queue = Add(command.name, QueueId(state_.last_queue_number | memory_bit));
  queue.config = config;
  queue.created = now;
  state_.StoreDefinition(queue);
  state_.TouchLedger(queue);
  // Numbers are never used twice, even when the newest queue is deleted.
  state_.turn.commit().Put(LedgerKey(QueueId()), EncodeLastQueueNumber(QueueId(state_.last_queue_number)));
  state_.confirmations.When(state_.turn.latest(), Promise::kSynced, [this, number = queue.number] {
    if (Queue* stored = state_.FindQueue(number)) stored->stored = true;
  });
  AnswerWhenSynced(command.call, Describe(queue, now));
}

void QueueAdmin::Handle(const UpdateQueue& command, Instant now) {
  Queue* queue = state_.FindQueue(command.name);
  const auto refuse = [&](absl::Status why) { state_.outputs->Answer(command.call, std::move(why)); };
  if (queue == nullptr) return refuse(QueueNotFound(command.name));
  const QueueConfig config = command.config.ApplyTo(queue->config);
  if (auto status = CheckQueueConfig(config); !status.ok()) return refuse(status);
  if (queue->is_memory() != (config.durability == Durability::kMemory)) {
    return refuse(
        MakeError(absl::StatusCode::kInvalidArgument, reason::kQueueConfigInvalid,
                  fmt::format("queue {} cannot become or cease to be a memory queue: create another "
                              "queue and move its messages there",
                              queue->name)));
  }
  // What an earlier version has stored is no reason to refuse another change.
  if (command.config.ChangesOverflow()) {
    if (auto status = CheckOverflow(config); !status.ok()) return refuse(status);
  }
  if (command.config.dead_letter_queue.has_value()) {
    if (auto status = CheckDeadLetterQueue(command.name, config); !status.ok()) return refuse(status);
  }
  const Duration ttl_before = std::exchange(queue->config, config).ttl;
  const bool expires_sooner =
      config.ttl > Duration(0) && (ttl_before == Duration(0) || config.ttl < ttl_before);
  if (expires_sooner) ttl_walk_.Begin(*queue);
  state_.KeepLimits(*queue);
  if (command.paused.has_value()) queue->paused = *command.paused;
  if (command.skip_damage.has_value()) {
    queue->skips_damage = *command.skip_damage;
    queue->ready_awaits_repair = queue->delayed_awaits_repair = false;  // tries at once
    queue->damage = absl::OkStatus();
  }
  state_.StoreDefinition(*queue);
  state_.WantDispatch(*queue);
  AnswerWhenSynced(command.call, Describe(*queue, now));
}

void QueueAdmin::Handle(const PurgeQueue& command) {
  Queue* queue = state_.FindQueue(command.name);
  if (queue == nullptr) {
    state_.outputs->Answer(command.call, QueueNotFound(command.name));
    return;
  }
  purger_.Purge(*queue, [this, call = command.call, name = command.name](Queue* purged, uint64_t messages) {
    if (purged == nullptr) {
      state_.outputs->Answer(call, QueueNotFound(name));
      return;
    }
    state_.turn.Require(Promise::kSynced);
    AnswerWhenSynced(call, MessageCount{.messages = messages});
  });
}

void QueueAdmin::Handle(const DeleteQueue& command) {
  Queue* queue = state_.FindQueue(command.name);
  const auto refuse = [&](absl::Status why) { state_.outputs->Answer(command.call, std::move(why)); };
  if (queue == nullptr) return refuse(QueueNotFound(command.name));
  if (auto status = CheckNotInUse(command.name); !status.ok()) return refuse(status);
  const uint64_t held = queue->stored_count() + queue->ledger.parked.rows;
  if (command.only_if_empty && held > 0) {
    return refuse(
        MakeError(absl::StatusCode::kFailedPrecondition, reason::kQueueNotEmpty,
                  fmt::format("queue {} holds {} message{}: purge it first, or delete it with its messages",
                              queue->name, held, held == 1 ? "" : "s")));
  }
  purger_.Purge(*queue, [this, call = command.call, name = command.name](Queue* purged, uint64_t messages) {
    const absl::Status deleted = purged == nullptr ? QueueNotFound(name) : Delete(*purged);
    if (!deleted.ok()) {
      state_.outputs->Answer(call, deleted);
    } else {
      AnswerWhenSynced(call, MessageCount{.messages = messages});
    }
  });
}

// Asks once more: while it was purged another queue may have been given it for its dead letters.
absl::Status QueueAdmin::Delete(Queue& queue) {
  if (auto status = CheckNotInUse(queue.name); !status.ok()) return status;
  const std::string name = queue.name;
  const QueueId number = queue.number;
  dispatcher_.EndAll(queue, MakeError(absl::StatusCode::kNotFound, reason::kQueueDeleted,
                                      fmt::format("queue {} was deleted", name)));
  if (queue.scheduled_due != kNever) state_.delay_schedule.erase({queue.scheduled_due, number});
  state_.turn.commit().Delete(LedgerKey(number));
  if (queue.ledger.births.TakeRow().has_value()) state_.turn.commit().Delete(BirthsKey(number));
  state_.turn.commit().Delete(QueueKey(name));
  state_.turn.Require(Promise::kSynced);
  state_.queues_by_number.erase(number);
  state_.budget.OnQueueGone(number);
  state_.queues.erase(state_.queues.find(name));
  if (IsMemoryQueue(number) && state_.options.on_memory_queue_gone) state_.options.on_memory_queue_gone(name);
  return absl::OkStatus();
}

QueueInfo QueueAdmin::Describe(const Queue& queue, Instant now) const {
  const LedgerRecord& ledger = queue.ledger;
  const Instant oldest = ledger.births.Oldest();
  return {.name = queue.name,
          .number = queue.number,
          .config = queue.config,
          .paused = queue.paused,
          .skips_damage = queue.skips_damage,
          .damage = std::string(queue.damage.message()),
          .is_over_limits = queue.is_over_limits(),
          .created = queue.created,
          .ready = queue.ready_count(),
          .leased = queue.leased.size(),
          .delayed = queue.delayed_count(),
          .parked = ledger.parked.rows,
          .bytes = queue.stored_bytes() + ledger.parked.bytes,
          .resident = queue.resident_count(),
          .subscriptions = queue.subscriptions.size(),
          .oldest_age = oldest == kNever ? Duration(0) : std::max(now - oldest, Duration(0)),
          .counters = queue.counters};
}

void QueueAdmin::Handle(const GetQueue& command, Instant now) {
  const Queue* queue = state_.FindQueue(command.name);
  if (queue == nullptr) {
    state_.outputs->Answer(command.call, QueueNotFound(command.name));
  } else {
    state_.outputs->Answer(command.call, Reply(Describe(*queue, now)));
  }
}

void QueueAdmin::Handle(const ListQueues& command, Instant now) {
  QueueList list;
  auto at = command.after.empty() ? state_.queues.lower_bound(command.prefix)
                                  : state_.queues.upper_bound(command.after);
  for (; at != state_.queues.end() && at->first.starts_with(command.prefix); ++at) {
    if (list.queues.size() >= command.limit) {
      list.more = true;
      break;
    }
    list.queues.push_back(Describe(*at->second, now));
  }
  state_.outputs->Answer(command.call, Reply(std::move(list)));
}

absl::Status QueueAdmin::Load(std::string_view key, std::string_view value) {
  const std::string name(key.substr(1));
  const auto record = DecodeQueue(value);
  const bool is_known = record.has_value() && state_.FindQueue(record->number) != nullptr;
  if (!record.has_value() || is_known || !CheckQueueName(name).ok()) return UnreadableQueue(name);
  Queue& queue = Add(name, record->number);
  queue.created = record->created;
  queue.paused = record->paused;
  queue.skips_damage = record->skips_damage;
  queue.hints_are_late = record->hints_are_late;
  queue.config = record->config;
  queue.stored = true;
  state_.last_queue_number = std::max(state_.last_queue_number, record->number.value() & ~kMemoryQueueBit);
  return absl::OkStatus();
}

absl::Status QueueAdmin::LoadBirths(std::string_view key, std::string_view value) {
  Queue* queue = state_.FindQueue(QueueOfRow(key));
  const auto births = DecodeBirths(value);
  if (queue == nullptr || key != BirthsKey(queue->number) || !births.has_value())
    return UnreadableLedger(QueueOfRow(key));
  queue->ledger.births = *births;
  return absl::OkStatus();
}

absl::Status QueueAdmin::LoadLedger(std::string_view key, std::string_view value) {
  ByteReader reader(key);
  reader.Byte();
  const QueueId number(reader.Fixed32());
  if (reader.AtEnd() && !number) {
    const auto last = DecodeLastQueueNumber(value);
    if (!last.has_value())
      return absl::DataLossError("the last queue number cannot be read: the store is damaged");
    state_.last_queue_number = std::max(state_.last_queue_number, last->value());
    return absl::OkStatus();
  }
  Queue* queue = state_.FindQueue(number);
  if (!reader.AtEnd() || queue == nullptr) return UnreadableLedger(number);
  const auto record = DecodeLedger(value, queue->ledger.births);
  if (!record.has_value()) return UnreadableLedger(number);
  queue->ledger = *record;
  queue->counters.found = queue->stored_count() + record->parked.rows;
  if (record->ready.rows > 0) queue->ready.StartAt(record->head);
  if (record->delayed.rows > 0) queue->delayed.StartAt({.due = record->next_due, .seq = Seq()});
  return absl::OkStatus();
}

}  // namespace baton
