// The benchmark's scenarios. Each starts a broker of its own, prints what it measured, and judges nothing.
#pragma once

#include <cstdint>
#include <string>

namespace baton::bench {

struct ScenarioOptions {
  std::string self;       // path of this program, for the producer's and consumer's processes
  std::string batond;     // path of the broker
  std::string directory;  // where brokers keep their data
  uint64_t messages = 0;  // 0 = the scenario's own number
  int rounds = 3;
  uint64_t body_bytes = 1'024;
  bool smoke = false;  // a hundredth of everything: does it still run?
};

// One producer and one consumer process on one queue, everything confirmed and acked; over rings and over
// gRPC.
int Throughput(const ScenarioOptions& options);
// One unary publish after another on a durable queue.
int UnaryLatency(const ScenarioOptions& options);
// 10 million messages of 100 bytes queued, memory; kill -9, start; an urgent message over the backlog;
// drained.
int Backlog(const ScenarioOptions& options);
// A million distinct priorities beside one.
int Priorities(const ScenarioOptions& options);
// 100 queues and nobody there; then a message after two seconds of silence.
int Idle(const ScenarioOptions& options);
// Hundreds of sessions over rings: to connect, and to have.
int Clients(const ScenarioOptions& options);
// A memory queue of a million messages, taken over after kill -9.
int TakeOver(const ScenarioOptions& options);
// Records through a ring between two processes, with no broker.
int RawRing(const ScenarioOptions& options);

}  // namespace baton::bench
