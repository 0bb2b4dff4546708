// A program started by the benchmark: its output is read, it can be killed, its memory and processor time
// looked at.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace baton::bench {

class ChildProcess {
 public:
  // REQUIRES: arguments[0] is the path of a program. Ends the benchmark with a message when it cannot be
  // started.
  explicit ChildProcess(std::vector<std::string> arguments);
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();  // kills it when it still runs

  // What it prints up to the next newline; "" at the end of its output. BLOCKS.
  std::string ReadLine();
  void Signal(int signal);
  // Its exit code; 128 + signal when it was killed. BLOCKS.
  int Wait();

  // From /proc; of the running process.
  uint64_t ResidentBytes() const;
  std::chrono::microseconds ProcessorTime() const;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int output_ = -1;
  std::string buffered_;
};

}  // namespace baton::bench
