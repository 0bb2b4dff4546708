#include "base/byte_size.h"

#include <fmt/format.h>

#include <array>
#include <limits>

#include "base/error.h"

namespace baton {
namespace {

struct SizeUnit {
  std::string_view name;
  uint64_t bytes;
};
constexpr std::array<SizeUnit, 5> kBinaryUnits = {{{"TiB", uint64_t{1} << 40},
                                                   {"GiB", uint64_t{1} << 30},
                                                   {"MiB", uint64_t{1} << 20},
                                                   {"KiB", uint64_t{1} << 10},
                                                   {"B", 1}}};
constexpr std::array<SizeUnit, 4> kDecimalUnits = {
    {{"TB", 1'000'000'000'000}, {"GB", 1'000'000'000}, {"MB", 1'000'000}, {"KB", 1'000}}};

constexpr char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (ToLower(a[i]) != ToLower(b[i])) return false;
  }
  return true;
}

// 0: no such unit.
uint64_t BytesOfUnit(std::string_view name) {
  for (const SizeUnit& unit : kBinaryUnits) {
    if (EqualsIgnoringCase(unit.name, name)) return unit.bytes;
  }
  for (const SizeUnit& unit : kDecimalUnits) {
    if (EqualsIgnoringCase(unit.name, name)) return unit.bytes;
  }
  return 0;
}

absl::Status InvalidSize(std::string_view text, std::string_view what) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, reason::kInvalidArgument,
      fmt::format("\"{}\" is not a size: {}; write a whole number and a unit of B, KiB, MiB, GiB, TiB "
                  "(or KB, MB, GB, TB: powers of 1000), as in \"256MiB\"",
                  text, what));
}

}  // namespace

absl::StatusOr<uint64_t> ParseByteSize(std::string_view text) {
  if (text == "0") return 0;
  if (text.empty()) return InvalidSize(text, "it is empty");
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  uint64_t number = 0;
  size_t digits = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
    const auto digit = static_cast<uint64_t>(text[digits] - '0');
    if (number > (kMax - digit) / 10) return InvalidSize(text, "the number is too large");
    number = number * 10 + digit;
  }
  if (digits == 0) return InvalidSize(text, "it does not start with a number");
  const std::string_view name = text.substr(digits);
  if (name.empty()) return InvalidSize(text, "the unit is missing");
  const uint64_t unit = BytesOfUnit(name);
  if (unit == 0) return InvalidSize(text, fmt::format("\"{}\" is not a unit", name));
  if (number > kMax / unit) return InvalidSize(text, "it is too large");
  return number * unit;
}

std::string FormatByteSize(uint64_t bytes) {
  for (const SizeUnit& unit : kBinaryUnits) {
    if (bytes >= unit.bytes && bytes % unit.bytes == 0)
      return fmt::format("{}{}", bytes / unit.bytes, unit.name);
  }
  return "0B";
}

std::string FormatByteSizeRounded(uint64_t bytes) {
  for (const SizeUnit& unit : kBinaryUnits) {
    if (bytes < unit.bytes) continue;
    const double value = static_cast<double>(bytes) / static_cast<double>(unit.bytes);
    const bool whole = bytes % unit.bytes == 0 || value >= 99.95;
    return whole ? fmt::format("{:.0f} {}", value, unit.name) : fmt::format("{:.1f} {}", value, unit.name);
  }
  return "0 B";
}

}  // namespace baton
