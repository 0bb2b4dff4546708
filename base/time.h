// Broker time. The engine never reads a clock: `now` is an argument, an Instant.
#pragma once

#include <chrono>
#include <cstdint>

namespace baton {

// Microseconds since the Unix epoch as the broker counts them (server/loop/broker_time.h): the wall clock, as
// far as it can be believed. Deadlines on disk are of this kind.
struct BrokerClock {
  using duration = std::chrono::microseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BrokerClock>;
  static constexpr bool is_steady = true;
};

using Duration = BrokerClock::duration;
using Instant = BrokerClock::time_point;

// "No deadline" and "nothing due": later than everything.
inline constexpr Instant kNever = Instant::max();

constexpr Instant InstantFromMicros(int64_t micros) { return Instant(Duration(micros)); }
constexpr int64_t ToMicros(Instant instant) { return instant.time_since_epoch().count(); }
constexpr int64_t ToMillis(Instant instant) { return ToMicros(instant) / 1000; }

}  // namespace baton
