// A program started by a test: its standard output line by line, its signals, its end. Killed with the
// object. THREADS: one at a time.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace baton {

class ChildProcess {
 public:
  // Starts arguments[0], a path. What it writes to stderr is appended to the file `stderr_path`.
  ChildProcess(const std::vector<std::string>& arguments, const std::string& stderr_path);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;

  // The next line, without its end. nullopt: it closed its output, or nothing came in time. BLOCKS.
  std::optional<std::string> ReadLine(std::chrono::milliseconds timeout);

  // Its exit code, or minus the signal that ended it. nullopt: it still runs. BLOCKS. Again: the same answer.
  std::optional<int> Wait(std::chrono::milliseconds timeout);

 private:
  pid_t pid_ = -1;
  int pid_fd_ = -1;
  int stdout_fd_ = -1;
  std::string unread_;
  std::optional<int> ended_;
};

}  // namespace baton
