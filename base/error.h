// Errors a client can meet: an absl::Status whose code is a standard gRPC code, whose message says what was
// wrong, what is allowed and what to do, and whose reason is a stable word for programs (google.rpc.ErrorInfo
// on the wire).
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace baton {

// Stable words; documented in docs/protocol.md. Never change one, only add.
namespace reason {
inline constexpr std::string_view kQueueNotFound = "QUEUE_NOT_FOUND";
inline constexpr std::string_view kQueueExists = "QUEUE_EXISTS";
inline constexpr std::string_view kQueueNotEmpty = "QUEUE_NOT_EMPTY";
inline constexpr std::string_view kQueueInUse = "QUEUE_IN_USE";
inline constexpr std::string_view kQueueDeleted = "QUEUE_DELETED";
inline constexpr std::string_view kQueueNameInvalid = "QUEUE_NAME_INVALID";
inline constexpr std::string_view kQueueConfigInvalid = "QUEUE_CONFIG_INVALID";
inline constexpr std::string_view kQueueFull = "QUEUE_FULL";
inline constexpr std::string_view kQueueLimit = "QUEUE_LIMIT";
inline constexpr std::string_view kMemoryQueuesUnavailable = "MEMORY_QUEUES_UNAVAILABLE";
inline constexpr std::string_view kMessageNotFound = "MESSAGE_NOT_FOUND";
inline constexpr std::string_view kMessageLeased = "MESSAGE_LEASED";
inline constexpr std::string_view kLeaseLost = "LEASE_LOST";
inline constexpr std::string_view kAlreadySettled = "ALREADY_SETTLED";
inline constexpr std::string_view kTokenInvalid = "TOKEN_INVALID";
inline constexpr std::string_view kBodyTooLarge = "BODY_TOO_LARGE";
inline constexpr std::string_view kHeadersTooLarge = "HEADERS_TOO_LARGE";
inline constexpr std::string_view kNeverDeliverable = "NEVER_DELIVERABLE";
inline constexpr std::string_view kOutOfRange = "OUT_OF_RANGE";
inline constexpr std::string_view kInvalidArgument = "INVALID_ARGUMENT";
inline constexpr std::string_view kPermissionDenied = "PERMISSION_DENIED";
inline constexpr std::string_view kProtocolViolation = "PROTOCOL_VIOLATION";
inline constexpr std::string_view kCreditExceeded = "CREDIT_EXCEEDED";
inline constexpr std::string_view kSequenceTooOld = "SEQUENCE_TOO_OLD";
inline constexpr std::string_view kProducerLimit = "PRODUCER_LIMIT";
inline constexpr std::string_view kDiskFull = "DISK_FULL";
inline constexpr std::string_view kBrokerBusy = "BROKER_BUSY";
inline constexpr std::string_view kBrokerStopping = "BROKER_STOPPING";
inline constexpr std::string_view kStoreFailed = "STORE_FAILED";
inline constexpr std::string_view kSessionLimit = "SESSION_LIMIT";
inline constexpr std::string_view kSubscriptionExists = "SUBSCRIPTION_EXISTS";
inline constexpr std::string_view kSubscriptionNotFound = "SUBSCRIPTION_NOT_FOUND";
// Made by the client library itself; never on the wire.
inline constexpr std::string_view kBrokerUnreachable = "BROKER_UNREACHABLE";
inline constexpr std::string_view kAnswerLost = "ANSWER_LOST";
inline constexpr std::string_view kClientClosed = "CLIENT_CLOSED";
inline constexpr std::string_view kClientForked = "CLIENT_FORKED";
inline constexpr std::string_view kPublishWindowFull = "PUBLISH_WINDOW_FULL";
}  // namespace reason

// `domain` of google.rpc.ErrorInfo.
inline constexpr std::string_view kErrorDomain = "baton";

// REQUIRES: code != kOk.
absl::Status MakeError(absl::StatusCode code, std::string_view reason, std::string_view message);
// INVALID_ARGUMENT, the most frequent one.
absl::Status InvalidArgument(std::string_view reason, std::string_view message);
absl::Status InvalidArgument(std::string_view message);  // reason INVALID_ARGUMENT

// The reason given to MakeError, or "" for a status made elsewhere.
std::string ReasonOf(const absl::Status& status);

}  // namespace baton
