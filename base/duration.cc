#include "base/duration.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <limits>

#include "base/error.h"

namespace baton {
namespace {

struct TimeUnit {
  std::string_view name;
  int64_t millis;
};
// Largest first.
constexpr std::array<TimeUnit, 5> kUnits = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }

absl::Status InvalidDuration(std::string_view text, std::string_view what) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, reason::kInvalidArgument,
      fmt::format("\"{}\" is not a duration: {}; write a whole number and a unit of ms, s, m, h or d, "
                  "as in \"30s\", \"250ms\" or \"1h30m\"",
                  text, what));
}

// Index in kUnits, or kUnits.size().
size_t FindUnit(std::string_view name) {
  size_t index = 0;
  while (index < kUnits.size() && kUnits[index].name != name) ++index;
  return index;
}

}  // namespace

absl::StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  if (text == "0") return std::chrono::milliseconds(0);
  if (text.empty()) return InvalidDuration(text, "it is empty");
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  int64_t total = 0;
  size_t next_unit = 0;  // units before it were used, or were passed over
  std::string_view rest = text;
  while (!rest.empty()) {
    int64_t number = 0;
    size_t digits = 0;
    for (; digits < rest.size() && IsDigit(rest[digits]); ++digits) {
      const int digit = rest[digits] - '0';
      if (number > (kMax - digit) / 10) return InvalidDuration(text, "the number is too large");
      number = number * 10 + digit;
    }
    if (digits == 0) return InvalidDuration(text, "a number is missing");
    rest.remove_prefix(digits);
    size_t letters = 0;
    while (letters < rest.size() && !IsDigit(rest[letters])) ++letters;
    if (letters == 0) return InvalidDuration(text, "the unit is missing");
    const std::string_view name = rest.substr(0, letters);
    const size_t unit = FindUnit(name);
    if (unit == kUnits.size()) return InvalidDuration(text, fmt::format("\"{}\" is not a unit", name));
    if (unit < next_unit) return InvalidDuration(text, "the units are not in order, largest first");
    if (number > (kMax - total) / kUnits[unit].millis) return InvalidDuration(text, "it is too long");
    total += number * kUnits[unit].millis;
    next_unit = unit + 1;
    rest.remove_prefix(letters);
  }
  return std::chrono::milliseconds(total);
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  if (duration.count() == 0) return "0s";
  std::string text = duration.count() < 0 ? "-" : "";
  uint64_t rest = static_cast<uint64_t>(duration.count());
  if (duration.count() < 0) rest = 0 - rest;
  for (const TimeUnit& unit : kUnits) {
    const auto millis = static_cast<uint64_t>(unit.millis);
    if (rest < millis) continue;
    text += fmt::format("{}{}", rest / millis, unit.name);
    rest %= millis;
  }
  return text;
}

}  // namespace baton
