#include "base/error.h"

#include "absl/strings/cord.h"
#include "base/check.h"

namespace baton {
namespace {
constexpr std::string_view kReasonUrl = "baton/reason";

// Debian's Abseil is built as C++14: its string_view is a type of its own.
absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::Status MakeError(absl::StatusCode code, std::string_view reason, std::string_view message) {
  BATON_CHECK(code != absl::StatusCode::kOk) << message;
  absl::Status status(code, ToAbsl(message));
  status.SetPayload(ToAbsl(kReasonUrl), absl::Cord(ToAbsl(reason)));
  return status;
}

absl::Status InvalidArgument(std::string_view reason, std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason, message);
}

absl::Status InvalidArgument(std::string_view message) {
  return InvalidArgument(reason::kInvalidArgument, message);
}

std::string ReasonOf(const absl::Status& status) {
  const auto payload = status.GetPayload(ToAbsl(kReasonUrl));
  return payload.has_value() ? std::string(*payload) : std::string();
}

}  // namespace baton
