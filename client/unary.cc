// Client's unary calls on messages.
#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "base/limits.h"
#include "baton/client.h"
#include "client/client_core.h"
#include "client/session/convert.h"
#include "client/session/headers.h"

namespace baton {
inline namespace client_api {
namespace {

using client::FromProto;
using client::Settlement;
using Broker = v1::Broker::Stub;

absl::Status Negative(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason::kOutOfRange,
                   fmt::format("the {} is negative", what));
}

absl::Status AddMessage(const Message& message, v1::PublishRequest& request) {
  if (message.ttl.count() < 0) return Negative("ttl");
  if (message.delay.count() < 0) return Negative("delay");
  v1::NewMessage& out = *request.add_messages();
  out.set_body(message.body);
  if (!message.headers.empty()) {
    if (absl::Status filled = client::FillHeaders(message.headers, *out.mutable_headers()); !filled.ok())
      return filled;
  }
  out.set_priority(message.priority);
  out.set_ttl_ms(static_cast<uint64_t>(message.ttl.count()));
  out.set_delay_ms(static_cast<uint64_t>(message.delay.count()));
  return absl::OkStatus();
}

// A named call is refused as a whole when one of its messages is, or when there are too many names; nothing
// of it was stored. Without a name each message has its own answer.
bool NeedsNoName(const absl::Status& refusal) {
  return absl::IsInvalidArgument(refusal) || ReasonOf(refusal) == reason::kProducerLimit;
}

absl::StatusOr<Confirmation> ConfirmationOf(const v1::PublishResult& result) {
  if (result.has_error()) return FromProto(result.error());
  return Confirmation{.message_id = result.message_id(),
                      .durability = FromProto(result.durability()),
                      .duplicate = result.duplicate()};
}

}  // namespace

absl::StatusOr<std::vector<absl::StatusOr<Confirmation>>> Client::Publish(std::string_view queue,
                                                                          std::span<const Message> messages) {
  v1::PublishRequest request;
  request.set_queue(queue.data(), queue.size());
  for (const Message& message : messages) {
    if (absl::Status added = AddMessage(message, request); !added.ok()) return added;
  }
  // As many as the broker can tell from earlier ones are named, so that the call may be repeated.
  const bool named = messages.size() <= kProducerWindow;
  const client::PublishNames::Name name =
      named ? core_->publish_names().Borrow() : client::PublishNames::Name();
  if (named) {
    request.set_producer_id(name.producer_id);
    request.set_first_sequence(name.next_sequence);
  }
  auto response = core_->Call(&Broker::Publish, request);
  if (named) core_->publish_names().GiveBack(name, messages.size());
  if (named && NeedsNoName(response.status())) {
    request.clear_producer_id();
    request.clear_first_sequence();
    response = core_->Call(&Broker::Publish, request);
  }
  if (!response.ok()) return response.status();
  if (static_cast<size_t>(response->results_size()) != messages.size()) {
    return MakeError(
        absl::StatusCode::kInternal, reason::kProtocolViolation,
        fmt::format("the broker gave {} answers for {} messages", response->results_size(), messages.size()));
  }
  std::vector<absl::StatusOr<Confirmation>> results;
  results.reserve(messages.size());
  for (const v1::PublishResult& result : response->results()) results.push_back(ConfirmationOf(result));
  return results;
}

absl::StatusOr<std::vector<ReceivedMessage>> Client::Receive(const ReceiveOptions& options) {
  if (options.wait.count() < 0) return Negative("wait");
  if (options.lease.count() < 0) return Negative("lease");
  v1::ReceiveRequest request;
  request.set_queue(options.queue);
  request.set_messages_max(options.messages_max);
  request.set_wait_ms(static_cast<uint64_t>(options.wait.count()));
  request.set_lease_ms(static_cast<uint64_t>(options.lease.count()));
  request.set_bytes_max(options.bytes_max);
  auto response = core_->Call(&Broker::Receive, request, options.wait);
  if (!response.ok()) return response.status();
  std::vector<ReceivedMessage> messages;
  messages.reserve(static_cast<size_t>(response->messages_size()));
  for (v1::ReceivedMessage& message : *response->mutable_messages()) {
    messages.push_back(FromProto(std::move(message)));
  }
  return messages;
}

absl::StatusOr<std::vector<absl::Status>> Client::Ack(std::span<const std::string> tokens) {
  return core_->Settle(Settlement{.kind = v1::Settle::ACK}, tokens);
}

absl::StatusOr<std::vector<absl::Status>> Client::Nack(std::span<const std::string> tokens,
                                                       const NackOptions& options) {
  if (options.delay.has_value() && options.delay->count() < 0) return Negative("delay");
  return core_->Settle(Settlement{.kind = v1::Settle::NACK,
                                  .delay_set = options.delay.has_value(),
                                  .delay = options.delay.value_or(std::chrono::milliseconds(0)),
                                  .reason = options.reason},
                       tokens);
}

absl::StatusOr<std::vector<absl::Status>> Client::Release(std::span<const std::string> tokens) {
  return core_->Settle(Settlement{.kind = v1::Settle::RELEASE}, tokens);
}

absl::StatusOr<std::vector<absl::Status>> Client::DeadLetter(std::span<const std::string> tokens,
                                                             std::string_view reason) {
  return core_->Settle(Settlement{.kind = v1::Settle::DEAD_LETTER, .reason = std::string(reason)}, tokens);
}

absl::StatusOr<std::vector<absl::Status>> Client::Extend(std::span<const std::string> tokens,
                                                         std::chrono::milliseconds lease) {
  if (lease.count() < 0) return Negative("lease");
  return core_->Settle(Settlement{.kind = v1::Settle::EXTEND, .lease = lease}, tokens);
}

}  // namespace client_api
}  // namespace baton
