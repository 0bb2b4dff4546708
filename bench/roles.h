// What the benchmark's own child processes do: one producer, one consumer. Each prints one line of JSON when
// it is done.
#pragma once

#include <cstdint>
#include <string>

namespace baton::bench {

struct RoleOptions {
  std::string url;
  std::string queue = "bench";
  uint64_t messages = 100'000;
  uint64_t body_bytes = 1'024;
  uint64_t priorities = 1;  // messages get random ones below
  uint32_t credit = 4'000;  // a turn of the broker publishes many small ones
  uint64_t rate = 1'000;    // messages per second (pace)
  int handler_threads = 0;  // (collect)
  std::string kind;         // of mischief (intrude)
  bool create = false;      // the queue, when it is not there
  uint64_t seed = 1;
  uint64_t milestone = 1'000'000;  // a rate for each so many messages
};

// Publishes, waits for every confirmation. {"messages":…, "seconds":…, "rates":[per milestone]}
int RunProducer(const RoleOptions& options);
// Takes and acks until it has had `messages` of them and every ack is confirmed.
int RunConsumer(const RoleOptions& options);

}  // namespace baton::bench
