#include "server/loop/broker_time.h"

#include <sys/timex.h>

#include <ctime>
#include <utility>

namespace baton {
namespace {

int64_t MicrosOf(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1'000;
}

// Set by what disciplines the clock (chrony, ntpd, timesyncd), taken back by the kernel when somebody sets
// it.
bool IsSynchronized() {
  timex state{};
  return adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
}

bool IsJump(Duration moved) { return moved > BrokerTime::kJump || moved < -BrokerTime::kJump; }

}  // namespace

BrokerTime::Sources BrokerTime::SystemSources() {
  return {.wall_micros = [] { return MicrosOf(CLOCK_REALTIME); },
          .boot_micros = [] { return MicrosOf(CLOCK_BOOTTIME); },
          .is_synchronized = &IsSynchronized};
}

BrokerTime::BrokerTime(const Sources& sources, std::string boot_id)
    : sources_(sources),
      boot_id_(std::move(boot_id)),
      boot_at_start_(sources.boot_micros()),
      offset_(WallOffset()),
      wall_offset_(offset_),
      set_at_(boot_at_start_) {}

bool BrokerTime::Begin(const std::optional<ClockRecord>& last) {
  const Instant wall = At(wall_offset_);
  if (last.has_value()) {
    const Instant went_on = At(last->offset_micros);
    const bool same_boot = !boot_id_.empty() && last->boot_id == boot_id_ && went_on >= last->time;
    const bool is_near = wall >= last->time && wall - last->time <= kDowntimeBelieved;
    if (same_boot) {
      offset_ = last->offset_micros;
    } else if (!is_near && !sources_.is_synchronized()) {
      offset_ = ToMicros(last->time) - sources_.boot_micros();
      is_held_back_ = true;
    }
  }
  return IsJump(gap());
}

ClockRecord BrokerTime::Record() const {
  return {.time = Now(), .offset_micros = offset_.load(std::memory_order_relaxed), .boot_id = boot_id_};
}

BrokerTime::Change BrokerTime::CheckWallClock() {
  const int64_t wall_offset = WallOffset();
  const int64_t boot = sources_.boot_micros();
  Change change;
  const Duration moved(wall_offset - std::exchange(wall_offset_, wall_offset));  // slow drift is no jump
  if (IsJump(moved)) {
    change.jump = moved;
    set_at_ = boot;
  }
  const Duration gap(wall_offset - offset_.load(std::memory_order_relaxed));
  const bool is_steady = Duration(boot - set_at_) >= kFollowAfter;
  if (!IsJump(gap)) {
    is_held_back_ = false;
  } else if (is_steady || (is_held_back_ && sources_.is_synchronized())) {
    offset_ = wall_offset;
    is_held_back_ = false;
    change.followed = gap;
  }
  return change;
}

}  // namespace baton
