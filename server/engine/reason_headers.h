// Why a message was given up, in words: of headers and of parked rows. The headers that tell why a message is
// in a dead-letter queue: "baton-dead-letter-queue", "-reason",
// "-attempts",
// "-last-reason", "-unix-ms". After several dead-letterings the last of each name counts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"

namespace baton {

// Why a message is given up, for Dispose; attempts used up have words of their own.
inline constexpr std::string_view kReasonRejected = "rejected by the consumer";
inline constexpr std::string_view kReasonExpired = "expired";
inline constexpr std::string_view kReasonQueueFull = "queue full";

struct DeadLetterStory {
  std::string_view queue;        // it came from
  std::string_view reason;       // it was given up
  uint32_t attempts = 0;         // that ended there
  std::string_view last_reason;  // of the last return, "" = none was given
  Instant when;
};

// Appends to an encoded baton.v1.Headers. (Encoded messages of a repeated field may simply be joined.)
void AppendDeadLetterHeaders(std::string& headers, const DeadLetterStory& story);

// A parked message has no headers that tell its story: its row's reason tells why it was given up, and what
// was said of its last return. Bounded by kReasonBytesMax and the longest of our own words.
std::string ParkedReason(std::string_view given_up, std::string_view last_reason);

}  // namespace baton
