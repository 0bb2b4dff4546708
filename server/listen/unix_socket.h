// Who may bind the broker's socket: one broker a runtime directory, and the socket file of a dead one is
// cleared away.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace baton {

// Holds a runtime directory for one broker, by a lock on its file `lock`, until destroyed. The file stays.
class RuntimeDirLock {
 public:
  // Makes the directory (0700) when it is not there; checks that nobody else may write to it; locks it.
  // ERRORS: FAILED_PRECONDITION when it cannot be trusted; ALREADY_EXISTS when another broker holds it.
  static absl::StatusOr<RuntimeDirLock> Acquire(const std::string& runtime_dir);

  RuntimeDirLock(RuntimeDirLock&& other) noexcept;
  RuntimeDirLock& operator=(RuntimeDirLock&&) = delete;
  ~RuntimeDirLock();

 private:
  explicit RuntimeDirLock(int fd) : fd_(fd) {}
  int fd_;
};

// Removes a socket file nobody listens on. ERRORS: ALREADY_EXISTS when somebody answers; FAILED_PRECONDITION
// when it is no socket, or the path is too long for one.
absl::Status ClearStaleSocket(const std::string& path);

}  // namespace baton
