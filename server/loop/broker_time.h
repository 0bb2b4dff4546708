// Broker time: what TTLs, delays and leases go by. It runs with CLOCK_BOOTTIME, which counts a suspended
// machine's sleep and cannot be set, and follows the wall clock only when that can be believed:
//
// - At start it is the wall clock, if the kernel says that it is synchronised, or if it is at most
//   kDowntimeBelieved after the last time that this data directory knows of, or if that knows of none. After
//   a restart in the same life of the kernel it goes on as it went. Else it begins where it ended.
// - When the wall clock is more than kJump from it, and was not set for kFollowAfter (at a start where it was
//   not believed, as soon as it is synchronised), broker time steps to it, forward or back. So a clock that
//   was wrong for a minute changes nothing.
//
// The engine is told of each step (Engine::OnClockMoved): what it has given, as leases, keeps its length.
//
// THREADS: Now and gap from any thread; all else from one.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "base/clock_record.h"
#include "base/time.h"

namespace baton {

class BrokerTime {
 public:
  static constexpr Duration kJump = std::chrono::milliseconds(500);
  static constexpr Duration kFollowAfter = std::chrono::minutes(2);
  static constexpr Duration kDowntimeBelieved = std::chrono::minutes(10);

  // What the clocks say, microseconds; replaced in tests.
  struct Sources {
    int64_t (*wall_micros)();
    int64_t (*boot_micros)();
    bool (*is_synchronized)();  // does the kernel say so of the wall clock?
  };
  static Sources SystemSources();

  // By the wall clock, until Begin.
  explicit BrokerTime(const Sources& sources = SystemSources(), std::string boot_id = {});

  // The last life's record, before the first use of Now that counts. True: the wall clock is not believed.
  bool Begin(const std::optional<ClockRecord>& last);

  Instant Now() const { return At(offset_.load(std::memory_order_relaxed)); }
  // Tells how long it runs, also after a step.
  Instant started() const {
    return InstantFromMicros(offset_.load(std::memory_order_relaxed) + boot_at_start_);
  }
  // How far the wall clock is ahead of it.
  Duration gap() const { return Duration(WallOffset() - offset_.load(std::memory_order_relaxed)); }
  ClockRecord Record() const;

  struct Change {
    Duration jump{
        0};  // of the wall clock since the last call, when it is more than kJump; slewing stays below
    Duration followed{0};  // a step of broker time
  };
  // To be called about once a second.
  Change CheckWallClock();

 private:
  int64_t WallOffset() const { return sources_.wall_micros() - sources_.boot_micros(); }
  Instant At(int64_t offset) const { return InstantFromMicros(offset + sources_.boot_micros()); }

  const Sources sources_;
  const std::string boot_id_;
  const int64_t boot_at_start_;
  std::atomic<int64_t> offset_;  // of broker time, from the boot clock; relaxed: readers need no other data
  int64_t wall_offset_;          // as of the last look
  int64_t set_at_;               // boot clock: when the wall clock was last set, as far as was seen
  bool is_held_back_ = false;    // since the start
};

}  // namespace baton
