// BrokerInspector asks the engine's thread what operators want to know: the engine, its queues, its loop.
// Nothing is shared. THREADS: any but the engine's. BLOCKS until the answers have come, at most kWaitMax.
#pragma once

#include <chrono>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/outputs.h"
#include "server/loop/engine_thread.h"
#include "server/session/broker_facts.h"

namespace baton {

struct BrokerReport {
  EngineStatus engine;
  QueueList queues;  // the first kQueuesMax by name
  LoopStats loop;
  Store::Stats store;
  Inbox::Depth inbox;
  size_t outbox_bytes = 0;
  size_t ring_bytes = 0;
};

class BrokerInspector {
 public:
  static constexpr std::chrono::seconds kWaitMax{5};
  static constexpr size_t kQueuesMax = 1'000;

  // Both outlive this object.
  BrokerInspector(BrokerFacts* facts, EngineThread* thread) : facts_(facts), thread_(thread) {}

  // ERRORS: UNAVAILABLE when the engine's thread does not answer in time.
  absl::StatusOr<BrokerReport> Report();
  // OK: the engine's thread takes turns.
  absl::StatusOr<EngineStatus> Status();

 private:
  absl::StatusOr<Reply> Ask(Command command);

  BrokerFacts* const facts_;
  EngineThread* const thread_;
};

}  // namespace baton
