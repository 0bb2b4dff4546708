// GrpcCall carries one unary call: request → command → reply → response. GrpcCalls keeps those of one
// completion queue.
//
//   waiting ──request──► posted (or refused by a full inbox, and retried) ──answer──► finishing ──► gone
//
// A call whose client went away is answered by the engine all the same; what the answer leased is given back.
// THREADS: the queue's thread.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/async_unary_call.h>

#include <chrono>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/commands.h"
#include "server/grpc/answer_charge.h"
#include "server/grpc/grpc_queue.h"
#include "server/grpc/grpc_status.h"
#include "server/loop/inbox.h"
#include "server/session/broker_facts.h"

namespace baton {

class GrpcCalls;

// What all methods have in common. Deletes itself when its call is over and every operation has come back.
class GrpcCall {
 public:
  GrpcCall(const GrpcCall&) = delete;
  GrpcCall& operator=(const GrpcCall&) = delete;
  virtual ~GrpcCall();

  void OnAnswer(absl::StatusOr<Reply> reply, AnswerCharge charge);
  void Retry();  // the inbox has room
  void OnSecond(std::chrono::steady_clock::time_point now);
  // Ends a call that waits for the engine, which will not answer any more.
  void Abandon(const absl::Status& why);

 protected:
  enum class Kind {
    kQuick,
    kWaits,  // may wait long and lease messages: a client that goes away is noticed
  };
  GrpcCall(GrpcCalls* calls, Kind kind);

  void OnRequested(bool ok);
  void OnFinished(bool ok);
  void OnDone(bool ok);

  virtual void AcceptNext() = 0;
  virtual absl::StatusOr<std::optional<Command>> Decode(CallId call) = 0;
  // Start the operation that ends with OnFinished.
  virtual void SendReply(Reply& reply) = 0;
  // The reply is not sent: Undelivered then knows what it leased.
  virtual void Decline(Reply& reply) = 0;
  virtual void SendError(const absl::Status& status) = 0;
  // What takes back an answer that did not reach the client.
  virtual std::optional<Command> Undelivered() = 0;

  GrpcCalls* const calls_;
  const Kind kind_;
  grpc::ServerContext context_;
  GrpcMemberTag<GrpcCall, &GrpcCall::OnRequested> requested_tag_{this};
  GrpcMemberTag<GrpcCall, &GrpcCall::OnFinished> finished_tag_{this};
  GrpcMemberTag<GrpcCall, &GrpcCall::OnDone> done_tag_{this};

 private:
  enum class State { kWaiting, kRefused, kPosted, kFinishing };

  absl::Status Admit();
  void PostPending();
  void Finish(absl::StatusOr<Reply> reply);
  void Returned();

  CallId id_;
  const void* connection_ = nullptr;
  ClientId client_;
  State state_ = State::kWaiting;
  std::vector<Post> pending_;
  int outstanding_ = 1;  // operations that have not come back; at first, the request
  bool undelivered_ = false;
  AnswerCharge charge_;
  std::chrono::steady_clock::time_point finishing_since_;
};

class GrpcCalls {
 public:
  // `on_gone` is called after each call that has ended.
  GrpcCalls(BrokerFacts* facts, GrpcQueue* queue, std::function<void()> on_gone)
      : facts_(facts), queue_(queue), on_gone_(std::move(on_gone)) {}

  BrokerFacts* facts() const { return facts_; }
  GrpcQueue* queue() const { return queue_; }
  bool stopping() const { return stopping_; }

  // From now on calls are refused.
  void StopAccepting() { stopping_ = true; }
  void AbandonAll(const absl::Status& why);
  void OnRoom();
  // Calls whose client does not take the answer are ended.
  void OnSecond();

  // Whose calls these are, by connection; one that has none is forgotten.
  struct Client {
    ClientId id;
    size_t calls = 0;
  };
  const Client& Add(CallId id, GrpcCall* call, const void* connection);
  void Remove(CallId id, const void* connection);
  void AddRefused(CallId id) { refused_.push_back(id); }
  void OnAnswer(CallId id, absl::StatusOr<Reply> reply, AnswerCharge charge);
  size_t size() const { return calls_.size(); }

  // Objects that exist, those that wait for a client's request included.
  void NoteBorn() { ++live_; }
  void NoteGone() { --live_; }
  size_t live() const { return live_; }

 private:
  BrokerFacts* const facts_;
  GrpcQueue* const queue_;
  const std::function<void()> on_gone_;
  absl::flat_hash_map<CallId, GrpcCall*> calls_;      // each deletes itself, after Remove
  absl::flat_hash_map<const void*, Client> clients_;  // by connection
  std::vector<CallId> refused_;
  size_t live_ = 0;
  bool stopping_ = false;
};

// `Method` is as server/grpc/broker_methods.h explains, kRequest the generated service's Request… function.
template <class Service, class Method, auto kRequest>
class GrpcUnaryCall final : public GrpcCall {
 public:
  static void Accept(GrpcCalls* calls, Service* service) { (new GrpcUnaryCall(calls, service))->Wait(); }

 private:
  static constexpr bool kTakesBack = requires(Method method) { method.Undelivered(); };

  GrpcUnaryCall(GrpcCalls* calls, Service* service)
      : GrpcCall(calls, kTakesBack ? Kind::kWaits : Kind::kQuick), service_(service) {}

  void Wait() {
    if (kind_ == Kind::kWaits) context_.AsyncNotifyWhenDone(&done_tag_);
    grpc::ServerCompletionQueue* queue = calls_->queue()->get();
    (service_->*kRequest)(&context_, &request_, &writer_, queue, queue, &requested_tag_);
  }

  void AcceptNext() override { Accept(calls_, service_); }
  absl::StatusOr<std::optional<Command>> Decode(CallId call) override {
    return method_.Decode(request_, call, *calls_->facts());
  }
  void SendReply(Reply& reply) override {
    typename Method::Response response;
    const absl::Status status = method_.Encode(reply, *calls_->facts(), &response);
    writer_.Finish(response, ToGrpcStatus(status), &finished_tag_);
  }
  void Decline(Reply& reply) override {
    if constexpr (kTakesBack) {
      typename Method::Response response;
      method_.Encode(reply, *calls_->facts(), &response).IgnoreError();
    }
  }
  void SendError(const absl::Status& status) override {
    writer_.FinishWithError(ToGrpcStatus(status), &finished_tag_);
  }
  std::optional<Command> Undelivered() override {
    if constexpr (kTakesBack) return method_.Undelivered();
    return std::nullopt;
  }

  Service* const service_;
  Method method_;
  typename Method::Request request_;
  grpc::ServerAsyncResponseWriter<typename Method::Response> writer_{&context_};
};

}  // namespace baton
