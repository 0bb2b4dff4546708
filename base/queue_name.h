// Which names a queue may have.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace baton {

// Ok, or INVALID_ARGUMENT (QUEUE_NAME_INVALID) that says what is wrong: 1 to 128 of A-Z a-z 0-9 . _ : { } -
absl::Status CheckQueueName(std::string_view name);

}  // namespace baton
