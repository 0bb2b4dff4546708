#include "client/grpc_calls.h"

#include <fmt/format.h>

#include "base/error.h"
#include "client/convert.h"

namespace baton::client {
namespace {

absl::StatusOr<std::vector<absl::Status>> ResultsOf(const absl::StatusOr<v1::SettleResponse>& response,
                                                    size_t count) {
  if (!response.ok()) return response.status();
  if (static_cast<size_t>(response->results_size()) != count) {
    return MakeError(
        absl::StatusCode::kInternal, reason::kProtocolViolation,
        fmt::format("the broker gave {} answers for {} tokens", response->results_size(), count));
  }
  std::vector<absl::Status> statuses;
  statuses.reserve(count);
  for (const v1::SettleResult& result : response->results()) {
    statuses.push_back(result.has_error() ? FromProto(result.error()) : absl::OkStatus());
  }
  return statuses;
}

template <class Request>
Request RequestWith(std::span<const std::string> tokens) {
  Request request;
  for (const std::string& token : tokens) request.add_tokens(token);
  return request;
}

}  // namespace

bool GrpcCalls::WaitForConnection(std::chrono::milliseconds timeout) {
  return channel_->WaitForConnected(After(timeout));
}

bool GrpcCalls::WasNotSent(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE &&
         status.error_message().find("Broken pipe") != std::string::npos;
}

void GrpcCalls::Recover() {
  if (channel_->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_TRANSIENT_FAILURE) {
    WaitForConnection(std::chrono::seconds(1));
  }
}

absl::StatusOr<std::vector<absl::Status>> GrpcCalls::Settle(const Settlement& how,
                                                            std::span<const std::string> tokens,
                                                            std::chrono::milliseconds timeout) {
  switch (how.kind) {
    case v1::Settle::ACK:
      return ResultsOf(Call(&v1::Broker::Stub::Ack, RequestWith<v1::AckRequest>(tokens), timeout),
                       tokens.size());
    case v1::Settle::RELEASE:
      return ResultsOf(Call(&v1::Broker::Stub::Release, RequestWith<v1::ReleaseRequest>(tokens), timeout),
                       tokens.size());
    case v1::Settle::EXTEND: {
      auto request = RequestWith<v1::ExtendRequest>(tokens);
      request.set_lease_ms(static_cast<uint64_t>(how.lease.count()));
      return ResultsOf(Call(&v1::Broker::Stub::Extend, request, timeout), tokens.size());
    }
    default: {
      auto request = RequestWith<v1::NackRequest>(tokens);
      if (how.delay_set) request.set_delay_ms(static_cast<uint64_t>(how.delay.count()));
      request.set_reason(how.reason);
      request.set_dead_letter(how.kind == v1::Settle::DEAD_LETTER);
      return ResultsOf(Call(&v1::Broker::Stub::Nack, request, timeout), tokens.size());
    }
  }
}

}  // namespace baton::client
