// The calls of the Admin service, in the form that server/grpc/broker_methods.h explains.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "baton/v1/admin.pb.h"
#include "server/engine/commands.h"
#include "server/engine/outputs.h"
#include "server/grpc/broker_methods.h"
#include "server/session/broker_facts.h"

namespace baton {

// A request and the functions that read it and write its response.
template <class RequestType, class ResponseType, DecodedCall (*kDecode)(const RequestType&, CallId),
          absl::Status (*kEncode)(Reply&, const BrokerFacts&, ResponseType*)>
class AdminMethod {
 public:
  using Request = RequestType;
  using Response = ResponseType;
  DecodedCall Decode(Request& request, CallId call, const BrokerFacts& /*facts*/) {
    return kDecode(request, call);
  }
  absl::Status Encode(Reply& reply, const BrokerFacts& facts, Response* response) {
    return kEncode(reply, facts, response);
  }
};

DecodedCall DecodeCreateQueue(const v1::CreateQueueRequest& request, CallId call);
DecodedCall DecodeUpdateQueue(const v1::UpdateQueueRequest& request, CallId call);
DecodedCall DecodeDeleteQueue(const v1::DeleteQueueRequest& request, CallId call);
DecodedCall DecodeGetQueue(const v1::GetQueueRequest& request, CallId call);
DecodedCall DecodeListQueues(const v1::ListQueuesRequest& request, CallId call);
DecodedCall DecodePurgeQueue(const v1::PurgeQueueRequest& request, CallId call);
DecodedCall DecodeListMessages(const v1::ListMessagesRequest& request, CallId call);
DecodedCall DecodeGetMessage(const v1::GetMessageRequest& request, CallId call);
DecodedCall DecodeDeleteMessage(const v1::DeleteMessageRequest& request, CallId call);
DecodedCall DecodeGetStatus(const v1::GetStatusRequest& request, CallId call);

absl::Status EncodeQueue(Reply& reply, const BrokerFacts& facts, v1::Queue* response);
absl::Status EncodeDeleteQueue(Reply& reply, const BrokerFacts& facts, v1::DeleteQueueResponse* response);
absl::Status EncodeListQueues(Reply& reply, const BrokerFacts& facts, v1::ListQueuesResponse* response);
absl::Status EncodePurgeQueue(Reply& reply, const BrokerFacts& facts, v1::PurgeQueueResponse* response);
absl::Status EncodeListMessages(Reply& reply, const BrokerFacts& facts, v1::ListMessagesResponse* response);
absl::Status EncodeMessage(Reply& reply, const BrokerFacts& facts, v1::Message* response);
absl::Status EncodeDeleteMessage(Reply& reply, const BrokerFacts& facts, v1::DeleteMessageResponse* response);
absl::Status EncodeStatus(Reply& reply, const BrokerFacts& facts, v1::BrokerStatus* response);

using CreateQueueMethod = AdminMethod<v1::CreateQueueRequest, v1::Queue, DecodeCreateQueue, EncodeQueue>;
using UpdateQueueMethod = AdminMethod<v1::UpdateQueueRequest, v1::Queue, DecodeUpdateQueue, EncodeQueue>;
using DeleteQueueMethod =
    AdminMethod<v1::DeleteQueueRequest, v1::DeleteQueueResponse, DecodeDeleteQueue, EncodeDeleteQueue>;
using GetQueueMethod = AdminMethod<v1::GetQueueRequest, v1::Queue, DecodeGetQueue, EncodeQueue>;
using ListQueuesMethod =
    AdminMethod<v1::ListQueuesRequest, v1::ListQueuesResponse, DecodeListQueues, EncodeListQueues>;
using PurgeQueueMethod =
    AdminMethod<v1::PurgeQueueRequest, v1::PurgeQueueResponse, DecodePurgeQueue, EncodePurgeQueue>;
using ListMessagesMethod =
    AdminMethod<v1::ListMessagesRequest, v1::ListMessagesResponse, DecodeListMessages, EncodeListMessages>;
using GetMessageMethod = AdminMethod<v1::GetMessageRequest, v1::Message, DecodeGetMessage, EncodeMessage>;
using DeleteMessageMethod = AdminMethod<v1::DeleteMessageRequest, v1::DeleteMessageResponse,
                                        DecodeDeleteMessage, EncodeDeleteMessage>;
using GetStatusMethod = AdminMethod<v1::GetStatusRequest, v1::BrokerStatus, DecodeGetStatus, EncodeStatus>;

}  // namespace baton
