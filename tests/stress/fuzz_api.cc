// Random input for the whole unary API over gRPC, against a real broker in this process (fuzz_driver.h has
// the command line). Target:
//   api        good requests of every call, changed a little; a restart now and then
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <type_traits>

#include "base/check.h"
#include "tests/stress/fuzz_driver.h"
#include "tests/stress/fuzz_requests.h"
#include "tests/support/local_broker.h"

namespace baton {
namespace {

class Client {
 public:
  explicit Client(LocalBroker& broker) : broker_(broker) {}

  template <class Request, class Response>
  bool Call(const Request& request, Response& response) {
    const auto context = PatientContext();
    // A Receive waits, if it is told to.
    if constexpr (std::is_same_v<Request, v1::ReceiveRequest>) {
      v1::ReceiveRequest at_once = request;
      at_once.set_wait_ms(std::min<uint64_t>(at_once.wait_ms(), 1));
      return Check(broker_.broker().Receive(context.get(), at_once, &response), request);
    } else {
      return Check(Send(context.get(), request, &response), request);
    }
  }

 private:
  grpc::Status Send(grpc::ClientContext* context, const v1::PublishRequest& request,
                    v1::PublishResponse* response) {
    return broker_.broker().Publish(context, request, response);
  }
  grpc::Status Send(grpc::ClientContext* context, const v1::AckRequest& request,
                    v1::SettleResponse* response) {
    return broker_.broker().Ack(context, request, response);
  }
  grpc::Status Send(grpc::ClientContext* context, const v1::NackRequest& request,
                    v1::SettleResponse* response) {
    return broker_.broker().Nack(context, request, response);
  }
  grpc::Status Send(grpc::ClientContext* context, const v1::ReleaseRequest& request,
                    v1::SettleResponse* response) {
    return broker_.broker().Release(context, request, response);
  }
  grpc::Status Send(grpc::ClientContext* context, const v1::ExtendRequest& request,
                    v1::SettleResponse* response) {
    return broker_.broker().Extend(context, request, response);
  }
  grpc::Status Send(grpc::ClientContext* context, const v1::CreateQueueRequest& request,
                    v1::Queue* response) {
    return broker_.admin().CreateQueue(context, request, response);
  }
  grpc::Status Send(grpc::ClientContext* context, const v1::UpdateQueueRequest& request,
                    v1::Queue* response) {
    return broker_.admin().UpdateQueue(context, request, response);
  }
  grpc::Status Send(grpc::ClientContext* context, const v1::DeleteQueueRequest& request,
                    v1::DeleteQueueResponse* response) {
    return broker_.admin().DeleteQueue(context, request, response);
  }
  grpc::Status Send(grpc::ClientContext* context, const v1::PurgeQueueRequest& request,
                    v1::PurgeQueueResponse* response) {
    return broker_.admin().PurgeQueue(context, request, response);
  }
  grpc::Status Send(grpc::ClientContext* context, const v1::ListQueuesRequest& request,
                    v1::ListQueuesResponse* response) {
    return broker_.admin().ListQueues(context, request, response);
  }
  grpc::Status Send(grpc::ClientContext* context, const v1::ListMessagesRequest& request,
                    v1::ListMessagesResponse* response) {
    return broker_.admin().ListMessages(context, request, response);
  }
  grpc::Status Send(grpc::ClientContext* context, const v1::GetMessageRequest& request,
                    v1::Message* response) {
    return broker_.admin().GetMessage(context, request, response);
  }
  grpc::Status Send(grpc::ClientContext* context, const v1::DeleteMessageRequest& request,
                    v1::DeleteMessageResponse* response) {
    return broker_.admin().DeleteMessage(context, request, response);
  }

  // Whatever was asked is answered: with what it is, or with why not.
  static bool Check(const grpc::Status& status, const google::protobuf::Message& request) {
    BATON_CHECK(status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED &&
                status.error_code() != grpc::StatusCode::UNAVAILABLE)
        << status.error_message() << " for " << request.ShortDebugString();
    return status.ok();
  }

  LocalBroker& broker_;
};

// One life of a broker, or two.
void FuzzApi(FuzzInput& input) {
  LocalBroker broker;
  FuzzRequests requests;
  Client client(broker);
  requests.CreateQueues(client);
  while (!input.empty()) {
    requests.MakeOne(input, client);
    if (input.Upto(60) == 0) broker.Restart();
  }
  v1::BrokerStatus status;
  BATON_CHECK(broker.admin().GetStatus(PatientContext().get(), {}, &status).ok());
}

}  // namespace

const std::vector<FuzzPart>& FuzzParts() {
  google::protobuf::SetLogHandler(nullptr);  // as batond does
  static const std::vector<FuzzPart> parts = {{"api", &FuzzApi}};
  return parts;
}

}  // namespace baton
