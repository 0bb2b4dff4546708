#include "server/engine/publisher.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"

namespace baton {
namespace {

// What a session that is honest may have to settle: more than this is not held back for it.
constexpr size_t kHeldBackSettlementsMax = kUnsettledPerSessionMax * sizeof(TagRange);
constexpr int kGivenUpAtOnceMax = 16;

// Made once and shared: a batch may have thousands of messages.
const absl::Status& DiskFull() {
  static const absl::Status status = MakeError(
      absl::StatusCode::kResourceExhausted, reason::kDiskFull,
      "the broker's disk is nearly full: publishing is refused until there is room; consuming goes on");
  return status;
}

uint64_t BytesOf(const NewMessage& message) { return message.headers.size() + message.body.size(); }

size_t BytesOf(const Publish& command) {
  size_t bytes = sizeof(Publish) + command.messages.size() * sizeof(NewMessage);
  for (const NewMessage& message : command.messages) bytes += BytesOf(message);
  return bytes;
}

size_t BytesOf(const SettleTags& command) {
  return sizeof(Publish) + command.tags.size() * sizeof(TagRange) + command.settlement.reason.size();
}

// It would expire before it is ready.
absl::Status CheckDelay(const NewMessage& message, const Queue& queue) {
  const Duration ttl = TtlIn(queue.config, message.ttl);
  if (message.delay == Duration(0) || ttl == Duration(0) || message.delay < ttl) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, reason::kNeverDeliverable,
      fmt::format(
          "the message could never be delivered: its delay is {} ms, and it expires after {} ms ({}); "
          "give it a shorter delay, or a longer TTL",
          message.delay.count() / 1000, ttl.count() / 1000,
          ttl == message.ttl ? std::string("its own TTL") : fmt::format("the TTL of queue {}", queue.name)));
}

}  // namespace

Session* Publisher::FindSession(SessionId id) {
  const auto found = state_.sessions.find(id);
  return found == state_.sessions.end() ? nullptr : found->second.get();
}

std::optional<Publisher::LineId> Publisher::MustWait(const Queue* queue) const {
  if (queue == nullptr) return std::nullopt;
  if (Overflow::MustWait(*queue) || queue->purges > 0 || lines_.contains(queue->number)) return queue->number;
  const bool behind = !queue->is_memory() && (lines_.contains(LineId()) || state_.budget.StoreIsBehind());
  return behind ? std::optional(LineId()) : std::nullopt;
}

bool Publisher::IsRunnable(LineId id, const Line& line) const {
  const Queue* queue = id ? state_.FindQueue(id) : nullptr;
  if (queue != nullptr && (Overflow::MustWait(*queue) || queue->purges > 0)) return false;
  return !line.commands.empty() && (IsMemoryQueue(id) || !state_.budget.StoreIsBehind());
}

bool Publisher::GoesOn(LineId id) const {
  return !state_.budget.IsFull() && (IsMemoryQueue(id) || !state_.budget.StoreFallsBehind());
}

bool Publisher::HasRunnable() const {
  return std::any_of(lines_.begin(), lines_.end(),
                     [this](const auto& line) { return IsRunnable(line.first, line.second); });
}

void Publisher::HoldBack(LineId line, Waiting command) {
  std::visit(
      [&](const auto& typed) {
        HeldBackIn(line) += BytesOf(typed);
        if (Session* session = FindSession(typed.session)) {
          ++session->held_back;
          session->held_in = line;
        }
      },
      command);
  lines_[line].commands.push_back(std::move(command));
}

void Publisher::Handle(Publish command, Instant now) {
  Session* session = FindSession(command.session);
  if (session != nullptr) session->unconfirmed += command.messages.size();
  auto line = MustWait(state_.FindQueue(command.queue));
  if (session != nullptr && session->held_back > 0) line = session->held_in;
  if (!line.has_value()) {
    Run(std::move(command), now);
    return;
  }
  if (command.call && HeldBackIn(*line) + BytesOf(command) > state_.options.uncommitted_bytes_max) {
    state_.outputs->Answer(
        command.call, MakeError(absl::StatusCode::kResourceExhausted, reason::kBrokerBusy,
                                "the broker does not keep up with what is published: try again shortly"));
    return;
  }
  HoldBack(*line, std::move(command));
}

