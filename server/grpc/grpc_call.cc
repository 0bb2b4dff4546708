#include "server/grpc/grpc_call.h"

#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "server/grpc/grpc_peer.h"

namespace baton {
namespace {

// Brings the engine's answer to the queue's thread.
class Answerer final : public CallRecipient {
 public:
  Answerer(GrpcCalls* calls, CallId id) : calls_(calls), id_(id) {}
  // What is leased cannot be dropped here: that it was not delivered is for the call to say.
  void Answer(absl::StatusOr<Reply> reply) override {
    AnswerCharge charge;
    if (reply.ok()) charge = AnswerCharge(&calls_->facts()->answer_bytes, *reply);
    if (charge.over() && !std::holds_alternative<ReceiveReply>(*reply)) {
      reply = AnswerCharge::NoRoom();
      charge.Release();
    }
    calls_->queue()->Post(
        [calls = calls_, id = id_, reply = std::move(reply), charge = std::move(charge)]() mutable {
          calls->OnAnswer(id, std::move(reply), std::move(charge));
        });
  }

 private:
  GrpcCalls* const calls_;
  const CallId id_;
};

}  // namespace

GrpcCall::GrpcCall(GrpcCalls* calls, Kind kind) : calls_(calls), kind_(kind) { calls_->NoteBorn(); }
GrpcCall::~GrpcCall() { calls_->NoteGone(); }

void GrpcCall::OnRequested(bool ok) {
  if (!ok) {  // the server shuts down; then done_tag_ does not come
    delete this;
    return;
  }
  if (!calls_->stopping()) AcceptNext();
  if (kind_ == Kind::kWaits) ++outstanding_;  // done_tag_
  id_ = calls_->facts()->NextCall();
  connection_ = ConnectionOf(context_);
  if (absl::Status admitted = Admit(); !admitted.ok()) {
    Finish(admitted);
  } else if (auto command = Decode(id_); !command.ok()) {
    Finish(command.status());
  } else if (!command->has_value()) {
    Finish(Reply(Done()));
  } else {
    std::visit(
        [this](auto& typed) {
          if constexpr (requires { typed.client; }) typed.client = client_;
        },
        **command);
    pending_.push_back({.command = **std::move(command),
                        .recipient = std::make_shared<Answerer>(calls_, id_),
                        .client = client_});
    PostPending();
  }
  Returned();
}

// A connection may have as many calls as are free besides: so one alone takes half of them, and whoever comes
// late finds room.
absl::Status GrpcCall::Admit() {
  BrokerFacts* facts = calls_->facts();
  const size_t calls_max = facts->calls_max * (kind_ == Kind::kWaits ? 1 : 2);
  const size_t others = calls_->size();
  const GrpcCalls::Client& client = calls_->Add(id_, this, connection_);
  client_ = client.id;
  if (calls_->stopping()) return BrokerStopping();
  if (client.calls == 1 ? others < calls_max : client.calls + others <= calls_max) return absl::OkStatus();
  facts->NoteIncident({.event = "as many calls are under way as there may be (option sessions_max)",
                       .peer = PeerOf(context_),
                       .done = "refused a call"});
  return MakeError(absl::StatusCode::kResourceExhausted, reason::kBrokerBusy,
                   fmt::format("{} calls are under way, {} of them of this connection, and there may be {}: "
                               "try again shortly",
                               others, client.calls - 1, calls_max));
}

void GrpcCall::PostPending() {
  const bool taken = calls_->facts()->inbox->TryPost(pending_);
  state_ = taken ? State::kPosted : State::kRefused;
  if (!taken) calls_->AddRefused(id_);
}

void GrpcCall::Retry() {
  if (state_ == State::kRefused) PostPending();
}

void GrpcCall::OnAnswer(absl::StatusOr<Reply> reply, AnswerCharge charge) {
  if (state_ != State::kPosted) return;
  if (charge.over()) {
    calls_->facts()->NoteIncident({.event = "answers that clients do not take leave no room for others",
                                   .peer = PeerOf(context_),
                                   .done = "refused a call"});
    if (reply.ok()) {
      Decline(*reply);
      undelivered_ = true;
      reply = AnswerCharge::NoRoom();
    }
    charge.Release();
  }
  charge_ = std::move(charge);
  Finish(std::move(reply));
}

void GrpcCall::OnSecond(std::chrono::steady_clock::time_point now) {
  if (state_ != State::kFinishing) return;
  // Who takes it slowly may, unless others wait for the room.
  const bool wanted = calls_->facts()->answer_bytes.IsHalfFull();
  const auto time_max = wanted ? kOutboxStallMax : SessionOutbox::TakingTimeMax(charge_.bytes());
  if (now - finishing_since_ <= time_max) return;
  calls_->facts()->NoteIncident(
      {.event = "a client does not take an answer", .peer = PeerOf(context_), .done = "ended the call"});
  context_.TryCancel();
}

void GrpcCall::Finish(absl::StatusOr<Reply> reply) {
  state_ = State::kFinishing;
  finishing_since_ = std::chrono::steady_clock::now();
  pending_.clear();
  ++outstanding_;
  if (reply.ok()) {
    SendReply(*reply);
  } else {
    SendError(reply.status());
  }
}

void GrpcCall::Abandon(const absl::Status& why) {
  if (state_ == State::kPosted || state_ == State::kRefused) Finish(why);
}

// "ok" says that the answer was handed to a connection that lived; only OnDone knows that the client was
// there for it.
void GrpcCall::OnFinished(bool ok) {
  undelivered_ = undelivered_ || !ok;
  Returned();
}

void GrpcCall::OnDone(bool /*ok*/) {
  if (context_.IsCancelled()) {
    undelivered_ = true;
    if (state_ == State::kPosted) calls_->facts()->inbox->PostAlways(CancelCall{id_}, client_);
    if (state_ == State::kRefused) Finish(absl::CancelledError("the call was cancelled"));
  }
  Returned();
}

void GrpcCall::Returned() {
  const bool waits_for_answer = state_ == State::kPosted || state_ == State::kRefused;
  if (--outstanding_ > 0 || waits_for_answer) return;
  if (undelivered_) {
    if (auto command = Undelivered()) calls_->facts()->inbox->PostAlways(*std::move(command), client_);
  }
  calls_->Remove(id_, connection_);
  delete this;
}

const GrpcCalls::Client& GrpcCalls::Add(CallId id, GrpcCall* call, const void* connection) {
  calls_.emplace(id, call);
  Client& client = clients_[connection];
  if (client.calls++ == 0) client.id = ClientId(id.value());  // as unique
  return client;
}

void GrpcCalls::Remove(CallId id, const void* connection) {
  calls_.erase(id);
  const auto client = clients_.find(connection);
  if (--client->second.calls == 0) clients_.erase(client);
  on_gone_();
}

void GrpcCalls::OnAnswer(CallId id, absl::StatusOr<Reply> reply, AnswerCharge charge) {
  const auto found = calls_.find(id);
  if (found != calls_.end()) found->second->OnAnswer(std::move(reply), std::move(charge));
}

void GrpcCalls::OnSecond() {
  const auto now = std::chrono::steady_clock::now();
  for (const auto& [id, call] : calls_) call->OnSecond(now);  // deletes nothing: that comes with OnFinished
}

void GrpcCalls::AbandonAll(const absl::Status& why) {
  std::vector<GrpcCall*> calls;
  calls.reserve(calls_.size());
  for (const auto& [id, call] : calls_) calls.push_back(call);
  for (GrpcCall* call : calls) call->Abandon(why);  // deletes nothing: that comes with OnFinished
}

void GrpcCalls::OnRoom() {
  for (const CallId id : std::exchange(refused_, {})) {
    const auto found = calls_.find(id);
    if (found != calls_.end()) found->second->Retry();
  }
}

}  // namespace baton
