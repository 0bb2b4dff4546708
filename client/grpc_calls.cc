#include "client/grpc_calls.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "client/session/convert.h"
#include "client/transport/grpc_status.h"

namespace baton::client {
namespace {

constexpr std::chrono::milliseconds kReconnectMax{1'000};
constexpr std::chrono::milliseconds kReconnectStep{20};
// Nobody has heard from the broker for so long: then it is asked before it is told something.
constexpr std::chrono::milliseconds kIdleMax{100};

gpr_timespec After(std::chrono::milliseconds timeout) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(timeout.count(), GPR_TIMESPAN));
}

// What the broker says has a reason in its details: without any it is gRPC that speaks.
bool IsOfGrpc(const grpc::Status& status, grpc::StatusCode code) {
  return status.error_code() == code && status.error_details().empty();
}
bool IsLost(const grpc::Status& status) { return IsOfGrpc(status, grpc::StatusCode::UNAVAILABLE); }
bool IsLate(const grpc::Status& status) { return IsOfGrpc(status, grpc::StatusCode::DEADLINE_EXCEEDED); }
bool WasCancelled(const grpc::Status& status) { return IsOfGrpc(status, grpc::StatusCode::CANCELLED); }

absl::Status AnswerLost(const grpc::Status& status) {
  return MakeError(
      static_cast<absl::StatusCode>(status.error_code()), reason::kAnswerLost,
      fmt::format("the broker's answer did not come ({}): what was asked for may or may not have "
                  "been carried out",
                  status.error_message()));
}

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

GrpcCalls::GrpcCalls(absl::StatusOr<std::shared_ptr<grpc::Channel>> channel)
    : channel_(std::move(channel)),
      broker_(channel_.ok() ? v1::Broker::NewStub(*channel_) : nullptr),
      admin_(channel_.ok() ? v1::Admin::NewStub(*channel_) : nullptr) {}

bool GrpcCalls::WaitForConnection(std::chrono::milliseconds timeout) {
  return (*channel_)->WaitForConnected(After(timeout));
}

// In small steps, because Cancel cannot end a wait.
bool GrpcCalls::Reconnect(gpr_timespec deadline) {
  deadline = gpr_time_min(deadline, After(kReconnectMax));
  while (!IsCancelled() && gpr_time_cmp(gpr_now(GPR_CLOCK_MONOTONIC), deadline) < 0) {
    if ((*channel_)->WaitForConnected(gpr_time_min(deadline, After(kReconnectStep)))) return true;
  }
  return false;
}

bool GrpcCalls::IsCancelled() {
  MutexLock lock(mutex_);
  return cancelled_;
}

absl::Status GrpcCalls::Run(Effect effect, std::chrono::milliseconds timeout, const Attempt& attempt) {
  const gpr_timespec deadline = After(timeout);
  // After a failure nobody but a waiting call polls the channel's socket, and calls do not wait: a connection
  // that could be made again would not be.
  if ((*channel_)->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_TRANSIENT_FAILURE) Reconnect(deadline);
  if (effect != Effect::kNone) {
    if (const grpc::Status reached = Reach(deadline); !reached.ok()) return FromGrpc(reached);
  }
  const grpc::Status first = Try(attempt, deadline);
  grpc::Status status = first;
  if (IsLost(first) && effect != Effect::kTwice && Reconnect(deadline)) status = Try(attempt, deadline);
  // A refusal of the second attempt says nothing about the first.
  if (effect != Effect::kNone && !status.ok() && (IsLost(first) || IsLate(first))) return AnswerLost(first);
  return FromGrpc(status);
}

grpc::Status GrpcCalls::Try(const Attempt& attempt, gpr_timespec deadline) {
  grpc::ClientContext context;
  context.set_deadline(deadline);
  {
    MutexLock lock(mutex_);
    if (cancelled_) return {grpc::StatusCode::CANCELLED, "the client is closed"};
    under_way_.insert(&context);
  }
  grpc::Status status = attempt(context);
  if (!IsLost(status) && !IsLate(status)) {
    last_answer_.store(std::chrono::steady_clock::now(), std::memory_order_relaxed);
  }
  MutexLock lock(mutex_);
  under_way_.erase(&context);
  return status;
}

// There is a connection. While nothing is called nobody looks at the socket, and the end of one is noticed
// late; a call that changes nothing finds out, and makes a new one. What keeps that from being made is known
// to have come before the call that matters.
grpc::Status GrpcCalls::Reach(gpr_timespec deadline) {
  const auto idle = std::chrono::steady_clock::now() - last_answer_.load(std::memory_order_relaxed);
  const bool connected = (*channel_)->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_READY;
  if (connected && idle < kIdleMax) return grpc::Status::OK;
  const Attempt ask = [this](grpc::ClientContext& context) {
    v1::BrokerStatus response;
    return admin_->GetStatus(&context, v1::GetStatusRequest(), &response);
  };
  grpc::Status status = Try(ask, deadline);
  if (IsLost(status) && connected && Reconnect(deadline)) status = Try(ask, deadline);
  const bool reached = !IsLost(status) && !IsLate(status) && !WasCancelled(status);
  return reached ? grpc::Status::OK : status;
}

void GrpcCalls::Cancel() {
  MutexLock lock(mutex_);  // also over TryCancel: a call that ends takes its context away
  cancelled_ = true;
  for (grpc::ClientContext* context : under_way_) context->TryCancel();
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