void Publisher::Handle(SettleTags command, Instant now) {
  Session* session = FindSession(command.session);
  if (session == nullptr) return;
  if (session->held_back == 0) {
    settler_.Handle(command, now);
    return;
  }
  session->held_back_bytes += BytesOf(command);
  if (session->held_back_bytes > kHeldBackSettlementsMax) {
    state_.outputs->EndSession(
        command.session,
        MakeError(absl::StatusCode::kResourceExhausted, reason::kBrokerBusy,
                  "the disk does not keep up with what this session published, and more settlements wait "
                  "behind it than it can have deliveries: name tags as ranges, and each once"));
    return;
  }
  const QueueId line = session->held_in;
  HoldBack(line, std::move(command));
}

void Publisher::Tick(Instant now) {
  for (auto at = lines_.begin(); at != lines_.end() && !state_.budget.IsFull();) {
    auto& [id, line] = *at;
    for (bool goes_on = true; goes_on && IsRunnable(id, line); goes_on = GoesOn(id)) {
      Waiting command = std::move(line.commands.front());
      line.commands.pop_front();
      RunHeldBack(id, std::move(command), now);
    }
    at = line.commands.empty() ? lines_.erase(at) : std::next(at);
  }
}

void Publisher::RunHeldBack(LineId line, Waiting command, Instant now) {
  std::visit(
      [this, line](const auto& typed) {
        HeldBackIn(line) -= BytesOf(typed);
        if (Session* session = FindSession(typed.session)) --session->held_back;
      },
      command);
  if (auto* publish = std::get_if<Publish>(&command)) {
    Run(std::move(*publish), now);
    return;
  }
  auto& settle = std::get<SettleTags>(command);
  if (Session* session = FindSession(settle.session)) session->held_back_bytes -= BytesOf(settle);
  settler_.Handle(settle, now);
}

void Publisher::Run(Publish command, Instant now) {
  Publishing by{.producer = command.producer, .owner = OwnerOf("call:")};
  if (command.session) {
    const auto session = state_.sessions.find(command.session);
    if (session == state_.sessions.end()) return;
    by = {.producer = session->second->producer, .owner = session->second->owner};
  }
  if (command.first_sequence == 0) by.producer = {};
  Queue* queue = state_.FindQueue(command.queue);
  std::vector<PublishResult> results;
  results.reserve(command.messages.size());
  if (queue == nullptr)
    results.resize(command.messages.size(), {.status = QueueNotFound(command.queue), .id = {}});
  uint64_t sequence = command.first_sequence;
  for (size_t i = 0; queue != nullptr && i < command.messages.size(); ++i, ++sequence)
    results.push_back(PublishOne(*queue, std::move(command.messages[i]), by, sequence, now));
  Answer(command, queue, std::move(results));
}

// Somebody idle is forgotten for it.
void Publisher::MakeRoomFor(ProducerId producer, uint64_t sequence, Instant now) {
  const auto in_use = [this](ProducerId id) { return state_.producer_sessions.contains(id); };
  // More than one when a store holds more of them than there is room for.
  for (int i = 0; i < kGivenUpAtOnceMax; ++i) {
    if (!state_.producers.MakeRoom(now, in_use, state_.turn.commit())) return;
    state_.turn.Require(Promise::kWritten);
    if (state_.producers.Check(producer, sequence) != Producers::Verdict::kTooMany) return;
  }
}

