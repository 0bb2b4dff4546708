#include "base/queue_name.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/limits.h"

namespace baton {
namespace {

bool IsAllowed(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
         std::string_view("._:{}-").find(c) != std::string_view::npos;
}

absl::Status InvalidName(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason::kQueueNameInvalid,
                   fmt::format("{}; a queue name is 1 to {} characters of A-Z a-z 0-9 . _ : {{ }} -", what,
                               kQueueNameLengthMax));
}

}  // namespace

absl::Status CheckQueueName(std::string_view name) {
  if (name.empty()) return InvalidName("the queue name is empty");
  if (name.size() > kQueueNameLengthMax)
    return InvalidName(fmt::format("the queue name has {} characters", name.size()));
  for (const char c : name) {
    if (IsAllowed(c)) continue;
    const bool printable = c >= ' ' && c <= '~';
    return InvalidName(
        printable ? fmt::format("the queue name contains the character '{}'", c)
                  : fmt::format("the queue name contains the byte 0x{:02x}", static_cast<uint8_t>(c)));
  }
  return absl::OkStatus();
}

}  // namespace baton
