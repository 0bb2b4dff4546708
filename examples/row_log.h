// An append-only log of rows, for programs that may be killed at any moment: a row is written by one
// write(2), so it is in the file before the next thing happens, or not at all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace wordcount {

// Microseconds of CLOCK_MONOTONIC: comparable between the processes of one machine.
int64_t MonotonicMicros();

// THREADS: any.
class RowLog {
 public:
  // Opens `path` for appending, creates it. Ends the program with a message when it cannot.
  explicit RowLog(const std::string& path);
  ~RowLog();
  RowLog(const RowLog&) = delete;
  RowLog& operator=(const RowLog&) = delete;

  // `row` without its line break. Ends the program with a message when the row cannot be written: a log with
  // a hole would prove nothing.
  void Write(std::string_view row);

 private:
  const std::string path_;
  const int fd_;
};

}  // namespace wordcount
