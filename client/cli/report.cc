#include "client/cli/report.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/error.h"
#include "client/cli/exit_code.h"
#include "client/cli/output.h"

namespace baton::cli {

int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return kUsage;
    case absl::StatusCode::kNotFound:
      return kNotFound;
    case absl::StatusCode::kUnavailable:
      return kUnreachable;
    case absl::StatusCode::kDeadlineExceeded:
      return ReasonOf(status) == reason::kBrokerUnreachable ? kUnreachable : kFailure;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kResourceExhausted:
      return kRefused;
    default:
      return kFailure;
  }
}

void Say(std::string_view message) {
  // On a terminal a line of progress may stand there.
  const std::string line = fmt::format("{}baton: {}\n", StderrIsTerminal() ? "\r\x1b[K" : "", message);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

int Report(const absl::Status& status, std::string_view queue) {
  const std::string reason = ReasonOf(status);
  const std::string message(status.message());
  Say(message);
  if (reason == reason::kQueueNotFound) {
    const bool says_how = message.find("baton queue create") != std::string::npos;
    if (!says_how && !queue.empty()) Say(fmt::format("create it with: baton queue create {}", queue));
    Say("list the queues that there are with: baton queue list");
  } else if (message.find("`baton ") != std::string::npos) {  // it says already what to do
    return ExitCodeOf(status);
  } else if (reason == reason::kQueueNotEmpty && !queue.empty()) {
    Say(fmt::format("delete it with its messages: baton queue delete --force {}", queue));
  } else if (reason == reason::kDiskFull) {
    Say("consumers go on; publishing works again when there is room on the broker's disk");
  }
  return ExitCodeOf(status);
}

}  // namespace baton::cli
