// What a Client is made of: the address, the channel for unary calls, and the session, which is opened when
// the first producer or consumer needs it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "baton/client.h"
#include "client/grpc_calls.h"
#include "client/mutex.h"
#include "client/publish_names.h"
#include "client/session/session.h"
#include "client/transport/address.h"
#include "client/transport/fork_guard.h"
#include "client/transport/socket_fault.h"
#include "client/transport/transport.h"

namespace baton::client {

class ClientCore {
 public:
  static absl::StatusOr<std::shared_ptr<ClientCore>> Connect(ClientOptions options);

  // `channel`: or why it cannot be had. REQUIRES: one, unless sessions go over rings.
  ClientCore(ClientOptions options, Address address, absl::StatusOr<std::shared_ptr<grpc::Channel>> channel);

  const ClientOptions& options() const { return options_; }
  const std::string& url() const { return address_.url; }
  const ForkGuard& fork_guard() const { return fork_guard_; }
  PublishNames& publish_names() { return publish_names_; }

  // OK: calls may be made. FAILED_PRECONDITION when closed, or in a forked child.
  absl::Status CheckUsable();

  // The session, up. BLOCKS up to call_timeout.
  absl::StatusOr<std::shared_ptr<Session>> OpenSession();

  absl::Status Close();
  std::string DescribeSession();

  // A unary call with the usual time limit, plus `longer`.
  template <class Method, class Request>
  auto Call(Method method, const Request& request, std::chrono::milliseconds longer = {})
      -> decltype(std::declval<GrpcCalls&>().Call(method, request, longer)) {
    if (absl::Status usable = CheckUsable(); !usable.ok()) return usable;
    auto response = calls_->Call(method, request, options_.call_timeout + longer);
    if (!response.ok()) return Explain(response.status());
    return response;
  }

  // Settles tokens: one status each.
  absl::StatusOr<std::vector<absl::Status>> Settle(const Settlement& how,
                                                   std::span<const std::string> tokens);

 private:
  absl::Status WaitForBroker();
  absl::Status WaitForLocalBroker();
  std::unique_ptr<Transport> MakeTransport() const;
  // What is wrong with the socket that `status` is about, if that is why nobody answers.
  std::optional<SocketFault> FaultBehind(const absl::Status& status) const;
  // Tells people what to do when nobody answers.
  absl::Status Explain(const absl::Status& status) const;

  // Constant.
  const ClientOptions options_;
  const Address address_;
  const absl::StatusOr<std::shared_ptr<grpc::Channel>> channel_;
  const ForkGuard fork_guard_;
  const std::shared_ptr<GrpcCalls> calls_;       // any thread
  const std::shared_ptr<GrpcCalls> late_calls_;  // the session's, which ends them; any thread
  PublishNames publish_names_;                   // any thread

  Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<Session> session_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace baton::client
