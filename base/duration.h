// Durations as people write them: "30s", "250ms", "1h30m". A bare number is refused, because "30" has been
// seconds, minutes and milliseconds in somebody's other program; only "0" needs no unit.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace baton {

// Whole numbers with a unit of ms, s, m, h or d, several of them largest first. ERRORS: INVALID_ARGUMENT that
// quotes the text and names the units.
absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text);

// Shortest text that ParseDuration reads back as the same value: 90 s is "1m30s", 0 is "0s". What another
// program said may be negative: -90 s is "-1m30s".
std::string FormatDuration(std::chrono::milliseconds duration);

}  // namespace baton
