// Unary calls: the request and response types of the wire, one blocking call each.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "baton/v1/admin.grpc.pb.h"
#include "baton/v1/broker.grpc.pb.h"
#include "client/grpc_status.h"
#include "client/settlement.h"

namespace baton::client {

// THREADS: any.
class GrpcCalls {
 public:
  explicit GrpcCalls(const std::shared_ptr<grpc::Channel>& channel)
      : broker_(v1::Broker::NewStub(channel)), admin_(v1::Admin::NewStub(channel)) {}

  // Call(&v1::Admin::Stub::GetQueue, request, 30s). BLOCKS up to `timeout`.
  template <class Request, class Response>
  absl::StatusOr<Response> Call(grpc::Status (v1::Admin::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                        Response*),
                                const Request& request, std::chrono::milliseconds timeout) {
    return Call(*admin_, method, request, timeout);
  }
  template <class Request, class Response>
  absl::StatusOr<Response> Call(grpc::Status (v1::Broker::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                         Response*),
                                const Request& request, std::chrono::milliseconds timeout) {
    return Call(*broker_, method, request, timeout);
  }

  // Settles tokens: one status each, or an error of the whole call. BLOCKS.
  absl::StatusOr<std::vector<absl::Status>> Settle(const Settlement& how, std::span<const std::string> tokens,
                                                   std::chrono::milliseconds timeout);

 private:
  template <class Stub, class Request, class Response>
  static absl::StatusOr<Response> Call(Stub& stub,
                                       grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                                    Response*),
                                       const Request& request, std::chrono::milliseconds timeout) {
    grpc::ClientContext context;
    const gpr_timespec span = gpr_time_from_millis(timeout.count(), GPR_TIMESPAN);
    context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), span));
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (!status.ok()) return FromGrpc(status);
    return response;
  }

  const std::unique_ptr<v1::Broker::Stub> broker_;
  const std::unique_ptr<v1::Admin::Stub> admin_;
};

}  // namespace baton::client
