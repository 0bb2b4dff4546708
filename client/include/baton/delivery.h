// A message that this process holds the lease of, until it is settled or the lease ends.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "baton/message.h"

namespace baton {

namespace client {
class DeliveryChunk;
class ConsumerCore;
struct Settlement;
}  // namespace client

inline namespace client_api {

struct NackOptions {
  std::string reason = {};  // at most 256 bytes; kept with the message
  std::optional<std::chrono::milliseconds> delay =
      {};  // before the next attempt; absent = the queue's backoff
};

// Move-only. A delivery that is destroyed unsettled is released.
//
// Settling hands over the decision and returns; it takes effect when the broker has it, and acks of many
// deliveries travel together. The first settlement counts, later calls do nothing. When the connection was
// lost meanwhile, an ack still counts if the message was not delivered to anyone else since.
//
// THREADS: one at a time per delivery. Views stay valid as long as the delivery lives, also after settling.
class Delivery {
 public:
  Delivery() = default;  // empty: only good for assigning to
  ~Delivery();
  Delivery(Delivery&&) noexcept;
  Delivery& operator=(Delivery&&) noexcept;

  explicit operator bool() const { return chunk_ != nullptr; }

  std::string_view queue() const;  // of the subscription
  std::string_view body() const;
  std::string message_id() const;
  uint32_t priority() const;
  uint32_t attempt() const;  // 1 = first delivery
  bool redelivered() const;  // attempt > 1, or published in an earlier life of the broker
  Headers headers() const;   // decoded at each call
  std::chrono::system_clock::time_point published_at() const;  // by the broker's clock
  // Who published it, for deduplication by the consumer; 0 = published without.
  uint64_t producer_id() const;
  uint64_t sequence() const;
  // Proof of this delivery, good for settling it by Client::Ack and the like, also from another process.
  std::string token() const;

  // Done: the message is gone.
  void Ack(SettleCallback done = nullptr);
  // Failed: counts as an attempt; the message comes back, or is given up when its attempts are used up.
  void Nack(NackOptions options = {}, SettleCallback done = nullptr);
  // Given back unstarted: not an attempt, back in its place at once.
  void Release(SettleCallback done = nullptr);
  // Given up: to the dead-letter queue, or parked when there is none.
  void DeadLetter(std::string reason, SettleCallback done = nullptr);
  // The lease ends `lease` from now (0 = the subscription's). Not needed with automatic extension.
  void Extend(std::chrono::milliseconds lease, SettleCallback done = nullptr);

  bool settled() const { return settled_; }

 private:
  friend class client::ConsumerCore;
  Delivery(std::shared_ptr<client::DeliveryChunk> chunk, uint32_t index);
  void Settle(const client::Settlement& how, SettleCallback done);

  std::shared_ptr<client::DeliveryChunk> chunk_;
  uint32_t index_ = 0;
  bool settled_ = false;
};

}  // namespace client_api
}  // namespace baton
