// Reads what a client says in a session: frames become commands, with every limit checked, so that below this
// line only valid values exist. What is wrong with one message or subscription is answered for it; what
// breaks the protocol ends the session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "baton/v1/session.pb.h"
#include "server/engine/commands.h"
#include "server/engine/outputs.h"

namespace baton {

struct MessageLimits {
  size_t body_bytes_max = kBodyBytesDefaultMax;
  size_t header_bytes_max = kHeaderBytesDefaultMax;
};

// ---- One message's parts, shared with the unary calls. ERRORS: INVALID_ARGUMENT with a reason of its own.

absl::Status CheckBody(size_t bytes, const MessageLimits& limits);
// `encoded` is an encoded v1::Headers.
absl::Status CheckHeaders(std::string_view encoded, const MessageLimits& limits);
absl::StatusOr<Duration> CheckTtl(uint64_t ttl_ms);
absl::StatusOr<Duration> CheckDelay(uint64_t delay_ms);
// 0 = the default.
absl::StatusOr<Duration> CheckLease(uint64_t lease_ms);

// ---- Frames. A status that is not OK is a broken protocol: the session ends with it.

absl::StatusOr<OpenSession> DecodeHello(const v1::Hello& hello, SessionId session, std::string peer);

struct DecodedPublish {
  std::vector<Publish> commands;         // runs of good messages, in order
  std::vector<PublishFailure> failures;  // the others
  uint64_t first_sequence = 0;
  std::vector<uint32_t> sizes;  // of every message, for the credit
};
// Moves the bodies out of `batch`.
absl::StatusOr<DecodedPublish> DecodePublish(v1::PublishBatch& batch, SessionId session,
                                             const MessageLimits& limits);

struct DecodedSubscribe {
  absl::Status status;  // not OK: the answer to give instead
  Subscribe command;
};
absl::StatusOr<DecodedSubscribe> DecodeSubscribe(const v1::Subscribe& subscribe, SessionId session);
absl::StatusOr<SetCredit> DecodeCredit(const v1::Credit& credit, SessionId session);
// `tags_left`: how many more tags the frame may name; lowered.
absl::StatusOr<SettleTags> DecodeSettle(const v1::Settle& settle, SessionId session, size_t& tags_left);

absl::Status ProtocolViolation(std::string_view what);

}  // namespace baton
