// Telling people what went wrong, and scripts by the exit code.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace baton::cli {

// "baton: MESSAGE" on stderr, with a second line when there is something to do about it. Returns the exit
// code. `queue` is the queue it was about; "" = none.
int Report(const absl::Status& status, std::string_view queue = {});

// "baton: MESSAGE" on stderr.
void Say(std::string_view message);

int ExitCodeOf(const absl::Status& status);

}  // namespace baton::cli
