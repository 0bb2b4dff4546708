// Options whose values are more than a string: checked while the command line is parsed, with an error that
// says what is allowed.
#pragma once

#include <CLI/App.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/byte_size.h"
#include "base/duration.h"

namespace baton::cli {

// "" = good; otherwise what is wrong. (The form that CLI11 wants.)
std::string CheckByteSize(const std::string& text);

using DurationRange = std::pair<std::chrono::milliseconds, std::chrono::milliseconds>;
std::string CheckDurationRange(const std::string& text, const DurationRange& range);

// `Target` is std::chrono::milliseconds, or an optional of it.
template <class Target>
CLI::Option* AddDuration(CLI::App& app, const std::string& name, Target& target,
                         const std::string& description,
                         DurationRange range = {std::chrono::milliseconds(0),
                                                std::chrono::milliseconds::max()}) {
  return app
      .add_option_function<std::string>(
          name, [&target](const std::string& text) { target = *ParseDuration(text); }, description)
      ->check(
          CLI::Validator([range](const std::string& text) { return CheckDurationRange(text, range); }, ""))
      ->type_name("DURATION");
}

template <class Target>
CLI::Option* AddByteSize(CLI::App& app, const std::string& name, Target& target,
                         const std::string& description) {
  return app
      .add_option_function<std::string>(
          name, [&target](const std::string& text) { target = *ParseByteSize(text); }, description)
      ->check(CLI::Validator(CheckByteSize, ""))
      ->type_name("SIZE");
}

// A whole number from `least` to `most`. `Target` is an integer, or an optional of one.
std::string CheckNumber(const std::string& text, uint64_t least, uint64_t most);
uint64_t NumberOf(const std::string& text);

template <class Target>
CLI::Option* AddNumber(CLI::App& app, const std::string& name, Target& target,
                       std::pair<uint64_t, uint64_t> range, const std::string& description) {
  return app
      .add_option_function<std::string>(
          name,
          [&target](const std::string& text) {
            if constexpr (requires { typename Target::value_type; }) {
              target = static_cast<typename Target::value_type>(NumberOf(text));
            } else {
              target = static_cast<Target>(NumberOf(text));
            }
          },
          description)
      ->check(CLI::Validator(
          [range](const std::string& text) { return CheckNumber(text, range.first, range.second); }, ""))
      ->type_name("N");
}

// One of a few words.
template <class Value>
using Words = std::vector<std::pair<std::string, Value>>;

// "a|b|c", as the help shows it and completion offers it.
template <class Value>
std::string ChoiceOf(const Words<Value>& words) {
  std::string choice;
  for (const auto& [word, value] : words) choice += (choice.empty() ? "" : "|") + word;
  return choice;
}

template <class Value>
std::string ListOf(const Words<Value>& words) {
  std::string list;
  for (size_t i = 0; i < words.size(); ++i) {
    list += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i].first;
  }
  return list;
}

template <class Target, class Value>
CLI::Option* AddWord(CLI::App& app, const std::string& name, Target& target, const Words<Value>& words,
                     const std::string& description) {
  return app
      .add_option_function<std::string>(
          name,
          [&target, words](const std::string& text) {
            for (const auto& [word, value] : words) {
              if (word == text) target = value;
            }
          },
          description)
      ->check(CLI::Validator(
          [words](const std::string& text) {
            for (const auto& [word, value] : words) {
              if (word == text) return std::string();
            }
            return "\"" + text + "\" is not one of " + ListOf(words);
          },
          ""))
      ->type_name(ChoiceOf(words));
}

}  // namespace baton::cli
