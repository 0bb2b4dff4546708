// For tests: sees each arrow of a message's life at the moment it is taken.
#pragma once

#include "base/time.h"
#include "server/engine/message.h"

namespace baton {

enum class Arrow : uint8_t {
  kPublished,     // to ready or delayed, see message.home
  kWoken,         // delayed -> ready
  kDelivered,     // ready -> leased
  kAcked,         // gone
  kReleased,      // leased -> ready, not an attempt
  kReturned,      // an attempt counted (message.attempts already raised); ready again unless another arrow
                  // follows
  kReturnedLate,  // returned before, its nack came late: ready, unless another arrow follows
  kDelayed,       // returned, and ready again only when message.due has come
  kExpired,       // its time is over; on its way out
  kDeadLettered,  // now in the dead-letter queue
  kParked,
  kDropped,  // gone by policy, limit, delete
};

class LifeCycleObserver {
 public:
  virtual ~LifeCycleObserver() = default;
  virtual void OnArrow(Arrow arrow, const Message& message, Instant now) = 0;
};

}  // namespace baton
