#include "client/client_core.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <thread>
#include <utility>

#include "base/error.h"
#include "client/transport/grpc_channel.h"
#include "client/transport/grpc_transport.h"
#include "client/transport/local_transport.h"
#include "local/handshake.h"

namespace baton::client {
namespace {

constexpr size_t kClientNameMax = 128;
// One attempt to reach a broker, when nobody wants to wait longer.
constexpr std::chrono::seconds kAttempt{5};
constexpr std::chrono::milliseconds kProbePause{20};

std::string NameOrDefault(const std::string& name) {
  std::string chosen =
      name.empty() ? fmt::format("{} {}", ::program_invocation_short_name, ::getpid()) : name;
  if (chosen.size() > kClientNameMax) chosen.resize(kClientNameMax);
  return chosen;
}

// Never 0.
uint64_t RandomProducerId() {
  std::random_device device;
  const uint64_t id = (uint64_t{device()} << 32) | device();
  return id == 0 ? 1 : id;
}

absl::Status ClosedError() {
  return MakeError(absl::StatusCode::kFailedPrecondition, reason::kClientClosed, "the client is closed");
}

// Somebody answered, if only to refuse.
bool IsAnswer(const absl::Status& status) {
  return status.code() != absl::StatusCode::kUnavailable &&
         status.code() != absl::StatusCode::kDeadlineExceeded;
}

}  // namespace

ClientCore::ClientCore(ClientOptions options, Address address,
                       absl::StatusOr<std::shared_ptr<grpc::Channel>> channel)
    : options_(std::move(options)),
      address_(std::move(address)),
      channel_(std::move(channel)),
      calls_(std::make_shared<GrpcCalls>(channel_)),
      late_calls_(std::make_shared<GrpcCalls>(channel_)),
      publish_names_(RandomProducerId) {}

absl::StatusOr<std::shared_ptr<ClientCore>> ClientCore::Connect(ClientOptions options) {
  auto address = ResolveAddress(options.url);
  if (!address.ok()) return address.status();
  auto channel = MakeChannel(*address, options);
  const bool rings_will_do =
      address->carrier == Address::Carrier::kLocal && ReasonOf(channel.status()) == reason::kClientForked;
  if (!channel.ok() && !rings_will_do) return channel.status();
  auto core = std::make_shared<ClientCore>(std::move(options), *std::move(address), std::move(channel));
  if (absl::Status there = core->WaitForBroker(); !there.ok()) return there;
  return core;
}

std::unique_ptr<Transport> ClientCore::MakeTransport() const {
  if (address_.carrier == Address::Carrier::kLocal) return std::make_unique<LocalTransport>(address_.target);
  return std::make_unique<GrpcTransport>(*channel_);
}

// Whether somebody listens is all there is to know before the first session or call.
absl::Status ClientCore::WaitForLocalBroker() {
  const SteadyTime deadline = DeadlineAfter(options_.connect_timeout);
  while (true) {
    const absl::Status there = ProbeLocally(address_.target);
    if (there.ok()) return there;
    if (IsAnswer(there) || std::chrono::steady_clock::now() >= deadline) return Explain(there);
    std::this_thread::sleep_for(kProbePause);
  }
}

absl::Status ClientCore::WaitForBroker() {
  if (address_.carrier == Address::Carrier::kLocal) return WaitForLocalBroker();
  const auto ask = [this] {
    return calls_->Call(&v1::Admin::Stub::GetStatus, v1::GetStatusRequest(), kAttempt).status();
  };
  absl::Status status = ask();
  if (!IsAnswer(status) && options_.connect_timeout.count() > 0 &&
      calls_->WaitForConnection(options_.connect_timeout)) {
    status = ask();
  }
  // Any answer will do: what the broker refuses, the calls will say.
  const bool there = IsAnswer(status) && status.code() != absl::StatusCode::kUnauthenticated;
  return there ? absl::OkStatus() : Explain(status);
}

std::optional<SocketFault> ClientCore::FaultBehind(const absl::Status& status) const {
  if (!absl::IsUnavailable(status)) return std::nullopt;  // late: somebody has taken the connection
  if (address_.carrier == Address::Carrier::kGrpcUnix) return FindSocketFault(address_.target);
  if (address_.carrier != Address::Carrier::kLocal) return std::nullopt;
  // Without a reason it is gRPC that speaks, of the other socket.
  const bool is_of_call = ReasonOf(status).empty();
  return FindSocketFault(is_of_call ? GrpcSocketBeside(address_) : address_.target);
}

absl::Status ClientCore::Explain(const absl::Status& status) const {
  const std::string reason = ReasonOf(status);
  const bool is_ours = reason.empty() || reason == reason::kBrokerUnreachable;
  if (IsAnswer(status) || !is_ours) return status;  // the broker speaks
  if (const auto fault = FaultBehind(status)) {
    return MakeError(absl::StatusCode::kUnavailable, reason::kBrokerUnreachable, Describe(*fault, address_));
  }
  if (!reason.empty()) return status;
  if (status.code() == absl::StatusCode::kDeadlineExceeded) {
    return MakeError(
        status.code(), reason::kBrokerUnreachable,
        fmt::format("the broker at {} did not answer in time ({})", url(), std::string(status.message())));
  }
  return MakeError(
      absl::StatusCode::kUnavailable, reason::kBrokerUnreachable,
      fmt::format(
          "no broker answers at {} ({}); start one with `batond`, or give the address of a running one "
          "(BATON_URL, --url)",
          url(), std::string(status.message())));
}

absl::Status ClientCore::CheckUsable() {
  if (absl::Status forked = fork_guard_.Check(); !forked.ok()) return forked;
  MutexLock lock(mutex_);
  return closed_ ? ClosedError() : absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Session>> ClientCore::OpenSession() {
  if (absl::Status usable = CheckUsable(); !usable.ok()) return usable;
  std::shared_ptr<Session> session;
  {
    MutexLock lock(mutex_);
    if (closed_) return ClosedError();
    if (session_ == nullptr) {
      SessionOptions options{.url = url(),
                             .client_name = NameOrDefault(options_.name),
                             .producer_id = RandomProducerId(),
                             .reconnect_pause_max = options_.reconnect_pause_max,
                             .on_connection = options_.on_connection};
      LateSettler::Calls late{
          .send = [calls = late_calls_, timeout = options_.call_timeout](
                      const Settlement& how,
                      const std::vector<std::string>& tokens) { return calls->Settle(how, tokens, timeout); },
          .cancel = [calls = late_calls_] { calls->Cancel(); }};
      session_ = std::make_shared<Session>(std::move(options), MakeTransport(), std::move(late));
      session_->Start();
    }
    session = session_;
  }
  if (absl::Status up = session->WaitUntilUp(DeadlineAfter(options_.call_timeout)); !up.ok())
    return Explain(up);
  return session;
}

std::string ClientCore::DescribeSession() {
  if (fork_guard_.InChild()) return "a client of the process before the fork\n";
  std::shared_ptr<Session> session;
  {
    MutexLock lock(mutex_);
    session = session_;
  }
  return session == nullptr ? fmt::format("client of {}: no session yet\n", url()) : session->Describe();
}

absl::Status ClientCore::Close() {
  const SteadyTime deadline = DeadlineAfter(options_.close_timeout);
  std::shared_ptr<Session> session;
  {
    MutexLock lock(mutex_);
    session = session_;
  }
  bool complete = true;
  if (session != nullptr && !session->OnOwnThread()) {
    for (const auto& consumer : session->consumers()) complete &= consumer->Stop(deadline).ok();
    complete &= session->window().WaitUntilEmpty(deadline);
  }
  {
    MutexLock lock(mutex_);
    closed_ = true;
  }
  if (session != nullptr) session->Close(ClosedError());
  if (complete) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kDeadlineExceeded, reason::kClientClosed,
      "the client was closed before everything was answered: some publishes may or may not be stored, and "
      "unsettled messages come back");
}

absl::StatusOr<std::vector<absl::Status>> ClientCore::Settle(const Settlement& how,
                                                             std::span<const std::string> tokens) {
  if (absl::Status usable = CheckUsable(); !usable.ok()) return usable;
  auto statuses = calls_->Settle(how, tokens, options_.call_timeout);
  if (!statuses.ok()) return Explain(statuses.status());
  return statuses;
}

}  // namespace baton::client
