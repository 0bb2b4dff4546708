// Runs a command for one message: the body on its standard input, what else there is in BATON_* variables.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <string>

#include "absl/status/statusor.h"
#include "baton/delivery.h"

namespace baton::cli {

struct ChildResult {
  int exit_status = 0;  // when signal is 0
  int signal = 0;       // that ended it
  bool stopped_by_us = false;

  bool ok() const { return exit_status == 0 && signal == 0; }
  std::string ToText() const;  // "exit status 3"
};

class ChildCommand {
 public:
  // `command` is for the shell.
  explicit ChildCommand(std::string command) : command_(std::move(command)) {}

  // BLOCKS until the command ends; not longer than a few seconds once `stop` is true: then it gets SIGTERM,
  // later SIGKILL. ERRORS: UNKNOWN when it cannot be started.
  absl::StatusOr<ChildResult> Run(const Delivery& delivery, const std::atomic<bool>& stop) const;

 private:
  const std::string command_;
};

}  // namespace baton::cli
