// What `baton` tells scripts; docs/cli.md lists the same.
#pragma once

namespace baton::cli {

enum ExitCode : int {
  kOk = 0,
  kFailure = 1,
  kUsage = 2,         // a wrong argument; the broker was not asked, or refused the value
  kNotFound = 3,      // no such queue or message
  kUnreachable = 4,   // no broker answers
  kRefused = 5,       // the present state forbids it: exists already, not empty, full, leased
  kSignalBase = 128,  // + the number of the signal that ended it: 130 for Ctrl-C
};

}  // namespace baton::cli
