// Unary calls: the request and response types of the wire, one blocking call each.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <span>
#include <string>
#include <utility>
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
  explicit GrpcCalls(std::shared_ptr<grpc::Channel> channel)
      : channel_(std::move(channel)),
        broker_(v1::Broker::NewStub(channel_)),
        admin_(v1::Admin::NewStub(channel_)) {}

  // Tries to connect; true when there is a connection. BLOCKS until then, up to `timeout`.
  bool WaitForConnection(std::chrono::milliseconds timeout);
  // After a failure nobody but a waiting call polls the channel's socket, and calls do not wait: a connection
  // that could be made again would not be. BLOCKS a second at most, and only after a failure.
  void Recover();

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
  static gpr_timespec After(std::chrono::milliseconds timeout) {
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(timeout.count(), GPR_TIMESPAN));
  }

  // It was given to a connection that had ended, so that the broker has not got it.
  static bool WasNotSent(const grpc::Status& status);

  template <class Stub, class Request, class Response>
  absl::StatusOr<Response> Call(Stub& stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                const Request& request, std::chrono::milliseconds timeout) {
    const gpr_timespec deadline = After(timeout);
    Response response;
    grpc::Status status;
    for (int attempt = 1; attempt <= 2; ++attempt) {
      grpc::ClientContext context;
      context.set_deadline(deadline);
      status = (stub.*method)(&context, request, &response);
      // While nothing was called nobody looked at the socket, and a broker that was started again meanwhile
      // is met by another connection.
      if (attempt > 1 || !WasNotSent(status) || !WaitForConnection(std::chrono::seconds(1))) break;
    }
    if (!status.ok()) return FromGrpc(status);
    return response;
  }

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Broker::Stub> broker_;
  const std::unique_ptr<v1::Admin::Stub> admin_;
};

}  // namespace baton::client
