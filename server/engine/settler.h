// Ack, nack, release, extend, dead-letter: by tag from sessions, by token from calls. One judgement of
// whether a token is good.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "server/engine/life_cycle.h"
#include "server/engine/locator.h"
#include "server/engine/standing.h"

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

  Outcome Decide(Message* message, const LeaseToken& token, const Settlement& settlement, Duration lease,
                 Instant now);

  static Locator::Need NeedOf(const Settlement& settlement);
  bool MustWait(const Settlement& settlement, const Message& message) const;
  void PutOff(Session& session, uint64_t number, QueueId queue, std::vector<uint64_t> tags,
              const Settlement& settlement);
  struct TagPlace {  // where the outcome for a tag is recorded
    SessionId session;
    uint64_t number = 0;
    uint64_t tag = 0;
  };
  static absl::Status CheckTags(const Session& session, const SettleTags& command);
  using TagsByQueue = std::map<QueueId, std::vector<uint64_t>>;  // those that wait for room
  void SettleRange(Session& session, uint64_t number, const TagRange& range, const Settlement& settlement,
                   TagsByQueue& waiting, Instant now);
  void Refuse(Session& session, SettleFailure failure);
  void SettleTag(Session& session, uint64_t number, uint64_t tag, const Settlement& settlement, Instant now);
  // The same for a message that is not in memory.
  void SearchTag(const TagPlace& place, const LeaseToken& token, const Settlement& settlement, Duration lease,
                 Instant now);
  void Record(SessionId session, uint64_t number, uint64_t tag, Outcome outcome);
  void Conclude(Session& session, uint64_t number);
  void MarkReady(SessionId session, uint64_t number);
  void DecideToken(TokenBatch& batch, size_t index, Message* message, const LeaseToken& token,
                   const Settlement& settlement, Instant now);
  void SettleToken(const std::shared_ptr<TokenBatch>& batch, size_t index, const LeaseToken& token,
                   const Settlement& settlement, Instant now);
  void Finish(const std::shared_ptr<TokenBatch>& batch);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Locator& locator_;
  std::vector<SessionId> answered_;  // sessions with settlements to report
};

}  // namespace baton
