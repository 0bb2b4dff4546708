#include "server/engine/reason_headers.h"

#include <fmt/format.h>

#include "base/coding.h"

namespace baton {
namespace {

// Protobuf tags: field 1 / 2 of wire type 2 (length-delimited).
constexpr char kField1 = 0x0a;
constexpr char kField2 = 0x12;

// One Header{name = 1, value = 2} as field 1 of Headers.
void AppendHeader(std::string& headers, std::string_view name, std::string_view value) {
  std::string header;
  header.push_back(kField1);
  AppendLengthPrefixed(header, name);
  header.push_back(kField2);
  AppendLengthPrefixed(header, value);
  headers.push_back(kField1);
  AppendLengthPrefixed(headers, header);
}

}  // namespace

void AppendDeadLetterHeaders(std::string& headers, const DeadLetterStory& story) {
  AppendHeader(headers, "baton-dead-letter-queue", story.queue);
  AppendHeader(headers, "baton-dead-letter-reason", story.reason);
  AppendHeader(headers, "baton-dead-letter-attempts", std::to_string(story.attempts));
  if (!story.last_reason.empty()) AppendHeader(headers, "baton-dead-letter-last-reason", story.last_reason);
  AppendHeader(headers, "baton-dead-letter-unix-ms", std::to_string(ToMillis(story.when)));
}

std::string ParkedReason(std::string_view given_up, std::string_view last_reason) {
  if (last_reason.empty() || given_up.ends_with(last_reason)) return std::string(given_up);
  const bool by_last_return = given_up != kReasonExpired && given_up != kReasonQueueFull;
  return fmt::format("{}{}{}", given_up, by_last_return ? ": " : "; last return: ", last_reason);
}

}  // namespace baton
