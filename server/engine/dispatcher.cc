#include "server/engine/dispatcher.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "server/engine/arrow_cost.h"

namespace baton {
namespace {

// What a Receive call is told that has waited in vain.
absl::Status Emptiness(const Queue& queue) {
  if (!queue.awaits_room() || queue.ready.empty()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted, reason::kBrokerBusy,
      fmt::format("queue '{}' has messages, but leased messages fill their share of the broker's "
                  "memory: settle some, or raise memory_budget",
                  queue.name));
}

}  // namespace

void Dispatcher::Handle(const Subscribe& command) {
  const auto found = state_.sessions.find(command.session);
  if (found == state_.sessions.end()) return;
  Session& session = *found->second;
  const auto refuse = [&](absl::Status why) {
    state_.outputs->Subscribed(session.id, command.subscription, std::move(why));
  };
  Queue* queue = state_.FindQueue(command.queue);
  if (queue == nullptr) return refuse(QueueNotFound(command.queue));
  if (session.subscriptions.contains(command.subscription)) {
    return refuse(
        MakeError(absl::StatusCode::kAlreadyExists, reason::kSubscriptionExists,
                  fmt::format("the session has a subscription {} already", command.subscription.value())));
  }
  if (session.subscriptions.size() >= kSubscriptionsPerSessionMax) {
    return refuse(MakeError(absl::StatusCode::kResourceExhausted, reason::kSessionLimit,
                            fmt::format("a session may have {} subscriptions", kSubscriptionsPerSessionMax)));
  }
  auto subscription = std::make_unique<Subscription>();
  subscription->queue = queue;
  subscription->session = session.id;
  subscription->id = command.subscription;
  subscription->birth = ++session.last_birth;
  subscription->lease = command.lease > Duration(0) ? command.lease : queue->config.lease;
  subscription->credit_messages = command.credit_messages;
  subscription->credit_bytes = command.credit_bytes;
  queue->subscriptions.insert(subscription.get());
  state_.FileForEviction(*queue);
  state_.outputs->Subscribed(session.id, command.subscription, subscription->lease);
  state_.MakeAble(*subscription);
  state_.WantDispatch(*queue);
  session.subscriptions.emplace(command.subscription, std::move(subscription));
}

void Dispatcher::Handle(const Unsubscribe& command) {
  const auto session = state_.sessions.find(command.session);
  if (session == state_.sessions.end()) return;
  auto& subscriptions = session->second->subscriptions;
  const auto found = subscriptions.find(command.subscription);
  if (found != subscriptions.end()) {
    Detach(*found->second);
    subscriptions.erase(found);
  }
  state_.outputs->SubscriptionEnded(command.session, command.subscription, absl::OkStatus());
}

void Dispatcher::Handle(const SetCredit& command) {
  const auto session = state_.sessions.find(command.session);
  if (session == state_.sessions.end()) return;
  const auto found = session->second->subscriptions.find(command.subscription);
  if (found == session->second->subscriptions.end()) return;  // ended meanwhile
  found->second->credit_messages = command.messages;
  if (command.bytes != 0) found->second->credit_bytes = command.bytes;
  state_.MakeAble(*found->second);
}

void Dispatcher::Handle(const Receive& command, Instant now) {
  Queue* queue = state_.FindQueue(command.queue);
  if (queue == nullptr) {
    state_.outputs->Answer(command.call, QueueNotFound(command.queue));
    return;
  }
  auto receive = std::make_unique<Subscription>();
  receive->queue = queue;
  receive->call = command.call;
  receive->lease = command.lease > Duration(0) ? command.lease : queue->config.lease;
  receive->credit_messages = command.messages_max;
  receive->credit_bytes = command.bytes_max;
  receive->wait_end = now + command.wait;
  queue->subscriptions.insert(receive.get());
  state_.FileForEviction(*queue);
  state_.MakeAble(*receive);
  state_.receive_waits.insert({receive->wait_end, command.call});
  state_.receives.emplace(command.call, std::move(receive));
}

void Dispatcher::Handle(const CancelCall& command) {
  const auto found = state_.receives.find(command.call);
  const absl::Status why = absl::CancelledError("the call was cancelled");
  if (found != state_.receives.end()) {
    AnswerReceive(*found->second, why);
  } else if (state_.budget.Forget(Asker::Of(command.call))) {
    state_.outputs->Answer(command.call, why);  // what it asked for is decided no more
  }
}

void Dispatcher::Detach(Subscription& subscription) {
  Queue& queue = *subscription.queue;
  queue.subscriptions.erase(&subscription);
  state_.FileForEviction(queue);
  if (subscription.place != TakerLine::kNoPlace) queue.able.Leave(&subscription);
}

void Dispatcher::EndAll(Queue& queue, const absl::Status& why) {
  std::vector<Subscription*> all(queue.subscriptions.begin(), queue.subscriptions.end());
  // Not in the order of their addresses: the same history has the same end each time.
  std::sort(all.begin(), all.end(), [](const Subscription* a, const Subscription* b) {
    return std::tuple(a->session, a->id, a->call) < std::tuple(b->session, b->id, b->call);
  });
  for (Subscription* subscription : all) {
    if (subscription->call) {
      AnswerReceive(*subscription, why);
      continue;
    }
    Session& session = *state_.sessions.at(subscription->session);
    const SubscriptionId id = subscription->id;
    Detach(*subscription);
    session.subscriptions.erase(SubscriptionId(id));
    state_.outputs->SubscriptionEnded(session.id, id, why);
  }
}

void Dispatcher::Tick(Instant now) {
  state_.budget.BeginPhase(TurnBudget::kDeliveriesPerTurn);
  DispatchWanted(now);
  EndWaits(now);
}

Instant Dispatcher::NextDue(Instant now) const {
  if (!state_.to_dispatch.empty()) return now;
  return state_.receive_waits.empty() ? kNever : state_.receive_waits.begin()->first;
}

void Dispatcher::DispatchWanted(Instant now) {
  // Dispatching may expire a message into another queue, which then wants dispatch too.
  // What is beyond this turn's share waits for the next one, those that had none of it first.
  while (!state_.to_dispatch.empty() && state_.budget.HasArrows()) {
    auto round = state_.to_dispatch.TakeAll();
    while (state_.budget.HasArrows()) {
      Queue* queue = round.Take();
      if (queue == nullptr) break;
      Dispatch(*queue, now);
    }
    state_.to_dispatch.PutBack(std::move(round));
  }
}

void Dispatcher::Dispatch(Queue& queue, Instant now) {
  while (queue.delivers() && !queue.ready.empty()) {
    if (!state_.budget.HasArrows()) {
      state_.WantDispatch(queue);
      break;
    }
    Message& message = *queue.ready.begin()->second;
    if (message.deadline() <= now) {
      if (WaitsForRoom(queue, CostOfExpiry(queue))) break;
      life_cycle_.Expire(message, now);
      continue;
    }
    const uint64_t in_flight_max = queue.config.in_flight_max;
    if (in_flight_max != 0 && queue.leased.size() >= in_flight_max) break;
    if (queue.config.delivery == DeliveryMode::kCommitted &&
        !state_.confirmations.Holds(message.commit, queue.promise())) {
      state_.awaiting_commit.Add(queue);
      break;
    }
    Subscription* taker = NextTaker(queue, message.bytes());
    if (taker == nullptr) break;
    Deliver(message, *taker, now);
  }
  for (Subscription* receive : served_) AnswerReceive(*receive, absl::OkStatus());
  served_.clear();
  residency_.RefillReady(queue);
}

// Is there no room in this turn for what costs so much? Then the queue is looked at when there is.
bool Dispatcher::WaitsForRoom(Queue& queue, Cost cost) {
  if (state_.budget.Allows(queue.number, cost)) return false;
  if (std::exchange(queue.awaits_budget, true)) return true;
  state_.budget.Defer(Asker::Of(queue.number), queue.number, cost, [this, number = queue.number](Instant) {
    Queue* still = state_.FindQueue(number);
    if (still == nullptr) return true;
    still->awaits_budget = false;
    state_.WantDispatch(*still);
    return true;
  });
  return true;
}

// Whoever can take nothing leaves the round, and comes back when it can (BrokerState::MakeAble). Who only has
// no room for a message of this size keeps its turn for a smaller one.
Subscription* Dispatcher::NextTaker(Queue& queue, uint64_t bytes) {
  const bool scarce = LeasesAreScarce();
  const TakerLine::Need need{.bytes = scarce ? TakerLine::kIdle : bytes,
                             .held_below = std::max<size_t>(UnsettledMax(), 1)};
  size_t from = 0;
  while (Subscription* taker = queue.able.Next(from, need)) {
    if (taker->HasCredit() && !(HasRoom(*taker) && taker->HasCreditFor(bytes))) {
      from = taker->place + 1;
      PassBy(*taker);
      continue;
    }
    const bool takes = taker->HasCredit() && (taker->call || Takes(*taker, bytes));
    from = taker->place;
    queue.able.Leave(taker);
    if (takes) return taker;
  }
  // Of the others, those who lack nothing but room come again when there is some.
  const bool lacks_room = scarce ? !queue.able.empty()
                                 : queue.able.Next(0, {.bytes = bytes, .held_below = UINT64_MAX}) != nullptr;
  if (lacks_room) state_.awaiting_room.Add(queue);
  return nullptr;
}

// It holds something by another subscription, of which its line did not know; now it does.
void Dispatcher::PassBy(Subscription& taker) {
  if (!HasRoom(taker)) state_.awaiting_room.Add(*taker.queue);
  if (taker.call) return;
  state_.sessions.at(taker.session)->passed_as_busy = true;
  TakerLine::Room room = taker.room();
  room.bytes = std::min(room.bytes, TakerLine::kAnySize);
  taker.queue->able.SetRoom(taker, room);
}

bool Dispatcher::Takes(const Subscription& taker, uint64_t bytes) {
  if (state_.outputs->TakesDeliveries(taker.session, bytes)) return true;
  state_.passed_over.insert(taker.session);
  return false;
}

void Dispatcher::Resume() {
  for (const SessionId id : std::exchange(state_.passed_over, {})) {
    const Session& session = *state_.sessions.at(id);
    for (const auto& [number, subscription] : session.subscriptions) state_.MakeAble(*subscription);
  }
}

bool Dispatcher::LeasesAreScarce() const { return state_.leased_bytes >= state_.options.leased_bytes_max; }

// A session that holds so many gets no more.
size_t Dispatcher::UnsettledMax() const {
  const size_t all_max = state_.options.unsettled_bytes_max / kUnsettledBytes;
  return std::min(kUnsettledPerSessionMax, all_max - std::min(state_.unsettled, all_max));
}

// What is leased stays in memory, so leases have their share of it. Beyond that a session without any gets
// one message, so that nobody stands still because others hold much; what is in it stays on disk then.
// Deliveries that are not settled take
// memory when their leases have ended, too: a session may have as many of them as there is room for besides.
bool Dispatcher::HasRoom(const Subscription& taker) const {
  const bool scarce = LeasesAreScarce();
  if (taker.call) return !scarce;
  const size_t held = state_.sessions.at(taker.session)->unsettled.size();
  return held == 0 || (!scarce && held < UnsettledMax());
}

void Dispatcher::Deliver(Message& message, Subscription& taker, Instant now) {
  DeliveryView view;
  view.id = message.id;
  view.number = DeliveryNumber(++state_.last_delivery);
  view.subscription = taker.id;
  view.priority = message.priority;
  view.attempt = message.attempts + 1;
  view.redelivered = message.attempts > 0 || EpochOf(message.id.seq) < state_.options.epoch;
  view.published = message.born;
  view.lease_end = now + taker.lease;
  view.producer = message.producer;
  view.sequence = message.sequence;
  view.headers = message.headers;
  view.body = message.body;
  life_cycle_.Lease(
      message,
      {.number = view.number, .end = view.lease_end, .session = taker.session, .subscription = taker.id},
      now);
  ++taker.unsettled;
  taker.unsettled_bytes += message.bytes();
  if (taker.call) {
    if (taker.received.empty()) served_.push_back(&taker);
    taker.received.push_back({.token = {.epoch = state_.options.epoch,
                                        .delivery = view.number,
                                        .attempt = view.attempt,
                                        .id = view.id},
                              .priority = view.priority,
                              .redelivered = view.redelivered,
                              .published = view.published,
                              .lease_end = view.lease_end,
                              .producer = view.producer,
                              .sequence = view.sequence,
                              .headers = message.headers,
                              .body = message.body});
  } else {
    Session& session = *state_.sessions.at(taker.session);
    view.tag = ++session.last_tag;
    ++state_.unsettled;
    session.unsettled.emplace_hint(session.unsettled.end(), view.tag,
                                   Unsettled{.number = view.number,
                                             .attempt = view.attempt,
                                             .id = view.id,
                                             .subscription = taker.id,
                                             .birth = taker.birth,
                                             .bytes = message.bytes()});
    state_.outputs->Deliver(session.id, view);
    life_cycle_.LeaveContentIfScarce(message);
  }
  state_.MakeAble(taker);
}

void Dispatcher::AnswerReceive(Subscription& receive, absl::Status status) {
  Detach(receive);
  auto owned = state_.receives.extract(receive.call);
  BATON_CHECK(!owned.empty());
  state_.receive_waits.erase({receive.wait_end, receive.call});
  if (status.ok()) {
    state_.outputs->Answer(receive.call, Reply(ReceiveReply{.messages = std::move(receive.received)}));
  } else {
    state_.outputs->Answer(receive.call, std::move(status));
  }
}

void Dispatcher::EndWaits(Instant now) {
  while (!state_.receive_waits.empty() && state_.receive_waits.begin()->first <= now) {
    late_.push_back(state_.receive_waits.begin()->second);
    state_.receive_waits.erase(state_.receive_waits.begin());
  }
  std::erase_if(late_, [this](CallId call) {
    const auto found = state_.receives.find(call);
    if (found == state_.receives.end()) return true;  // answered
    const Queue& queue = *found->second->queue;
    if (queue.head_is_coming() || queue.wants_dispatch()) return false;
    AnswerReceive(*found->second, Emptiness(*found->second->queue));
    return true;
  });
}

void Dispatcher::OnClockMoved(Duration by) {
  for (const auto& [end, call] : std::exchange(state_.receive_waits, {})) {
    state_.receive_waits.insert({end + by, call});
    state_.receives.at(call)->wait_end = end + by;
  }
}

void Dispatcher::OnHandedOver() {
  state_.awaiting_commit.TakeIf([](const Queue& queue) { return queue.promise() == Promise::kApplied; },
                                [this](Queue& queue) { state_.WantDispatch(queue); });
}

void Dispatcher::OnProgress() {
  while (Queue* queue = state_.awaiting_commit.Take()) state_.WantDispatch(*queue);
}

}  // namespace baton
