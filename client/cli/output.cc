#include "client/cli/output.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace baton::cli {

absl::Status Print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {  // somebody made it non-blocking
      pollfd output{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
      ::poll(&output, 1, -1);
      continue;
    }
    const bool reader_gone = errno == EPIPE;
    return MakeError(reader_gone ? absl::StatusCode::kCancelled : absl::StatusCode::kUnknown,
                     reason::kInvalidArgument,
                     fmt::format("cannot write to standard output: {}", std::strerror(errno)));
  }
  return absl::OkStatus();
}

bool StdoutIsTerminal() { return ::isatty(STDOUT_FILENO) == 1; }
bool StderrIsTerminal() { return ::isatty(STDERR_FILENO) == 1; }

}  // namespace baton::cli
