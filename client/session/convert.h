// The wire's words in the library's types, and back.
#pragma once

#include "absl/status/status.h"
#include "baton/admin.h"
#include "baton/client.h"
#include "baton/message.h"
#include "baton/v1/admin.pb.h"
#include "baton/v1/broker.pb.h"
#include "baton/v1/session.pb.h"

namespace baton::client {

// Never OK: an error without a code is UNKNOWN.
absl::Status FromProto(const v1::Error& error);
Durability FromProto(v1::Durability durability);

QueueInfo FromProto(const v1::Queue& queue);
MessageInfo FromProto(const v1::Message& message);
BrokerStatus FromProto(const v1::BrokerStatus& status);
ReceivedMessage FromProto(v1::ReceivedMessage&& message);

// ERRORS: INVALID_ARGUMENT (OUT_OF_RANGE) for a negative time.
absl::Status ToProto(const QueueConfig& config, v1::QueueConfig& out);
v1::MessageState ToProto(MessageState state);

}  // namespace baton::client
