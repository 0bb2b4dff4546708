// Looking at single messages without leasing them: list, show, delete.
#pragma once

#include "server/engine/deferred_work.h"
#include "server/engine/life_cycle.h"
#include "server/engine/locator.h"
#include "server/engine/reads.h"

namespace baton {

class Browser {
 public:
  Browser(BrokerState* state, LifeCycle* life_cycle, Locator* locator, Reads* reads)
      : state_(*state), life_cycle_(*life_cycle), locator_(*locator), reads_(*reads) {}

  // The page is what the store held at one moment of the read; states are as of the answer.
  void Handle(ListMessages command, Instant now);
  void Handle(const GetMessage& command, Instant now);
  void Handle(const DeleteMessage& command, Instant now);

 private:
  // What pages are made of takes memory until they are: so a few are read at a time, of whom it may be in
  // turn.
  void StartLists(Instant now);
  void Start(const ListMessages& command);
  bool MayFind(CallId call, const MessageId& id, Locator::Need need);
  void AnswerPage(const ListMessages& command, const ReadResult& result);
  void AddDueMessages(Queue& queue, const ListMessages& command, const std::string& through,
                      std::vector<std::pair<std::string, MessageInfo>>& rows);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Locator& locator_;
  Reads& reads_;
  DeferredWork lists_;
  size_t lists_read_ = 0;  // on their way
};

}  // namespace baton
