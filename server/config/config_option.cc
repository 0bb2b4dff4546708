#include "server/config/config_option.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "base/byte_size.h"
#include "base/error.h"
#include "server/config/tcp_address.h"

namespace baton {
namespace {

std::string Changed(std::string text, char from, char to) {
  std::replace(text.begin(), text.end(), from, to);
  return text;
}

// Levenshtein's distance.
size_t Edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string ConfigOption::Flag() const { return "--" + Changed(key, '_', '-'); }

std::string ConfigOption::Variable() const {
  std::string name = "BATON_" + key;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return name;
}

ConfigOption SizeOption(std::string key, uint64_t Config::*member, OptionRange<uint64_t> range,
                        std::string help) {
  return {.key = std::move(key),
          .value_name = "SIZE",
          .help = std::move(help),
          .set =
              [member, range](Config& config, std::string_view text) {
                const auto size = ParseByteSize(text);
                if (!size.ok()) return size.status();
                if (*size < range.min || *size > range.max) {
                  return InvalidArgument(fmt::format("{} is out of range; it must be {} to {}", text,
                                                     FormatByteSize(range.min), FormatByteSize(range.max)));
                }
                config.*member = *size;
                return absl::OkStatus();
              },
          .get = [member](const Config& config) { return FormatByteSize(config.*member); }};
}

ConfigOption CountOption(std::string key, uint64_t Config::*member, OptionRange<uint64_t> range,
                         std::string help) {
  return {.key = std::move(key),
          .value_name = "N",
          .help = std::move(help),
          .set =
              [member, range](Config& config, std::string_view text) {
                uint64_t count = 0;
                const char* end = text.data() + text.size();
                const auto [rest, error] = std::from_chars(text.data(), end, count);
                if (text.empty() || error != std::errc() || rest != end || count < range.min ||
                    count > range.max) {
                  return InvalidArgument(
                      fmt::format("\"{}\" is not a whole number from {} to {}", text, range.min, range.max));
                }
                config.*member = count;
                return absl::OkStatus();
              },
          .get = [member](const Config& config) { return std::to_string(config.*member); }};
}

ConfigOption PathOption(std::string key, std::string Config::*member, std::string help) {
  return {.key = std::move(key),
          .value_name = "PATH",
          .help = std::move(help),
          .set =
              [member](Config& config, std::string_view text) {
                config.*member = std::string(text);
                return absl::OkStatus();
              },
          .get = [member](const Config& config) { return config.*member; }};
}

ConfigOption AddressOption(std::string key, std::string Config::*member, std::string help) {
  return {.key = std::move(key),
          .value_name = "HOST:PORT",
          .help = std::move(help),
          .set =
              [member](Config& config, std::string_view text) {
                if (!text.empty()) {
                  const auto address = ParseTcpAddress(text);
                  if (!address.ok()) return address.status();
                }
                config.*member = std::string(text);
                return absl::OkStatus();
              },
          .get = [member](const Config& config) { return config.*member; }};
}

absl::Status NotAChoice(std::string_view text, const std::string& choices) {
  return InvalidArgument(fmt::format("\"{}\" is not one of {}", text, choices));
}

std::string NearestWord(std::string_view word, const std::vector<std::string>& candidates) {
  std::string nearest;
  size_t fewest = std::max<size_t>(2, word.size() / 2) + 1;
  for (const std::string& candidate : candidates) {
    const size_t edits = Edits(word, candidate);
    if (edits >= fewest) continue;
    fewest = edits;
    nearest = candidate;
  }
  return nearest;
}

}  // namespace baton
