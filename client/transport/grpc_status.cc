#include "client/transport/grpc_status.h"

#include <string>
#include <string_view>

#include "base/error.h"
#include "baton/v1/rpc_status.pb.h"

namespace baton::client {
namespace {

// google.rpc.ErrorInfo.reason of our domain; "" when there is none.
std::string ReasonIn(const std::string& details) {
  constexpr std::string_view kType = "/google.rpc.ErrorInfo";
  v1::RpcStatus status;
  if (details.empty() || !status.ParseFromString(details)) return {};
  for (const google::protobuf::Any& detail : status.details()) {
    const std::string_view url = detail.type_url();
    if (url.size() < kType.size() || url.substr(url.size() - kType.size()) != kType) continue;
    v1::RpcErrorInfo info;
    if (info.ParseFromString(detail.value()) && info.domain() == kErrorDomain) return info.reason();
  }
  return {};
}

}  // namespace

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return MakeError(static_cast<absl::StatusCode>(status.error_code()), ReasonIn(status.error_details()),
                   status.error_message());
}

}  // namespace baton::client
