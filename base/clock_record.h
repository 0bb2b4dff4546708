// How a broker's time went: what the next life is told.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"

namespace baton {

struct ClockRecord {
  Instant time;               // the broker's, when it was written
  int64_t offset_micros = 0;  // of broker time, from the boot clock
  std::string boot_id;        // of the kernel's life that the boot clock belongs to
  friend bool operator==(const ClockRecord&, const ClockRecord&) = default;
};

}  // namespace baton
