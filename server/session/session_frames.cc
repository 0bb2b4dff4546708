#include "server/session/session_frames.h"

#include <fmt/format.h>

#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "base/duration.h"
#include "base/error.h"
#include "base/queue_name.h"

namespace baton {
namespace {

using std::chrono::milliseconds;

constexpr uint32_t kProtocolVersion = 1;
constexpr size_t kClientNameBytesMax = 128;
constexpr size_t kHeaderNameBytesMax = 128;
constexpr std::string_view kBrokersHeaderPrefix = "baton-";

absl::StatusOr<Duration> CheckRange(std::string_view name, uint64_t value_ms, milliseconds min,
                                    milliseconds max) {
  if (value_ms < static_cast<uint64_t>(min.count()) || value_ms > static_cast<uint64_t>(max.count())) {
    return InvalidArgument(reason::kOutOfRange,
                           fmt::format("{} is {} ms; it must be {} to {}", name, value_ms,
                                       FormatDuration(min), FormatDuration(max)));
  }
  return Duration(milliseconds(value_ms));
}

absl::Status CheckHeader(const v1::Header& header) {
  if (header.name().empty() || header.name().size() > kHeaderNameBytesMax) {
    return InvalidArgument(reason::kInvalidArgument,
                           fmt::format("a header's name has {} bytes; it must have 1 to {}",
                                       header.name().size(), kHeaderNameBytesMax));
  }
  if (header.name().compare(0, kBrokersHeaderPrefix.size(), kBrokersHeaderPrefix) == 0) {
    return InvalidArgument(
        reason::kInvalidArgument,
        fmt::format("the header \"{}\" starts with \"baton-\", which is the broker's", header.name()));
  }
  return absl::OkStatus();
}

absl::Status CheckColumn(std::string_view name, int size, int messages) {
  if (size == 0 || size == messages) return absl::OkStatus();
  return ProtocolViolation(fmt::format(
      "PublishBatch.{} has {} values for {} messages; it must have none or one each", name, size, messages));
}

// That the batch's columns agree with one another.
absl::Status CheckShape(const v1::PublishBatch& batch) {
  const int count = batch.body_sizes_size();
  if (count == 0 || static_cast<size_t>(count) > kBatchMessagesMax) {
    return ProtocolViolation(fmt::format("PublishBatch has {} messages (body_sizes); it must have 1 to {}",
                                         count, kBatchMessagesMax));
  }
  const uint64_t first = batch.first_sequence();
  if (first == 0 || first > std::numeric_limits<uint64_t>::max() - static_cast<uint64_t>(count)) {
    return ProtocolViolation(
        "PublishBatch.first_sequence must be 1 or more, and leave room for the batch's messages");
  }
  uint64_t bytes = 0;
  for (const uint32_t size : batch.body_sizes()) bytes += size;
  if (bytes != batch.bodies().size()) {
    return ProtocolViolation(fmt::format("PublishBatch.body_sizes add up to {} and bodies has {} bytes",
                                         bytes, batch.bodies().size()));
  }
  for (const absl::Status& status : {CheckColumn("priorities", batch.priorities_size(), count),
                                     CheckColumn("ttl_ms", batch.ttl_ms_size(), count),
                                     CheckColumn("delay_ms", batch.delay_ms_size(), count),
                                     CheckColumn("headers", batch.headers_size(), count)}) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// The batch's message `index`, whose body is `body`; or what is wrong with it.
absl::StatusOr<NewMessage> DecodeMessage(v1::PublishBatch& batch, int index, std::string_view body,
                                         const MessageLimits& limits) {
  NewMessage message;
  if (absl::Status status = CheckBody(body.size(), limits); !status.ok()) return status;
  if (batch.headers_size() > 0) {
    if (absl::Status status = CheckHeaders(batch.headers(index), limits); !status.ok()) return status;
    message.headers = std::move(*batch.mutable_headers(index));
  }
  if (batch.ttl_ms_size() > 0) {
    const auto ttl = CheckTtl(batch.ttl_ms(index));
    if (!ttl.ok()) return ttl.status();
    message.ttl = *ttl;
  }
  if (batch.delay_ms_size() > 0) {
    const auto delay = CheckDelay(batch.delay_ms(index));
    if (!delay.ok()) return delay.status();
    message.delay = *delay;
  }
  if (batch.priorities_size() > 0) message.priority = batch.priorities(index);
  if (batch.body_sizes_size() == 1) {
    message.body = std::move(*batch.mutable_bodies());  // a lone message is not copied
  } else {
    message.body = body;
  }
  return message;
}

absl::StatusOr<SettleKind> DecodeKind(v1::Settle::Kind kind) {
  switch (kind) {
    case v1::Settle::ACK:
      return SettleKind::kAck;
    case v1::Settle::NACK:
      return SettleKind::kNack;
    case v1::Settle::RELEASE:
      return SettleKind::kRelease;
    case v1::Settle::EXTEND:
      return SettleKind::kExtend;
    case v1::Settle::DEAD_LETTER:
      return SettleKind::kDeadLetter;
    default:
      return ProtocolViolation(
          fmt::format("Settle.kind {} is not one of this protocol", static_cast<int>(kind)));
  }
}

absl::StatusOr<std::vector<TagRange>> DecodeTags(const v1::Settle& settle, size_t& tags_left) {
  if (settle.tags().empty() || settle.tags_size() % 2 != 0) {
    return ProtocolViolation(
        "Settle.tags must be pairs of a first tag and the number of further ones, at least one pair");
  }
  std::vector<TagRange> ranges;
  ranges.reserve(static_cast<size_t>(settle.tags_size()) / 2);
  for (int i = 0; i < settle.tags_size(); i += 2) {
    const uint64_t first = settle.tags(i);
    const uint64_t further = settle.tags(i + 1);
    if (first == 0 || further >= tags_left || first > std::numeric_limits<uint64_t>::max() - further) {
      return ProtocolViolation(
          fmt::format("Settle.tags names {} + {} further tags; tags start at 1, and a frame may name "
                      "{} of them",
                      first, further, kSettleTagsMax));
    }
    tags_left -= static_cast<size_t>(further) + 1;
    ranges.push_back({.first = first, .last = first + further});
  }
  return ranges;
}

}  // namespace

absl::Status ProtocolViolation(std::string_view what) {
  return InvalidArgument(reason::kProtocolViolation, fmt::format("{}; the session ends", what));
}

absl::Status CheckBody(size_t bytes, const MessageLimits& limits) {
  if (bytes <= limits.body_bytes_max) return absl::OkStatus();
  return InvalidArgument(reason::kBodyTooLarge,
                         fmt::format("the body has {} bytes; at most {} are allowed (option body_bytes_max)",
                                     bytes, limits.body_bytes_max));
}

absl::Status CheckHeaders(std::string_view encoded, const MessageLimits& limits) {
  if (encoded.empty()) return absl::OkStatus();
  if (encoded.size() > limits.header_bytes_max) {
    return InvalidArgument(
        reason::kHeadersTooLarge,
        fmt::format("the headers have {} bytes; at most {} are allowed (option header_bytes_max)",
                    encoded.size(), limits.header_bytes_max));
  }
  v1::Headers headers;
  if (!headers.ParseFromArray(encoded.data(), static_cast<int>(encoded.size()))) {
    return InvalidArgument(reason::kInvalidArgument, "the headers are not an encoded baton.v1.Headers");
  }
  if (static_cast<size_t>(headers.headers_size()) > kHeaderCountMax) {
    return InvalidArgument(
        reason::kHeadersTooLarge,
        fmt::format("there are {} headers; at most {} are allowed", headers.headers_size(), kHeaderCountMax));
  }
  for (const v1::Header& header : headers.headers()) {
    if (absl::Status status = CheckHeader(header); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<Duration> CheckTtl(uint64_t ttl_ms) {
  return CheckRange("the TTL", ttl_ms, milliseconds(0), kTtlMax);
}

absl::StatusOr<Duration> CheckDelay(uint64_t delay_ms) {
  return CheckRange("the delay", delay_ms, milliseconds(0), kDelayMax);
}

absl::StatusOr<Duration> CheckLease(uint64_t lease_ms) {
  if (lease_ms == 0) return Duration(0);
  return CheckRange("the lease", lease_ms, kLeaseMin, kLeaseMax);
}

absl::StatusOr<OpenSession> DecodeHello(const v1::Hello& hello, SessionId session, std::string peer) {
  if (hello.protocol_version() != kProtocolVersion) {
    return ProtocolViolation(fmt::format("Hello.protocol_version is {}; this broker speaks version {}",
                                         hello.protocol_version(), kProtocolVersion));
  }
  if (hello.client_name().size() > kClientNameBytesMax) {
    return ProtocolViolation(fmt::format("Hello.client_name has {} bytes; at most {} are allowed",
                                         hello.client_name().size(), kClientNameBytesMax));
  }
  return OpenSession{.session = session,
                     .client_name = hello.client_name(),
                     .peer = std::move(peer),
                     .producer = ProducerId(hello.producer_id())};
}

absl::StatusOr<DecodedPublish> DecodePublish(v1::PublishBatch& batch, SessionId session,
                                             const MessageLimits& limits) {
  if (absl::Status status = CheckShape(batch); !status.ok()) return status;
  const int count = batch.body_sizes_size();
  DecodedPublish decoded;
  decoded.first_sequence = batch.first_sequence();
  decoded.sizes.reserve(static_cast<size_t>(count));
  const absl::Status name = CheckQueueName(batch.queue());
  const std::string_view bodies = batch.bodies();
  size_t at = 0;
  bool continues = false;  // the last command ends with the message before this one
  for (int i = 0; i < count; ++i) {
    const uint64_t sequence = batch.first_sequence() + static_cast<uint64_t>(i);
    const uint32_t size = batch.body_sizes(i);
    const size_t headers = batch.headers_size() > 0 ? batch.headers(i).size() : 0;
    decoded.sizes.push_back(static_cast<uint32_t>(size + headers));
    auto message = name.ok() ? DecodeMessage(batch, i, bodies.substr(at, size), limits) : name;
    at += size;
    if (!message.ok()) {
      decoded.failures.push_back({.sequence = sequence, .status = message.status()});
      continues = false;
      continue;
    }
    if (!continues) {
      decoded.commands.push_back(Publish{.session = session,
                                         .call = {},
                                         .queue = batch.queue(),
                                         .producer = {},
                                         .first_sequence = sequence,
                                         .want_ids = batch.want_ids(),
                                         .messages = {}});
      decoded.commands.back().messages.reserve(static_cast<size_t>(count - i));
      continues = true;
    }
    decoded.commands.back().messages.push_back(*std::move(message));
  }
  return decoded;
}

absl::StatusOr<DecodedSubscribe> DecodeSubscribe(const v1::Subscribe& subscribe, SessionId session) {
  if (subscribe.subscription() == 0) return ProtocolViolation("Subscribe.subscription is 0");
  DecodedSubscribe decoded;
  decoded.command = {
      .session = session,
      .subscription = SubscriptionId(subscribe.subscription()),
      .queue = subscribe.queue(),
      .lease = {},
      .credit_messages = subscribe.credit_messages(),
      .credit_bytes = subscribe.credit_bytes() == 0 ? kCreditBytesDefault : subscribe.credit_bytes()};
  decoded.status = CheckQueueName(subscribe.queue());
  if (!decoded.status.ok()) return decoded;
  const auto lease = CheckLease(subscribe.lease_ms());
  if (!lease.ok()) {
    decoded.status = lease.status();
    return decoded;
  }
  decoded.command.lease = *lease;
  if (subscribe.credit_messages() == 0 || subscribe.credit_messages() > kCreditMessagesMax) {
    decoded.status =
        InvalidArgument(reason::kOutOfRange, fmt::format("the credit is {} messages; it must be 1 to {}",
                                                         subscribe.credit_messages(), kCreditMessagesMax));
  }
  if (subscribe.credit_bytes() > kCreditBytesMax) {
    decoded.status =
        InvalidArgument(reason::kOutOfRange, fmt::format("the credit is {} bytes; at most {} are allowed",
                                                         subscribe.credit_bytes(), kCreditBytesMax));
  }
  return decoded;
}

absl::StatusOr<SetCredit> DecodeCredit(const v1::Credit& credit, SessionId session) {
  if (credit.subscription() == 0) return ProtocolViolation("Credit.subscription is 0");
  if (credit.messages() > kCreditMessagesMax) {
    return ProtocolViolation(
        fmt::format("Credit.messages is {}; at most {} are allowed", credit.messages(), kCreditMessagesMax));
  }
  if (credit.bytes() > kCreditBytesMax) {
    return ProtocolViolation(
        fmt::format("Credit.bytes is {}; at most {} are allowed", credit.bytes(), kCreditBytesMax));
  }
  return SetCredit{.session = session,
                   .subscription = SubscriptionId(credit.subscription()),
                   .messages = credit.messages(),
                   .bytes = credit.bytes()};
}

absl::StatusOr<SettleTags> DecodeSettle(const v1::Settle& settle, SessionId session, size_t& tags_left) {
  const auto kind = DecodeKind(settle.kind());
  if (!kind.ok()) return kind.status();
  auto tags = DecodeTags(settle, tags_left);
  if (!tags.ok()) return tags.status();
  SettleTags command{
      .session = session, .settlement = {.kind = *kind, .delay = {}, .lease = {}, .reason = {}}, .tags = {}};
  if (settle.reason().size() > kReasonBytesMax) {
    return ProtocolViolation(fmt::format("Settle.reason has {} bytes; at most {} are allowed",
                                         settle.reason().size(), kReasonBytesMax));
  }
  const auto delay = CheckDelay(settle.delay_ms());
  if (!delay.ok()) return ProtocolViolation(std::string(delay.status().message()));
  const auto lease = CheckLease(settle.lease_ms());
  if (!lease.ok()) return ProtocolViolation(std::string(lease.status().message()));
  if (settle.delay_ms() != 0 || settle.delay_set()) command.settlement.delay = *delay;
  command.settlement.lease = *lease;
  command.settlement.reason = settle.reason();
  command.tags = *std::move(tags);
  return command;
}

}  // namespace baton
