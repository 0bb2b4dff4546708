// Sessions come and go; the engine's own figures.
#pragma once

#include "server/engine/dispatcher.h"
#include "server/engine/settler.h"

namespace baton {

class SessionTable {
 public:
  SessionTable(BrokerState* state, Dispatcher* dispatcher, Settler* settler)
      : state_(*state), dispatcher_(*dispatcher), settler_(*settler) {}

  void Handle(const OpenSession& command, Instant now);
  void Handle(const CloseSession& command, Instant now);
  void Handle(const GetEngineStatus& command);

 private:
  BrokerState& state_;
  Dispatcher& dispatcher_;
  Settler& settler_;
};

}  // namespace baton
