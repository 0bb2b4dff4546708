// Ack, nack, release, extend, dead-letter: by tag from sessions, by token from calls. What a settlement does
// is a plan first (settle_plan.h), then applied, with nothing in between; what has to wait is planned anew
// when it comes up.
#pragma once

#include <map>
#include <memory>
#include <variant>
#include <vector>

#include "server/engine/life_cycle.h"
#include "server/engine/locator.h"
#include "server/engine/settle_plan.h"

namespace baton {

class Settler {
 public:
  Settler(BrokerState* state, LifeCycle* life_cycle, Locator* locator)
      : state_(*state), life_cycle_(*life_cycle), locator_(*locator) {}

  void Handle(const SettleTags& command, Instant now);
  void Handle(const SettleTokens& command, Instant now);
  // Sends the settlements that were answered since the last call.
  void Flush();

 private:
  struct TokenBatch;
  struct Outcome {
    absl::Status status;
    bool wrote = false;  // the answer has to wait for the commit
    Promise promise = Promise::kApplied;
  };

  // One settlement of one delivery that cannot be decided at once, whoever asks: its message has to be read,
  // or waits for room in the turn's budget.
  struct ByTag {
    SessionId session;
    uint64_t number = 0;
    uint64_t tag = 0;
  };
  struct ByToken {
    std::shared_ptr<TokenBatch> batch;
    size_t index = 0;
  };
  struct Settling {
    LeaseToken token;
    Settlement settlement;
    std::variant<ByTag, ByToken> asker;
  };
  // Finds the message, makes the plan, applies it, tells who asked.
  void Settle(const Settling& settling, Instant now);
  // REQUIRES: `plan` was made of this message, and nothing has happened since.
  // `lease`: of an Extend; 0 = the queue's.
  Outcome Apply(const SettlePlan& plan, Message* message, const Settlement& settlement, Duration lease,
                Instant now);
  bool MustWait(QueueId queue, Cost cost) const;
  void Tell(const Settling& settling, bool is_gone, Outcome outcome);
  void Tell(const ByTag& asker, Outcome outcome);

  void PutOff(Session& session, uint64_t number, QueueId queue, std::vector<uint64_t> tags,
              const Settlement& settlement);
  static absl::Status CheckTags(const Session& session, const SettleTags& command);
  using TagsByQueue = std::map<QueueId, std::vector<uint64_t>>;  // those that wait for room
  void SettleRange(Session& session, uint64_t number, const TagRange& range, const Settlement& settlement,
                   TagsByQueue& waiting, Instant now);
  void Refuse(Session& session, SettleFailure failure);
  void SettleTag(Session& session, uint64_t number, uint64_t tag, const Settlement& settlement, Instant now);
  // How long an Extend of this delivery lasts.
  static Duration LeaseOf(const Settlement& settlement, const Subscription* subscription);
  void Record(Session& session, uint64_t number, uint64_t tag, Outcome outcome);
  void Conclude(Session& session, uint64_t number);
  void MarkReady(SessionId session, uint64_t number);
  bool IsPossible(const LeaseToken& token) const;
  void Finish(const std::shared_ptr<TokenBatch>& batch);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Locator& locator_;
  std::vector<SessionId> answered_;  // sessions with settlements to report
};

}  // namespace baton
