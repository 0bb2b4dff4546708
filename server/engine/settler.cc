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

// Made once and shared: a client may ask for many with a few bytes. Whoever asked knows what he named.

const absl::Status& LeaseLost() {
  static const absl::Status status =
      MakeError(absl::StatusCode::kFailedPrecondition, reason::kLeaseLost,
                "the lease is lost: the message was delivered again, moved or expired; nothing was changed. "
                "Its new delivery, which after a lost connection may be one's own, is to be settled");
  return status;
}

const absl::Status& MessageGone() {
  static const absl::Status status =
      MakeError(absl::StatusCode::kNotFound, reason::kMessageNotFound,
                "the message is gone: it was settled before, expired, purged or deleted");
  return status;
}

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

Settler::Outcome Settler::Decide(Message* found, const LeaseToken& token, const Settlement& settlement,
                                 Duration lease, Instant now) {
  if (found == nullptr) return {.status = MessageGone()};
  Message& message = *found;
  const Promise promise = message.queue->promise();
  const Standing standing = Judge(message, token, state_.options.epoch);
  if (standing == Standing::kLost) return {.status = LeaseLost()};
  if (standing != Standing::kHolding && message.deadline() <= now) {
    // An ack may come when there is room only to remove; expired, the message may be moved. It expires
    // without this too.
    const Queue& queue = *message.queue;
    if (state_.budget.Allows(queue.number, CostOfExpiry(queue))) life_cycle_.Expire(message, now);
    return {.status = LeaseLost()};
  }
  const bool counted = standing == Standing::kLapsed;  // the attempt, when the lease ended
  switch (settlement.kind) {
    case SettleKind::kAck:
      life_cycle_.Ack(message, now);
      break;
    case SettleKind::kNack:
      if (counted) {
        life_cycle_.ReturnLate(message, settlement.delay, settlement.reason, now);
        break;
      }
      life_cycle_.Return(message, ReturnCause::kNack, settlement.delay, settlement.reason, now);
      break;
    case SettleKind::kRelease:
      if (standing == Standing::kHolding) life_cycle_.Release(message, now);
      return {};
    case SettleKind::kExtend:
      if (standing != Standing::kHolding) return {.status = LeaseLost()};
      life_cycle_.Extend(message, now + lease);
      return {};
    case SettleKind::kDeadLetter:
      if (counted) {
        if (!settlement.reason.empty()) message.last_reason = settlement.reason;
        life_cycle_.Dispose(message, Disposal::kDeadLetter, kReasonRejected, now);
      } else {
        life_cycle_.Reject(message, settlement.reason, now);
      }
      break;
  }
  return {.status = absl::OkStatus(), .wrote = true, .promise = promise};
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
    if (message != nullptr && MustWait(settlement, *message)) {
      delivery->second.settling = true;
      waiting[message->queue->number].push_back(next);
    } else {
      SettleTag(session, number, next, settlement, now);
    }
  }
}

// Given back, it may be written to another place.
Locator::Need Settler::NeedOf(const Settlement& settlement) {
  return CostOfSettlement(settlement.kind) == Cost::kRewrite ? Locator::Need::kContent
                                                             : Locator::Need::kState;
}

bool Settler::MustWait(const Settlement& settlement, const Message& message) const {
  return !state_.budget.HasArrows() ||
         !state_.budget.Allows(message.queue->number, CostOfSettlement(settlement.kind));
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
                          const bool waits = message != nullptr && MustWait(settlement, *message);
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
  Duration lease = settlement.lease;
  if (subscription != nullptr) {
    if (lease == Duration(0)) lease = subscription->lease;
    if (settlement.kind != SettleKind::kExtend) {
      --subscription->unsettled;
      subscription->unsettled_bytes -= delivery.bytes;
      state_.MakeAble(*subscription);
    }
  }
  if (lease == Duration(0)) lease = kLeaseDefault;
  if (settlement.kind != SettleKind::kExtend) {
    session.unsettled.erase(found);
    state_.NoteSettled(session);
  }

  const LeaseToken token{.epoch = state_.options.epoch,
                         .delivery = delivery.number,
                         .attempt = delivery.attempt,
                         .id = delivery.id};
  Message* resident = state_.FindResident(token.id.seq);
  if (resident != nullptr && Locator::Has(*resident, NeedOf(settlement))) {  // nearly always
    Record(session.id, number, tag, Decide(resident, token, settlement, lease, now));
    return;
  }
  ++session.settlements[number - session.first_settlement].undecided;
  SearchTag({.session = session.id, .number = number, .tag = tag}, token, settlement, lease, now);
}

