// Standard output that may go away: a pipe whose reader has ended is an answer, not a signal.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace baton::cli {

// Writes all of it to standard output. ERRORS: CANCELLED when the reader is gone, UNKNOWN for anything else.
absl::Status Print(std::string_view text);

bool StdoutIsTerminal();
bool StderrIsTerminal();

}  // namespace baton::cli
