// A broker's core without threads or files: decoders, engine, and a store in memory
// (tests/support/fake_store.h). Every call and frame is decided, written and answered before the next one.
// For fuzz programs: thousands of lives a second.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "server/engine/engine.h"
#include "server/grpc/admin_methods.h"
#include "server/grpc/broker_methods.h"
#include "server/loop/output_router.h"
#include "server/session/client_session.h"
#include "tests/support/fake_store.h"

namespace baton {

class FuzzCore {
 public:
  FuzzCore();

  // True: answered with OK.
  template <class Request, class Response>
  bool Call(Request request, Response& response);
  // The client says this; what it is told meanwhile is taken, and dropped.
  void Say(v1::ClientFrame frame);
  void Disconnect();

  void Advance(Duration duration);
  // The process is killed, and the rows are not what they were when the next one reads them. From then on the
  // engine may refuse to start, or stop with an error; nothing else.
  void RestartDamaged(const std::function<void(FakeStore::Rows&)>& damage);
  // The engine has stopped with an error.
  bool stopped() const { return stopped_; }

 private:
  class Waiting final : public CallRecipient {
   public:
    void Answer(absl::StatusOr<Reply> reply) override {
      BATON_CHECK(!reply_.has_value());
      reply_ = std::move(reply);
    }
    bool has_value() const { return reply_.has_value(); }
    absl::StatusOr<Reply> Take() { return std::move(*reply_); }

   private:
    std::optional<absl::StatusOr<Reply>> reply_;
  };

  void Start();
  void TakePosts();
  void ComeToRest();
  std::shared_ptr<Waiting> Ask(CallId call, Command command);

  BrokerTime time_;
  Parking parking_;
  Inbox inbox_{{}, &parking_};
  BrokerFacts facts_;
  FakeStore store_;
  std::unique_ptr<OutputRouter> router_;
  std::unique_ptr<Engine> engine_;
  std::shared_ptr<ClientSession> session_;
  Instant now_ = InstantFromMicros(1'700'000'000'000'000);
  CommitNumber written_;
  bool damaged_ = false;
  bool stopped_ = false;
};

namespace fuzz_internal {

template <class Request>
struct MethodOf;
#define BATON_FUZZ_METHOD(RequestType, MethodType) \
  template <>                                      \
  struct MethodOf<v1::RequestType> {               \
    using type = MethodType;                       \
  }
BATON_FUZZ_METHOD(PublishRequest, PublishMethod);
BATON_FUZZ_METHOD(ReceiveRequest, ReceiveMethod);
BATON_FUZZ_METHOD(AckRequest, SettleMethod<v1::AckRequest>);
BATON_FUZZ_METHOD(NackRequest, SettleMethod<v1::NackRequest>);
BATON_FUZZ_METHOD(ReleaseRequest, SettleMethod<v1::ReleaseRequest>);
BATON_FUZZ_METHOD(ExtendRequest, SettleMethod<v1::ExtendRequest>);
BATON_FUZZ_METHOD(CreateQueueRequest, CreateQueueMethod);
BATON_FUZZ_METHOD(UpdateQueueRequest, UpdateQueueMethod);
BATON_FUZZ_METHOD(DeleteQueueRequest, DeleteQueueMethod);
BATON_FUZZ_METHOD(PurgeQueueRequest, PurgeQueueMethod);
BATON_FUZZ_METHOD(ListQueuesRequest, ListQueuesMethod);
BATON_FUZZ_METHOD(ListMessagesRequest, ListMessagesMethod);
BATON_FUZZ_METHOD(GetMessageRequest, GetMessageMethod);
BATON_FUZZ_METHOD(DeleteMessageRequest, DeleteMessageMethod);
#undef BATON_FUZZ_METHOD

}  // namespace fuzz_internal

template <class Request, class Response>
bool FuzzCore::Call(Request request, Response& response) {
  if (stopped_) return false;
  typename fuzz_internal::MethodOf<Request>::type method;
  const CallId call = facts_.NextCall();
  auto decoded = method.Decode(request, call, facts_);
  if (!decoded.ok()) {
    BATON_CHECK(!ReasonOf(decoded.status()).empty()) << decoded.status();
    return false;
  }
  absl::StatusOr<Reply> reply = Reply(Done());
  if (decoded->has_value()) {
    auto answer = Ask(call, **std::move(decoded));
    // A Receive may wait for messages that do not come.
    if (!answer->has_value() && !stopped_) {
      engine_->Handle(CancelCall{call}, now_);
      ComeToRest();
    }
    if (stopped_) return false;
    BATON_CHECK(answer->has_value()) << "no answer to " << request.GetTypeName();
    reply = answer->Take();
  }
  if (!reply.ok()) {
    BATON_CHECK(!reply.status().message().empty());
    return false;
  }
  const absl::Status encoded = method.Encode(*reply, facts_, &response);
  BATON_CHECK(encoded.ok()) << encoded;
  return true;
}

}  // namespace baton
