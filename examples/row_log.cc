#include "examples/row_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace wordcount {
namespace {

[[noreturn]] void Die(const std::string& path) {
  std::fprintf(stderr, "error: %s: %s\n", path.c_str(), std::strerror(errno));
  std::_Exit(3);
}

}  // namespace

int64_t MonotonicMicros() {
  const auto since_boot = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since_boot).count();
}

RowLog::RowLog(const std::string& path)
    : path_(path), fd_(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644)) {
  if (fd_ < 0) Die(path_);
}

RowLog::~RowLog() { close(fd_); }

void RowLog::Write(std::string_view row) {
  std::string bytes(row);
  bytes += '\n';
  const ssize_t written = write(fd_, bytes.data(), bytes.size());
  if (written != static_cast<ssize_t>(bytes.size())) {
    if (written >= 0) errno = ENOSPC;
    Die(path_);
  }
}

}  // namespace wordcount
