// Prints message ids while the client goes on: confirmations come on the client's own thread, which must not
// wait for a slow reader of standard output.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"

namespace baton::cli {

class IdPrinter {
 public:
  IdPrinter();
  ~IdPrinter();

  // Any thread. Never waits.
  void Add(std::string line);
  // Everything added is printed, or could not be: then says why. Nothing may be added any more.
  absl::Status Finish();
  // Printing has failed: there is no use in going on.
  bool failed();

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> lines_;
  bool finishing_ = false;
  absl::Status status_;
  std::thread thread_;
};

}  // namespace baton::cli
