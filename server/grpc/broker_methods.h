// The unary calls of the Broker service: requests become commands, replies become responses. Each method is a
// value that lives as long as its call; what it must remember between the two is its state.
//
//   Decode       the command to post; nullopt when there is nothing to ask the engine: Encode is then called
//   with Done Encode       fills the response Undelivered  the answer did not reach the client: what takes it
//   back
//
// THREADS: a call's carrier's.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "baton/v1/broker.pb.h"
#include "server/engine/commands.h"
#include "server/engine/outputs.h"
#include "server/session/broker_facts.h"

namespace baton {

using DecodedCall = absl::StatusOr<std::optional<Command>>;

class PublishMethod {
 public:
  using Request = v1::PublishRequest;
  using Response = v1::PublishResponse;
  DecodedCall Decode(Request& request, CallId call, const BrokerFacts& facts);
  absl::Status Encode(Reply& reply, const BrokerFacts& facts, Response* response);

 private:
  std::vector<absl::Status> checks_;  // one per message; those that are not OK were not posted
};

class ReceiveMethod {
 public:
  using Request = v1::ReceiveRequest;
  using Response = v1::ReceiveResponse;
  DecodedCall Decode(Request& request, CallId call, const BrokerFacts& facts);
  absl::Status Encode(Reply& reply, const BrokerFacts& facts, Response* response);
  std::optional<Command> Undelivered();

 private:
  std::vector<std::optional<LeaseToken>> tokens_;  // of what was leased
};

// Ack, Nack, Release and Extend differ in their request only.
DecodedCall DecodeSettle(const v1::AckRequest& request, CallId call);
DecodedCall DecodeSettle(const v1::NackRequest& request, CallId call);
DecodedCall DecodeSettle(const v1::ReleaseRequest& request, CallId call);
DecodedCall DecodeSettle(const v1::ExtendRequest& request, CallId call);
absl::Status EncodeSettle(const Reply& reply, v1::SettleResponse* response);

template <class SettleRequest>
class SettleMethod {
 public:
  using Request = SettleRequest;
  using Response = v1::SettleResponse;
  DecodedCall Decode(Request& request, CallId call, const BrokerFacts& /*facts*/) {
    return DecodeSettle(request, call);
  }
  absl::Status Encode(Reply& reply, const BrokerFacts& /*facts*/, Response* response) {
    return EncodeSettle(reply, response);
  }
};

}  // namespace baton
