#include "server/grpc/broker_methods.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/queue_name.h"
#include "server/session/queue_wire.h"
#include "server/session/wire_error.h"

namespace baton {
namespace {

constexpr uint64_t kReceiveBytesDefault = 3u << 20;
constexpr uint64_t kReceiveBytesMax = kOutboxBytesMax;

absl::StatusOr<NewMessage> DecodeMessage(v1::NewMessage& wire, const MessageLimits& limits) {
  NewMessage message;
  if (absl::Status status = CheckBody(wire.body().size(), limits); !status.ok()) return status;
  message.headers = wire.headers().SerializeAsString();
  if (absl::Status status = CheckHeaders(message.headers, limits); !status.ok()) return status;
  const auto ttl = CheckTtl(wire.ttl_ms());
  if (!ttl.ok()) return ttl.status();
  const auto delay = CheckDelay(wire.delay_ms());
  if (!delay.ok()) return delay.status();
  message.ttl = *ttl;
  message.delay = *delay;
  message.priority = wire.priority();
  message.body = std::move(*wire.mutable_body());
  return message;
}

template <class Request>
DecodedCall DecodeTokens(const Request& request, CallId call, Settlement settlement) {
  if (request.tokens().empty() || static_cast<size_t>(request.tokens_size()) > kBatchMessagesMax) {
    return InvalidArgument(reason::kOutOfRange, fmt::format("{} tokens; 1 to {} are allowed",
                                                            request.tokens_size(), kBatchMessagesMax));
  }
  SettleTokens command{.call = call, .settlement = std::move(settlement), .tokens = {}};
  command.tokens.reserve(static_cast<size_t>(request.tokens_size()));
  for (const std::string& text : request.tokens()) command.tokens.push_back(LeaseToken::FromText(text));
  return Command(std::move(command));
}

}  // namespace

// A message that is refused leaves a gap in the sequences, so a call that names sequences is refused as a
// whole.
DecodedCall PublishMethod::Decode(Request& request, CallId call, const BrokerFacts& facts) {
  if (absl::Status status = CheckQueueName(request.queue()); !status.ok()) return status;
  if (request.messages().empty() || static_cast<size_t>(request.messages_size()) > kBatchMessagesMax) {
    return InvalidArgument(reason::kOutOfRange, fmt::format("{} messages; 1 to {} are allowed",
                                                            request.messages_size(), kBatchMessagesMax));
  }
  if ((request.producer_id() == 0) != (request.first_sequence() == 0)) {
    return InvalidArgument(reason::kInvalidArgument,
                           "producer_id and first_sequence belong together: set both or neither");
  }
  if (request.first_sequence() > UINT64_MAX - kBatchMessagesMax) {
    return InvalidArgument(reason::kOutOfRange, "first_sequence leaves no room for the messages");
  }
  Publish publish{.session = {},
                  .call = call,
                  .queue = request.queue(),
                  .producer = ProducerId(request.producer_id()),
                  .first_sequence = request.first_sequence(),
                  .want_ids = true,
                  .messages = {}};
  publish.messages.reserve(static_cast<size_t>(request.messages_size()));
  for (v1::NewMessage& wire : *request.mutable_messages()) {
    auto message = DecodeMessage(wire, facts.limits);
    checks_.push_back(message.status());
    if (message.ok()) {
      publish.messages.push_back(*std::move(message));
    } else if (publish.first_sequence != 0) {
      return InvalidArgument(ReasonOf(message.status()),
                             fmt::format("message {}: {}; nothing of this call was stored", checks_.size(),
                                         std::string(message.status().message())));
    }
  }
  if (publish.messages.empty()) return std::nullopt;
  return Command(std::move(publish));
}

absl::Status PublishMethod::Encode(Reply& reply, const BrokerFacts& /*facts*/, Response* response) {
  const auto* stored = std::get_if<PublishReply>(&reply);
  size_t next = 0;
  for (const absl::Status& check : checks_) {
    v1::PublishResult* wire = response->add_results();
    if (!check.ok()) {
      FillWireError(check, wire->mutable_error());
      continue;
    }
    BATON_CHECK(stored != nullptr && next < stored->results.size());
    const PublishResult& result = stored->results[next++];
    if (!result.status.ok()) {
      FillWireError(result.status, wire->mutable_error());
      continue;
    }
    wire->set_durability(ToWire(stored->durability));
    wire->set_duplicate(result.duplicate);
    if (!result.duplicate) wire->set_message_id(result.id.ToText());
  }
  return absl::OkStatus();
}

DecodedCall ReceiveMethod::Decode(Request& request, CallId call, const BrokerFacts& /*facts*/) {
  if (absl::Status status = CheckQueueName(request.queue()); !status.ok()) return status;
  if (request.messages_max() > kBatchMessagesMax) {
    return InvalidArgument(reason::kOutOfRange, fmt::format("messages_max is {}; at most {} are allowed",
                                                            request.messages_max(), kBatchMessagesMax));
  }
  if (request.wait_ms() > static_cast<uint64_t>(kReceiveWaitMax.count())) {
    return InvalidArgument(reason::kOutOfRange, fmt::format("wait_ms is {}; at most {} are allowed",
                                                            request.wait_ms(), kReceiveWaitMax.count()));
  }
  if (request.bytes_max() > kReceiveBytesMax) {
    return InvalidArgument(reason::kOutOfRange, fmt::format("bytes_max is {}; at most {} are allowed",
                                                            request.bytes_max(), kReceiveBytesMax));
  }
  const auto lease = CheckLease(request.lease_ms());
  if (!lease.ok()) return lease.status();
  return Command(Receive{.call = call,
                         .queue = request.queue(),
                         .messages_max = request.messages_max() == 0 ? 1 : request.messages_max(),
                         .bytes_max = request.bytes_max() == 0 ? kReceiveBytesDefault : request.bytes_max(),
                         .wait = std::chrono::milliseconds(request.wait_ms()),
                         .lease = *lease});
}

absl::Status ReceiveMethod::Encode(Reply& reply, const BrokerFacts& /*facts*/, Response* response) {
  for (ReceivedMessage& message : std::get<ReceiveReply>(reply).messages) {
    tokens_.push_back(message.token);
    v1::ReceivedMessage* wire = response->add_messages();
    wire->set_message_id(message.token.id.ToText());
    wire->set_token(message.token.ToText());
    wire->set_body(std::move(message.body));
    if (!message.headers.empty() && !wire->mutable_headers()->ParseFromString(message.headers))
      wire->clear_headers();
    wire->set_priority(message.priority);
    wire->set_attempt(message.token.attempt);
    wire->set_redelivered(message.redelivered);
    wire->set_published_unix_ms(ToMillis(message.published));
    wire->set_lease_end_unix_ms(ToMillis(message.lease_end));
    wire->set_producer_id(message.producer.value());
    wire->set_sequence(message.sequence);
  }
  return absl::OkStatus();
}

std::optional<Command> ReceiveMethod::Undelivered() {
  if (tokens_.empty()) return std::nullopt;
  return SettleTokens{.call = {},
                      .settlement = {.kind = SettleKind::kRelease, .delay = {}, .lease = {}, .reason = {}},
                      .tokens = std::exchange(tokens_, {})};
}

DecodedCall DecodeSettle(const v1::AckRequest& request, CallId call) {
  return DecodeTokens(request, call, {.kind = SettleKind::kAck, .delay = {}, .lease = {}, .reason = {}});
}

DecodedCall DecodeSettle(const v1::NackRequest& request, CallId call) {
  if (request.reason().size() > kReasonBytesMax) {
    return InvalidArgument(reason::kOutOfRange, fmt::format("the reason has {} bytes; at most {} are allowed",
                                                            request.reason().size(), kReasonBytesMax));
  }
  Settlement settlement{.kind = request.dead_letter() ? SettleKind::kDeadLetter : SettleKind::kNack,
                        .delay = {},
                        .lease = {},
                        .reason = request.reason()};
  if (request.has_delay_ms()) {
    const auto delay = CheckDelay(request.delay_ms());
    if (!delay.ok()) return delay.status();
    settlement.delay = *delay;
  }
  return DecodeTokens(request, call, std::move(settlement));
}

DecodedCall DecodeSettle(const v1::ReleaseRequest& request, CallId call) {
  return DecodeTokens(request, call, {.kind = SettleKind::kRelease, .delay = {}, .lease = {}, .reason = {}});
}

DecodedCall DecodeSettle(const v1::ExtendRequest& request, CallId call) {
  const auto lease = CheckLease(request.lease_ms());
  if (!lease.ok()) return lease.status();
  return DecodeTokens(request, call,
                      {.kind = SettleKind::kExtend, .delay = {}, .lease = *lease, .reason = {}});
}

absl::Status EncodeSettle(const Reply& reply, v1::SettleResponse* response) {
  for (const absl::Status& status : std::get<SettleReply>(reply).results) {
    v1::SettleResult* wire = response->add_results();
    if (!status.ok()) FillWireError(status, wire->mutable_error());
  }
  return absl::OkStatus();
}

}  // namespace baton
