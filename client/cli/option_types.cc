#include "client/cli/option_types.h"

#include <fmt/format.h>

#include <charconv>

namespace baton::cli {

std::string CheckDurationRange(const std::string& text, const DurationRange& range) {
  const auto parsed = ParseDuration(text);
  if (!parsed.ok()) return std::string(parsed.status().message());
  if (*parsed >= range.first && *parsed <= range.second) return {};
  return fmt::format("{} is not from {} to {}", text, FormatDuration(range.first),
                     FormatDuration(range.second));
}

std::string CheckByteSize(const std::string& text) {
  const auto parsed = ParseByteSize(text);
  return parsed.ok() ? std::string() : std::string(parsed.status().message());
}

std::string CheckNumber(const std::string& text, uint64_t least, uint64_t most) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= least && number <= most)
    return {};
  return fmt::format("\"{}\" is not a whole number from {} to {}", text, least, most);
}

uint64_t NumberOf(const std::string& text) {
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace baton::cli
