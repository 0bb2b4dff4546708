#include "server/engine/settler.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "server/engine/arrow_cost.h"

namespace baton {
namespace {

// Work that waits for room; beyond it calls are refused. (Sessions: by what they have unsettled.)
constexpr size_t kDeferredMax = 65'536;

const absl::Status& SettledBefore() {
  static const absl::Status status = MakeError(absl::StatusCode::kFailedPrecondition, reason::kAlreadySettled,
                                               "this tag was settled before");
  return status;
}

}  // namespace

struct Settler::TokenBatch {
  CallId call;
  SettleReply reply;
  size_t undecided = 1;  // the last one is Handle itself, which is done when every token was looked up
  bool wrote = false;
  Promise promise = Promise::kApplied;
};

void Settler::Settle(const Settling& settling, Instant now) {
  // Decided even when who asked has gone meanwhile: it was sent.
  const auto decide = [this, settling](Message* message, Instant at) {
    const SettleKind kind = settling.settlement.kind;
    const SettlePlan plan = PlanSettlement(message, settling.token, kind, state_.options.epoch, at);
    // Others may have been found before in this turn. What can be refused is answered at once.
    if (plan.refusal == nullptr && MustWait(message->queue->number, plan.cost)) {
      const QueueId queue = message->queue->number;
      const auto* by_token = std::get_if<ByToken>(&settling.asker);
      const Asker asker =
          by_token != nullptr && by_token->batch->call ? Asker::Of(by_token->batch->call) : Asker::Of(queue);
      state_.budget.Defer(asker, queue, plan.cost, [this, settling](Instant later) {
        Settle(settling, later);
        return true;
      });
      return;
    }
    Tell(settling, message == nullptr,
         Apply(plan, message, settling.settlement, settling.settlement.lease, at));
  };
  const auto fail = [this, settling](const absl::Status& why) { Tell(settling, false, {.status = why}); };
  locator_.Find(settling.token.id, now, decide, fail, NeedOf(settling.settlement.kind));
}

Settler::Outcome Settler::Apply(const SettlePlan& plan, Message* found, const Settlement& settlement,
                                Duration lease, Instant now) {
  Outcome outcome;
  if (plan.refusal != nullptr) outcome.status = *plan.refusal;
  if (plan.arrow == SettleArrow::kNone) return outcome;
  Message& message = *found;
  const Queue& queue = *message.queue;
  outcome.wrote = plan.writes;
  outcome.promise = queue.promise();
  switch (plan.arrow) {
    case SettleArrow::kNone:
      break;
    case SettleArrow::kExpire:
      if (!MustWait(queue.number, CostOfExpiry(queue))) life_cycle_.Expire(message, now);
      break;
    case SettleArrow::kAck:
      life_cycle_.Ack(message, now);
      break;
    case SettleArrow::kReturn:
      life_cycle_.Return(message, ReturnCause::kNack, settlement.delay, settlement.reason, now);
      break;
    case SettleArrow::kReturnLate:
      life_cycle_.ReturnLate(message, settlement.delay, settlement.reason, now);
      break;
    case SettleArrow::kRelease:
      life_cycle_.Release(message, now);
      break;
    case SettleArrow::kExtend:
      life_cycle_.Extend(message, now + (lease == Duration(0) ? queue.config.lease : lease));
      break;
    case SettleArrow::kReject:
      life_cycle_.Reject(message, settlement.reason, now);
      break;
    case SettleArrow::kRejectLate:
      if (!settlement.reason.empty()) message.last_reason = settlement.reason;
      life_cycle_.Dispose(message, Disposal::kDeadLetter, kReasonRejected, now);
      break;
  }
  return outcome;
}

bool Settler::MustWait(QueueId queue, Cost cost) const {
  return !state_.budget.HasArrows() || !state_.budget.Allows(queue, cost);
}

void Settler::Tell(const Settling& settling, bool is_gone, Outcome outcome) {
  if (const auto* by_tag = std::get_if<ByTag>(&settling.asker)) return Tell(*by_tag, std::move(outcome));
  const auto& [batch, index] = std::get<ByToken>(settling.asker);
  batch->reply.results[index] = std::move(outcome.status);
  if (is_gone) {
    // A client whose connection broke after its ack takes "gone" for the ack's answer: by then what took the
    // message away must be as durable as an ack's answer promises.
    outcome.wrote = true;
    outcome.promise = IsMemoryQueue(settling.token.id.queue) ? Promise::kApplied : Promise::kSynced;
  }
  batch->wrote |= outcome.wrote;
  if (outcome.wrote) batch->promise = std::max(batch->promise, outcome.promise);
  if (--batch->undecided == 0) Finish(batch);
}

void Settler::Tell(const ByTag& asker, Outcome outcome) {
  const auto found = state_.sessions.find(asker.session);
  if (found == state_.sessions.end()) return;
  Session& session = *found->second;
  --session.settlements[asker.number - session.first_settlement].undecided;
  Record(session, asker.number, asker.tag, std::move(outcome));
  Conclude(session, asker.number);
}

// ---- By tag.

void Settler::Handle(const SettleTags& command, Instant now) {
  const auto found = state_.sessions.find(command.session);
  if (found == state_.sessions.end()) return;
  Session& session = *found->second;
  if (session.broke_rules) return;
  if (absl::Status status = CheckTags(session, command); !status.ok()) {
    session.broke_rules = true;
    return state_.outputs->EndSession(session.id, std::move(status));
  }
  if (session.settlements.empty() || session.settlements.back().decided_all)
    session.settlements.emplace_back();
  const uint64_t number = session.first_settlement + session.settlements.size() - 1;
  TagsByQueue waiting;
  for (const TagRange& range : command.tags)
    SettleRange(session, number, range, command.settlement, waiting, now);
  for (auto& [queue, tags] : waiting) PutOff(session, number, queue, std::move(tags), command.settlement);
  if (command.goes_on) return;
  session.settlements.back().decided_all = true;
  Conclude(session, number);
}

// A client knows the tags that it was given; whoever names others ends.
absl::Status Settler::CheckTags(const Session& session, const SettleTags& command) {
  for (const TagRange& range : command.tags) {
    if (range.last <= session.last_tag) continue;
    return MakeError(absl::StatusCode::kInvalidArgument, reason::kProtocolViolation,
                     fmt::format("Settle.tags names {}; the last one delivered in this session is {}",
                                 range.last, session.last_tag));
  }
  return absl::OkStatus();
}

// Costs what there is to settle, not what is named: the tags between are answered as runs.
void Settler::SettleRange(Session& session, uint64_t number, const TagRange& range,
                          const Settlement& settlement, TagsByQueue& waiting, Instant now) {
  for (uint64_t next = range.first; next <= range.last; ++next) {
    const auto delivery = session.unsettled.lower_bound(next);
    const bool any = delivery != session.unsettled.end() && delivery->first <= range.last;
    const uint64_t end = any ? delivery->first : range.last + 1;
    if (end > next) {
      Refuse(session,
             {.settlement = number, .tag = next, .further = end - next - 1, .status = SettledBefore()});
    }
    if (!any) return;
    next = delivery->first;
    const Unsettled& found = delivery->second;
    const Message* message = found.settling ? nullptr : state_.FindResident(found.id.seq);
    if (message != nullptr && MustWait(message->queue->number, CostOfSettlement(settlement.kind))) {
      delivery->second.settling = true;
      waiting[message->queue->number].push_back(next);
    } else {
      SettleTag(session, number, next, settlement, now);
    }
  }
}

// Goes with the session, whose end gives the leases back.
void Settler::PutOff(Session& session, uint64_t number, QueueId queue, std::vector<uint64_t> tags,
                     const Settlement& settlement) {
  session.settlements[number - session.first_settlement].undecided += tags.size();
  state_.budget.Defer(Asker::Of(session.id), queue, CostOfSettlement(settlement.kind),
                      [this, id = session.id, number, queue, tags = std::move(tags), settlement,
                       next = size_t{0}](Instant now) mutable {
                        Session& still = *state_.sessions.at(id);
                        PendingSettlement& pending = still.settlements[number - still.first_settlement];
                        for (; next < tags.size(); ++next) {
                          Unsettled& delivery = still.unsettled.at(tags[next]);
                          const Message* message = state_.FindResident(delivery.id.seq);
                          const bool waits =
                              message != nullptr &&
                              MustWait(message->queue->number, CostOfSettlement(settlement.kind));
                          if (waits && message->queue->number == queue) return false;
                          --pending.undecided;
                          if (waits) {  // it was moved
                            PutOff(still, number, message->queue->number, {tags[next]}, settlement);
                          } else {
                            delivery.settling = false;
                            SettleTag(still, number, tags[next], settlement, now);
                          }
                        }
                        Conclude(still, number);
                        return true;
                      });
}

void Settler::SettleTag(Session& session, uint64_t number, uint64_t tag, const Settlement& settlement,
                        Instant now) {
  const auto found = session.unsettled.find(tag);
  if (found == session.unsettled.end() || found->second.settling) {
    Refuse(session, {.settlement = number, .tag = tag, .status = SettledBefore()});
    return;
  }
  const Unsettled delivery = found->second;
  Subscription* subscription = session.SubscriptionOf(delivery);
  if (settlement.kind != SettleKind::kExtend) {
    if (subscription != nullptr) {
      --subscription->unsettled;
      subscription->unsettled_bytes -= delivery.bytes;
      state_.MakeAble(*subscription);
    }
    session.unsettled.erase(found);
    state_.NoteSettled(session);
  }
  const LeaseToken token{.epoch = state_.options.epoch,
                         .delivery = delivery.number,
                         .attempt = delivery.attempt,
                         .id = delivery.id};
  Message* resident = state_.FindResident(token.id.seq);
  const Duration lease = LeaseOf(settlement, subscription);
  if (resident != nullptr && Locator::Has(*resident, NeedOf(settlement.kind))) {  // nearly always
    const SettlePlan plan = PlanSettlement(resident, token, settlement.kind, state_.options.epoch, now);
    Record(session, number, tag, Apply(plan, resident, settlement, lease, now));
    return;
  }
  ++session.settlements[number - session.first_settlement].undecided;
  Settling settling{.token = token,
                    .settlement = settlement,
                    .asker = ByTag{.session = session.id, .number = number, .tag = tag}};
  settling.settlement.lease = lease;
  Settle(settling, now);
}

Duration Settler::LeaseOf(const Settlement& settlement, const Subscription* subscription) {
  if (settlement.lease != Duration(0)) return settlement.lease;
  return subscription != nullptr ? subscription->lease : Duration(kLeaseDefault);
}

void Settler::Record(Session& session, uint64_t number, uint64_t tag, Outcome outcome) {
  if (!outcome.status.ok()) {
    Refuse(session, {.settlement = number, .tag = tag, .status = std::move(outcome.status)});
  }
  if (!outcome.wrote) return;
  PendingSettlement& pending = session.settlements[number - session.first_settlement];
  pending.wrote = true;
  pending.promise = std::max(pending.promise, outcome.promise);
}

void Settler::Refuse(Session& session, SettleFailure failure) {
  auto& failures = session.settlements[failure.settlement - session.first_settlement].failures;
  if (failures.empty() || !failures.back().Joins(failure)) failures.push_back(std::move(failure));
}

void Settler::Conclude(Session& session, uint64_t number) {
  const PendingSettlement& pending = session.settlements[number - session.first_settlement];
  if (!pending.decided_all || pending.undecided != 0) return;
  if (!pending.wrote) {
    MarkReady(session.id, number);
    return;
  }
  state_.confirmations.When(state_.turn.latest(), pending.promise,
                            [this, id = session.id, number] { MarkReady(id, number); });
}

void Settler::MarkReady(SessionId id, uint64_t number) {
  const auto found = state_.sessions.find(id);
  if (found == state_.sessions.end()) return;
  found->second->settlements[number - found->second->first_settlement].ready = true;
  if (number == found->second->first_settlement) answered_.push_back(id);
}

void Settler::Flush() {
  for (const SessionId id : answered_) {
    const auto found = state_.sessions.find(id);
    if (found == state_.sessions.end()) continue;
    Session& session = *found->second;
    std::vector<SettleFailure> failures;
    bool any = false;
    while (!session.settlements.empty() && session.settlements.front().ready) {
      auto& refused = session.settlements.front().failures;
      std::move(refused.begin(), refused.end(), std::back_inserter(failures));
      session.settlements.pop_front();
      ++session.first_settlement;
      any = true;
    }
    if (any) state_.outputs->Settled(id, session.first_settlement - 1, std::move(failures));
  }
  answered_.clear();
}

// ---- By token.

void Settler::Handle(const SettleTokens& command, Instant now) {
  const bool can_be_found = std::all_of(command.tokens.begin(), command.tokens.end(), [&](const auto& token) {
    return !token.has_value() || locator_.MayFind(token->id, NeedOf(command.settlement.kind));
  });
  if (command.call && (!can_be_found || state_.budget.deferred() >= kDeferredMax)) {
    state_.outputs->Answer(
        command.call,
        MakeError(absl::StatusCode::kResourceExhausted, reason::kBrokerBusy,
                  "too many tokens are being looked up on disk, or wait for room: try again shortly"));
    return;
  }
  auto batch = std::make_shared<TokenBatch>();
  batch->call = command.call;
  batch->reply.results.resize(command.tokens.size());
  batch->undecided += command.tokens.size();
  for (size_t i = 0; i < command.tokens.size(); ++i) {
    const auto& token = command.tokens[i];
    if (!token.has_value() || !IsPossible(*token)) {
      batch->reply.results[i] =
          MakeError(absl::StatusCode::kInvalidArgument, reason::kTokenInvalid,
                    "not a token that this broker gave; use the one of the delivery, unchanged");
      --batch->undecided;
      continue;
    }
    Settle({.token = *token, .settlement = command.settlement, .asker = ByToken{.batch = batch, .index = i}},
           now);
  }
  if (--batch->undecided == 0) Finish(batch);
}

bool Settler::IsPossible(const LeaseToken& token) const {
  if (token.epoch != state_.options.epoch) return token.epoch < state_.options.epoch;
  return token.delivery.value() <= state_.last_delivery;
}

void Settler::Finish(const std::shared_ptr<TokenBatch>& batch) {
  if (!batch->call) return;  // nobody waits for the answer
  const auto answer = [this, batch] { state_.outputs->Answer(batch->call, Reply(std::move(batch->reply))); };
  if (!batch->wrote) return answer();
  state_.confirmations.When(state_.turn.latest(), batch->promise, answer);
}

}  // namespace baton
