// Sessions come and go; the engine's own figures.
#pragma once

#include "server/engine/dispatcher.h"
#include "server/engine/returner.h"

namespace baton {

class SessionTable {
 public:
  SessionTable(BrokerState* state, Dispatcher* dispatcher, Returner* returner)
      : state_(*state), dispatcher_(*dispatcher), returner_(*returner) {}

  void Handle(const OpenSession& command, Instant now);
  void Handle(const CloseSession& command, Instant now);
  void Handle(const GetEngineStatus& command);

 private:
  BrokerState& state_;
  Dispatcher& dispatcher_;
  Returner& returner_;
};

}  // namespace baton