void Settler::SearchTag(const TagPlace& place, const LeaseToken& token, const Settlement& settlement,
                        Duration lease, Instant now) {
  // Decided even when the session has gone meanwhile: the client sent it.
  const auto record = [this, place](Outcome outcome) {
    const auto found = state_.sessions.find(place.session);
    if (found == state_.sessions.end()) return;
    Session& session = *found->second;
    --session.settlements[place.number - session.first_settlement].undecided;
    Record(session.id, place.number, place.tag, std::move(outcome));
    Conclude(session, place.number);
  };
  const auto decide = [=, this](Message* message, Instant at) {
    // Others may have been found before in this turn.
    if (message != nullptr && MustWait(settlement, *message)) {
      // The message's queue asks: this is decided even when the session has gone.
      const QueueId queue = message->queue->number;
      state_.budget.Defer(Asker::Of(queue), queue, CostOfSettlement(settlement.kind),
                          [=, this](Instant later) {
                            SearchTag(place, token, settlement, lease, later);
                            return true;
                          });
      return;
    }
    record(Decide(message, token, settlement, lease, at));
  };
  const auto fail = [record](const absl::Status& why) { record({.status = why}); };
  locator_.Find(token.id, now, decide, fail, NeedOf(settlement));
}

void Settler::Record(SessionId session_id, uint64_t number, uint64_t tag, Outcome outcome) {
  Session& session = *state_.sessions.at(session_id);
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
    return !token.has_value() || locator_.MayFind(token->id, NeedOf(command.settlement));
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
    const bool possible =
        token.has_value() && token->epoch <= state_.options.epoch &&
        (token->epoch < state_.options.epoch || token->delivery.value() <= state_.last_delivery);
    if (!possible) {
      batch->reply.results[i] =
          MakeError(absl::StatusCode::kInvalidArgument, reason::kTokenInvalid,
                    "not a token that this broker gave; use the one of the delivery, unchanged");
      --batch->undecided;
      continue;
    }
    SettleToken(batch, i, *token, command.settlement, now);
  }
  if (--batch->undecided == 0) Finish(batch);
}

void Settler::SettleToken(const std::shared_ptr<TokenBatch>& batch, size_t index, const LeaseToken& token,
                          const Settlement& settlement, Instant now) {
  // Looked up first: what is not there, or can be refused, is answered at once.
  const auto decide = [=, this](Message* message, Instant at) {
    if (message != nullptr && Judge(*message, token, state_.options.epoch) != Standing::kLost &&
        MustWait(settlement, *message)) {
      const QueueId queue = message->queue->number;
      const Asker asker = batch->call ? Asker::Of(batch->call) : Asker::Of(queue);
      state_.budget.Defer(asker, queue, CostOfSettlement(settlement.kind), [=, this](Instant later) {
        SettleToken(batch, index, token, settlement, later);
        return true;
      });
      return;
    }
    DecideToken(*batch, index, message, token, settlement, at);
    if (--batch->undecided == 0) Finish(batch);
  };
  const auto fail = [this, batch, index](const absl::Status& why) {
    batch->reply.results[index] = why;
    if (--batch->undecided == 0) Finish(batch);
  };
  locator_.Find(token.id, now, decide, fail, NeedOf(settlement));
}

void Settler::DecideToken(TokenBatch& batch, size_t index, Message* message, const LeaseToken& token,
                          const Settlement& settlement, Instant now) {
  Duration lease = settlement.lease;
  if (lease == Duration(0))
    lease = message != nullptr ? message->queue->config.lease : Duration(kLeaseDefault);
  Outcome outcome = Decide(message, token, settlement, lease, now);
  batch.reply.results[index] = std::move(outcome.status);
  if (message == nullptr) {
    // A client whose connection broke after its ack takes "gone" for the ack's answer: by then what took the
    // message away must be as durable as an ack's answer promises.
    outcome.wrote = true;
    outcome.promise = IsMemoryQueue(token.id.queue) ? Promise::kApplied : Promise::kSynced;
  }
  batch.wrote |= outcome.wrote;
  if (outcome.wrote) batch.promise = std::max(batch.promise, outcome.promise);
}

void Settler::Finish(const std::shared_ptr<TokenBatch>& batch) {
  if (!batch->call) return;  // nobody waits for the answer
  const auto answer = [this, batch] { state_.outputs->Answer(batch->call, Reply(std::move(batch->reply))); };
  if (!batch->wrote) return answer();
  state_.confirmations.When(state_.turn.latest(), batch->promise, answer);
}

}  // namespace baton