Publisher::Plan Publisher::PlanPublish(Queue& queue, const NewMessage& message, ProducerId producer,
                                       uint64_t sequence) const {
  const auto refuse = [](absl::Status why) { return Plan{.refusal = std::move(why)}; };
  if (producer) {
    switch (state_.producers.Check(producer, sequence)) {
      case Producers::Verdict::kNew:
        break;
      case Producers::Verdict::kDuplicate:
        return {.duplicate = true};
      case Producers::Verdict::kTooOld:
        return refuse(MakeError(
            absl::StatusCode::kFailedPrecondition, reason::kSequenceTooOld,
            fmt::format(
                "sequence {} is more than {} behind the producer's highest: whether it was stored is not "
                "known any more; keep fewer messages unconfirmed",
                sequence, kProducerWindow)));
      case Producers::Verdict::kTooMany:
        return {.refusal = MakeError(absl::StatusCode::kResourceExhausted, reason::kProducerLimit,
                                     fmt::format("the broker remembers {} producers already, and all of them "
                                                 "are connected: use fewer, or raise memory_budget",
                                                 state_.producers.size())),
                .too_many_producers = true};
    }
  }
  if (absl::Status status = CheckDelay(message, queue); !status.ok()) return refuse(std::move(status));
  // Looked at only now: of what is stored already nobody is told that it is not.
  if (state_.disk_low) return refuse(DiskFull());
  Plan plan{.room = overflow_.PlanRoom(queue, BytesOf(message))};
  plan.refusal = plan.room.refusal;
  return plan;
}

PublishResult Publisher::PublishOne(Queue& queue, NewMessage message, const Publishing& by, uint64_t sequence,
                                    Instant now) {
  Plan plan = PlanPublish(queue, message, by.producer, sequence);
  if (plan.too_many_producers) {
    MakeRoomFor(by.producer, sequence, now);
    plan = PlanPublish(queue, message, by.producer, sequence);
  }
  overflow_.Apply(queue, plan.room, BytesOf(message), now);
  PublishResult result{.status = std::move(plan.refusal), .id = {}, .duplicate = plan.duplicate};
  if (!result.status.ok() || result.duplicate) return result;
  if (by.producer) state_.producers.Accept(by.producer, sequence, queue.is_memory(), by.owner, now);
  result.id = life_cycle_.Publish(queue, std::move(message), by.producer, sequence, now);
  return result;
}

void Publisher::Answer(const Publish& command, const Queue* queue, std::vector<PublishResult> results) {
  bool stored = false;
  for (const PublishResult& result : results) stored |= result.status.ok();
  const Durability durability = queue != nullptr ? queue->config.durability : Durability::kDurable;
  // A duplicate's first publish may still be on its way: it is in an earlier commit, or in this one. Refusals
  // wait for nothing.
  const Promise promise = queue != nullptr ? queue->promise() : Promise::kApplied;
  const CommitNumber commit = stored ? state_.turn.latest(promise) : CommitNumber();
  if (command.session) {
    Confirm(command.session, command, durability, commit, promise, results);
    return;
  }
  if (!command.call) return;
  auto answer = [this, call = command.call, durability, results = std::move(results)]() mutable {
    state_.outputs->Answer(call,
                           Reply(PublishReply{.durability = durability, .results = std::move(results)}));
  };
  state_.confirmations.When(commit, promise, std::move(answer));
}

void Publisher::Confirm(SessionId session, const Publish& command, Durability durability, CommitNumber commit,
                        Promise promise, const std::vector<PublishResult>& results) {
  ConfirmRun run{.first = command.first_sequence,
                 .last = command.first_sequence + results.size() - 1,
                 .durability = durability,
                 .failures = {},
                 .duplicates = {},
                 .ids = {}};
  uint64_t sequence = run.first;
  for (const PublishResult& result : results) {
    if (!result.status.ok()) {
      run.failures.push_back({.sequence = sequence, .status = result.status});
    } else if (result.duplicate) {
      run.duplicates.push_back(sequence);
    }
    if (command.want_ids) {
      if (result.status.ok() && !result.duplicate) {
        result.id.AppendTo(run.ids);
      } else {
        run.ids.append(MessageId::kBytes, '\0');
      }
    }
    ++sequence;
  }
  state_.confirmations.When(commit, promise, [this, session, run = std::move(run)]() mutable {
    const auto found = state_.sessions.find(session);
    if (found == state_.sessions.end()) return;
    found->second->unconfirmed -= run.last - run.first + 1;
    state_.outputs->Confirm(session, std::move(run));
  });
}

}  // namespace baton
