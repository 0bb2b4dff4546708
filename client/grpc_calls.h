// Unary calls: the request and response types of the wire, one blocking call each.
//
// A connection that ends takes the answers with it, and nobody can tell whether the broker had the calls:
// gRPC sends one again by itself only when it knows that the broker never began it, and "Broken pipe" does
// not say so. What does no harm when it is done twice is therefore called again, once; of everything else
// ANSWER_LOST says that it may have been carried out. What is known not to have been sent is no such case:
// then no broker answers.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "baton/v1/admin.grpc.pb.h"
#include "baton/v1/broker.grpc.pb.h"
#include "client/mutex.h"
#include "client/session/settlement.h"

namespace baton::client {

// What a call that is carried out twice does.
enum class Effect {
  kNone,   // it changes nothing
  kSame,   // as once
  kTwice,  // more, or its second answer is about the first
};

template <class Request>
constexpr Effect EffectOf(const Request&) {
  return Effect::kTwice;
}
inline Effect EffectOf(const v1::GetStatusRequest&) { return Effect::kNone; }
inline Effect EffectOf(const v1::GetQueueRequest&) { return Effect::kNone; }
inline Effect EffectOf(const v1::ListQueuesRequest&) { return Effect::kNone; }
inline Effect EffectOf(const v1::ListMessagesRequest&) { return Effect::kNone; }
inline Effect EffectOf(const v1::GetMessageRequest&) { return Effect::kNone; }
inline Effect EffectOf(const v1::ExtendRequest&) { return Effect::kSame; }
inline Effect EffectOf(const v1::PublishRequest& request) {
  return request.producer_id() != 0 ? Effect::kSame : Effect::kTwice;
}

// THREADS: any.
class GrpcCalls {
 public:
  // `channel`: or why there is none; then that is the answer to every call.
  explicit GrpcCalls(absl::StatusOr<std::shared_ptr<grpc::Channel>> channel);

  // Tries to connect; true when there is a connection. BLOCKS until then, up to `timeout`.
  bool WaitForConnection(std::chrono::milliseconds timeout);

  // Call(&v1::Admin::Stub::GetQueue, request, 30s). BLOCKS up to `timeout`.
  template <class Request, class Response>
  absl::StatusOr<Response> Call(grpc::Status (v1::Admin::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                        Response*),
                                const Request& request, std::chrono::milliseconds timeout) {
    return Call(admin_.get(), method, request, timeout);
  }
  template <class Request, class Response>
  absl::StatusOr<Response> Call(grpc::Status (v1::Broker::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                         Response*),
                                const Request& request, std::chrono::milliseconds timeout) {
    return Call(broker_.get(), method, request, timeout);
  }

  // Settles tokens: one status each, or an error of the whole call. BLOCKS.
  absl::StatusOr<std::vector<absl::Status>> Settle(const Settlement& how, std::span<const std::string> tokens,
                                                   std::chrono::milliseconds timeout);

  // Ends what is under way, and what is called later: CANCELLED.
  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Attempt = std::function<grpc::Status(grpc::ClientContext&)>;

  template <class Stub, class Request, class Response>
  absl::StatusOr<Response> Call(Stub* stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                const Request& request, std::chrono::milliseconds timeout) {
    if (!channel_.ok()) return channel_.status();
    Response response;
    absl::Status done = Run(EffectOf(request), timeout, [&](grpc::ClientContext& context) {
      return (stub->*method)(&context, request, &response);
    });
    if (!done.ok()) return done;
    return response;
  }

  absl::Status Run(Effect effect, std::chrono::milliseconds timeout, const Attempt& attempt);
  grpc::Status Try(const Attempt& attempt, gpr_timespec deadline) ABSL_LOCKS_EXCLUDED(mutex_);
  grpc::Status Reach(gpr_timespec deadline);
  bool Reconnect(gpr_timespec deadline);
  bool IsCancelled() ABSL_LOCKS_EXCLUDED(mutex_);

  const absl::StatusOr<std::shared_ptr<grpc::Channel>> channel_;
  const std::unique_ptr<v1::Broker::Stub> broker_;  // null without a channel, like the next
  const std::unique_ptr<v1::Admin::Stub> admin_;

  std::atomic<SteadyTime> last_answer_{};  // came then; only a hint

  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<grpc::ClientContext*> under_way_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace baton::client
