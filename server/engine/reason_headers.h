// The headers that tell why a message is in a dead-letter queue: "baton-dead-letter-queue", "-reason",
// "-attempts",
// "-last-reason", "-unix-ms". After several dead-letterings the last of each name counts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"

namespace baton {

struct DeadLetterStory {
  std::string_view queue;        // it came from
  std::string_view reason;       // it was given up
  uint32_t attempts = 0;         // that ended there
  std::string_view last_reason;  // of the last return, "" = none was given
  Instant when;
};

// Appends to an encoded baton.v1.Headers. (Encoded messages of a repeated field may simply be joined.)
void AppendDeadLetterHeaders(std::string& headers, const DeadLetterStory& story);

}  // namespace baton
