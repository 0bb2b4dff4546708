// How batond ends, for its supervisor (docs/operations.md). The numbers are those of sysexits.h.
#pragma once

namespace baton {

enum ExitCode : int {
  kExitStopped = 0,         // asked to stop, and everything confirmed is on disk
  kExitDataUnusable = 65,   // the data directory is not ours, newer, or damaged: a person must look
  kExitStartFailed = 69,    // something needed at start is not there
  kExitStoreFailed = 74,    // the disk failed while running: restart, recovery decides
  kExitInUse = 75,          // data directory, socket or port in use: try again later
  kExitConfigInvalid = 78,  // flags, environment or file: a person must look
};

}  // namespace baton
