// One line on a terminal that says how far a long command is. Silent when standard error is no terminal, and
// for the first second.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace baton::cli {

class ProgressLine {
 public:
  explicit ProgressLine(std::string what);  // "messages stored"

  // Call as often as you like.
  void Update(uint64_t messages, uint64_t bytes);
  // Removes the line.
  void Clear();

 private:
  const std::string what_;
  const bool shown_;  // at all
  const std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point last_;
  uint64_t last_messages_ = 0;
  bool visible_ = false;
};

// "12,345 messages stored (1.2 MiB) in 3.4 s, 3,631/s".
std::string Summary(uint64_t messages, uint64_t bytes, std::chrono::steady_clock::duration time,
                    const std::string& what);

}  // namespace baton::cli
