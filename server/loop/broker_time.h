// Broker time: the wall clock at start + CLOCK_BOOTTIME since. It never goes back, counts a suspended
// machine's sleep, and takes no notice of a wall clock that is set while the broker runs; that it was set is
// seen, for a metric and a log line. THREADS: Now from any thread; CheckWallClock from one.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace baton {

class BrokerTime {
 public:
  // What the clocks say, microseconds; replaced in tests.
  struct Sources {
    int64_t (*wall_micros)();
    int64_t (*boot_micros)();
  };
  static Sources SystemSources();

  explicit BrokerTime(const Sources& sources = SystemSources());

  Instant Now() const { return InstantFromMicros(wall_at_start_ + sources_.boot_micros() - boot_at_start_); }
  Instant started() const { return InstantFromMicros(wall_at_start_); }

  // How far the wall clock was moved since the last call, when it is more than kJump; slewing (ntpd) stays
  // below it from one call to the next. nullopt: not moved.
  std::optional<Duration> CheckWallClock();
  static constexpr Duration kJump = std::chrono::milliseconds(500);

 private:
  int64_t Offset() const { return sources_.wall_micros() - sources_.boot_micros(); }

  const Sources sources_;
  const int64_t wall_at_start_;
  const int64_t boot_at_start_;
  int64_t last_offset_;  // of the thread that calls CheckWallClock
};

}  // namespace baton
