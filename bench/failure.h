// The end of a benchmark that cannot go on.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace baton::bench {

// Thrown to main, which ends with code 1; what was wrong has been said. The one exception of this program:
// with std::exit a scenario's broker would run on, and leave its directory and its shared memory behind.
class Failure {};

// Says it on standard error.
[[noreturn]] void Fail(const std::string& what);
// Of a child process with a role: says it, and gives its exit code.
int RoleFailed(const char* what, const absl::Status& status);

}  // namespace baton::bench
