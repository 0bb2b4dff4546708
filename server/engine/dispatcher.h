// Who gets what: sessions' subscriptions and waiting Receive calls, in turns, as far as their credit goes.
#pragma once

#include <vector>

#include "server/engine/life_cycle.h"
#include "server/engine/residency.h"

namespace baton {

class Dispatcher {
 public:
  Dispatcher(BrokerState* state, LifeCycle* life_cycle, Residency* residency)
      : state_(*state), life_cycle_(*life_cycle), residency_(*residency) {}

  void Handle(const Subscribe& command);
  void Handle(const Unsubscribe& command);
  void Handle(const SetCredit& command);
  void Handle(const Receive& command, Instant now);
  void Handle(const CancelCall& command);

  // Delivers whatever can be delivered, and answers those that have waited long enough.
  void Tick(Instant now);
  Instant NextDue(Instant now) const;
  // Looks again at those that were passed over because they took no deliveries.
  void Resume();
  // Receive calls wait as long as they were to.
  void OnClockMoved(Duration by);
  // Those that waited for a commit.
  void OnProgress();
  // Of these, memory queues: theirs is done when it is handed over.
  void OnHandedOver();
  // Takes the subscription away from its queue. It is the caller's to destroy.
  void Detach(Subscription& subscription);
  // The queue is going: its subscriptions and waits end.
  void EndAll(Queue& queue, const absl::Status& why);

 private:
  // From the queues where something changed.
  void DispatchWanted(Instant now);
  // Answers Receive calls that have waited long enough; one whose queue has messages that are only on disk
  // waits for the read too, so that "empty" is true.
  void EndWaits(Instant now);
  void Dispatch(Queue& queue, Instant now);
  bool WaitsForRoom(Queue& queue, Cost cost);
  // The next in turn with room for so many bytes; null when there is none.
  Subscription* NextTaker(Queue& queue, uint64_t bytes);
  // May it hold another message?
  bool LeasesAreScarce() const;
  size_t UnsettledMax() const;
  bool HasRoom(const Subscription& taker) const;
  void PassBy(Subscription& taker);
  bool Takes(const Subscription& taker, uint64_t bytes);
  void Deliver(Message& message, Subscription& taker, Instant now);
  void AnswerReceive(Subscription& receive, absl::Status status);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Residency& residency_;
  std::vector<Subscription*> served_;  // Receive calls that got something in this dispatch
  std::vector<CallId> late_;           // Receive calls past their wait, for the head that is being read
};

}  // namespace baton
