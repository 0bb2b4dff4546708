// The kinds of options: how each reads and writes its text. config.cc declares the options themselves.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/config/config.h"

namespace baton {

struct ConfigOption {
  std::string key;
  std::string value_name;
  std::string help;
  // ERRORS: what is wrong with the text and what is allowed; the caller adds the option's name.
  std::function<absl::Status(Config&, std::string_view)> set;
  std::function<std::string(const Config&)> get;

  std::string Flag() const;      // --memory-budget
  std::string Variable() const;  // BATON_MEMORY_BUDGET
};

template <class T>
struct OptionRange {
  T min;
  T max;
};

ConfigOption SizeOption(std::string key, uint64_t Config::*member, OptionRange<uint64_t> range,
                        std::string help);
ConfigOption CountOption(std::string key, uint64_t Config::*member, OptionRange<uint64_t> range,
                         std::string help);
// A path; "" = not set.
ConfigOption PathOption(std::string key, std::string Config::*member, std::string help);
// HOST:PORT; "" = not set.
ConfigOption AddressOption(std::string key, std::string Config::*member, std::string help);

template <class Enum>
ConfigOption ChoiceOption(std::string key, Enum Config::*member,
                          std::vector<std::pair<std::string, Enum>> choices, std::string help);

absl::Status NotAChoice(std::string_view text, const std::string& choices);

// The candidate with the fewest edits from `word`, when it is near enough to be what was meant; "" otherwise.
std::string NearestWord(std::string_view word, const std::vector<std::string>& candidates);

template <class Enum>
ConfigOption ChoiceOption(std::string key, Enum Config::*member,
                          std::vector<std::pair<std::string, Enum>> choices, std::string help) {
  std::string names;
  for (const auto& choice : choices) names += (names.empty() ? "" : "|") + choice.first;
  return {.key = std::move(key),
          .value_name = names,
          .help = std::move(help),
          .set =
              [member, choices, names](Config& config, std::string_view text) {
                for (const auto& [name, value] : choices) {
                  if (name != text) continue;
                  config.*member = value;
                  return absl::OkStatus();
                }
                return NotAChoice(text, names);
              },
          .get =
              [member, choices](const Config& config) {
                for (const auto& [name, value] : choices) {
                  if (value == config.*member) return name;
                }
                return std::string();
              }};
}

}  // namespace baton
