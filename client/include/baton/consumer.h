// Takes messages from a queue: hands them to handler threads, or gives them one by one to a loop that asks.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "baton/delivery.h"
#include "baton/message.h"

namespace baton {

namespace client {
class ConsumerCore;
}

inline namespace client_api {

// What a handler decided.
class Outcome {
 public:
  enum class Kind : uint8_t { kAck, kNack, kRelease, kDeadLetter, kManual };

  static Outcome Ack() { return Outcome(Kind::kAck); }
  static Outcome Nack(NackOptions options = {});
  static Outcome Release() { return Outcome(Kind::kRelease); }
  static Outcome DeadLetter(std::string reason);
  // The handler has settled the delivery itself, or moved it out to settle it later.
  static Outcome Manual() { return Outcome(Kind::kManual); }

  Kind kind() const { return kind_; }
  NackOptions& options() { return options_; }

 private:
  explicit Outcome(Kind kind) : kind_(kind) {}

  Kind kind_;
  NackOptions options_;
};

// Runs on a handler thread. An exception that leaves it is a nack with its what() as the reason.
using Handler = std::function<Outcome(Delivery&)>;

struct ConsumerOptions {
  std::string queue;
  // With a handler; 0 to 1,024. 0: it runs on the client's own thread, which saves a wake-up a message: it
  // must be quick, and must not wait for anything of this client.
  int handler_threads = 1;
  // Deliveries held and not settled at a time, 1 to 65,536; 0 = 2 × handler_threads. More buys throughput for
  // small messages and costs fairness: what is buffered here is not with another consumer.
  uint32_t credit = 0;
  uint64_t credit_bytes = 0;           // 0 = 16 MiB, at most 256 MiB
  std::chrono::milliseconds lease{0};  // 100 ms to 12 h; 0 = the queue's default
  // Extend leases for as long as a handler runs (or a received delivery is unsettled), but no longer than
  // extend_max.
  bool auto_extend = true;
  std::chrono::milliseconds extend_max = std::chrono::hours(12);
  // A settlement was refused: LEASE_LOST, MESSAGE_NOT_FOUND … Runs on the client's own thread: must be quick.
  std::function<void(const std::string& message_id, const absl::Status& status)> on_refused = {};
};

struct ConsumerCounters {
  uint64_t delivered = 0;  // came from the broker
  uint64_t started = 0;    // given to a handler or to Receive
  uint64_t settled =
      0;  // acks, nacks, releases and dead-letters that the broker has confirmed, as durable as the queue is
  uint64_t refused = 0;  // those it has refused
  uint64_t dropped = 0;  // buffered, and not started before the lease or the connection was gone
};

// Made by Client::Subscribe. Survives the loss of the connection: subscribes again; handlers that run
// meanwhile finish.
//
// THREADS: any. ERRORS: status() says why a consumer ended by itself: NOT_FOUND (QUEUE_NOT_FOUND,
// QUEUE_DELETED) ….
class Consumer {
 public:
  ~Consumer();  // Stop(5 s)
  Consumer(Consumer&&) noexcept;
  Consumer& operator=(Consumer&&) noexcept;

  // The next delivery; nullopt when none came within `timeout`. Only without a handler. BLOCKS up to
  // `timeout`.
  absl::StatusOr<std::optional<Delivery>> Receive(std::chrono::milliseconds timeout);

  // Takes no more; releases what was not started; waits for running handlers, and for the broker's answer to
  // what they settled. OK, or DEADLINE_EXCEEDED: some handler still runs (its settlement goes by token if the
  // client is still there), or some answer did not come. Idempotent. BLOCKS up to `timeout`. Not from a
  // handler.
  absl::Status Stop(std::chrono::milliseconds timeout);

  // Waits until every settlement so far is answered. BLOCKS.
  absl::Status Flush(std::chrono::milliseconds timeout);

  // Waits until the consumer ends, by Stop (OK) or by itself (status()); false = still running. BLOCKS.
  bool WaitUntilEnded(std::chrono::milliseconds timeout);

  absl::Status status() const;
  ConsumerCounters counters() const;

 private:
  friend class Client;
  explicit Consumer(std::shared_ptr<client::ConsumerCore> core);

  std::shared_ptr<client::ConsumerCore> core_;
};

}  // namespace client_api
}  // namespace baton
