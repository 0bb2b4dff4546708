// Ctrl-C and SIGTERM as something to look at and to wait for, instead of an end in the middle of things.
#pragma once

namespace baton::cli {

class StopSignal {
 public:
  // From now on SIGINT and SIGTERM are only noted; a second one ends the process at once. One per process.
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // The number of the signal that came; 0 = none.
  int Received() const;
  // Becomes readable when one comes, and stays so.
  int fd() const;
};

}  // namespace baton::cli
