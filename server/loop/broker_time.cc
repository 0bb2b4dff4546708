#include "server/loop/broker_time.h"

#include <ctime>

namespace baton {
namespace {

int64_t MicrosOf(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1'000;
}

}  // namespace

BrokerTime::Sources BrokerTime::SystemSources() {
  return {.wall_micros = [] { return MicrosOf(CLOCK_REALTIME); },
          .boot_micros = [] { return MicrosOf(CLOCK_BOOTTIME); }};
}

BrokerTime::BrokerTime(const Sources& sources)
    : sources_(sources),
      wall_at_start_(sources.wall_micros()),
      boot_at_start_(sources.boot_micros()),
      last_offset_(wall_at_start_ - boot_at_start_) {}

std::optional<Duration> BrokerTime::CheckWallClock() {
  const int64_t offset = Offset();
  const Duration moved(offset - last_offset_);
  last_offset_ = offset;  // also when slewed, so that slow drift never adds up to a jump
  if (moved > kJump || moved < -kJump) return moved;
  return std::nullopt;
}

}  // namespace baton
