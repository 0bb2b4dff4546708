#include "server/grpc/grpc_status.h"

#include <string>

#include "base/error.h"
#include "baton/v1/rpc_status.pb.h"

namespace baton {

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());  // the numbers are the same
  std::string message(status.message());
  const std::string reason = ReasonOf(status);
  if (reason.empty()) return {code, message};

  v1::RpcErrorInfo info;
  info.set_reason(reason);
  info.set_domain(std::string(kErrorDomain));
  v1::RpcStatus details;
  details.set_code(static_cast<int32_t>(status.code()));
  details.set_message(message);
  google::protobuf::Any* any = details.add_details();
  any->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  any->set_value(info.SerializeAsString());
  return {code, message, details.SerializeAsString()};
}

absl::Status BrokerStopping() {
  return MakeError(absl::StatusCode::kUnavailable, reason::kBrokerStopping,
                   "the broker is stopping; connect again later");
}

}  // namespace baton
