// Unary calls and administration over gRPC, against a real broker with a real store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "base/message_id.h"
#include "tests/support/local_broker.h"

namespace baton {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<std::string> Bodies(const std::vector<v1::ReceivedMessage>& messages) {
  std::vector<std::string> bodies;
  for (const v1::ReceivedMessage& message : messages) bodies.push_back(message.body());
  return bodies;
}

v1::SettleResponse Ack(LocalBroker& broker, const std::vector<std::string>& tokens) {
  v1::AckRequest request;
  for (const std::string& token : tokens) request.add_tokens(token);
  v1::SettleResponse response;
  const grpc::Status status = broker.broker().Ack(PatientContext().get(), request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

TEST(GrpcUnary, PublishReceiveAck) {
  LocalBroker broker;
  broker.CreateQueue("orders");
  const auto published = broker.Publish("orders", {"a", "b"});
  ASSERT_THAT(published, SizeIs(2));
  EXPECT_TRUE(MessageId::FromText(published[0].message_id()).has_value()) << published[0].message_id();
  EXPECT_EQ(published[0].durability(), v1::DURABLE);

  const auto received = broker.Receive("orders", 10);
  ASSERT_THAT(Bodies(received), ElementsAre("a", "b"));
  EXPECT_EQ(received[0].message_id(), published[0].message_id());
  EXPECT_EQ(received[0].attempt(), 1u);
  EXPECT_FALSE(Ack(broker, {received[0].token()}).results(0).has_error());
  const auto again = Ack(broker, {received[0].token(), received[1].token(), "no token"});
  EXPECT_TRUE(again.results(0).has_error());
  EXPECT_FALSE(again.results(1).has_error());
  EXPECT_EQ(again.results(2).error().reason(), "TOKEN_INVALID");
}

TEST(GrpcUnary, PublishAnswersEachMessageForItself) {
  Config config;
  config.body_bytes_max = 4;
  LocalBroker broker(config);
  broker.CreateQueue("orders");
  const auto results = broker.Publish("orders", {"a", "too long", "b"});
  ASSERT_THAT(results, SizeIs(3));
  EXPECT_FALSE(results[0].has_error());
  EXPECT_EQ(results[1].error().reason(), "BODY_TOO_LARGE");
  EXPECT_THAT(results[1].error().message(), HasSubstr("body_bytes_max"));
  EXPECT_FALSE(results[2].has_error());
  EXPECT_THAT(Bodies(broker.Receive("orders", 10)), ElementsAre("a", "b"));
}

TEST(GrpcUnary, PublishUnderASequenceIsStoredOnce) {
  LocalBroker broker;
  broker.CreateQueue("orders");
  v1::PublishRequest request;
  request.set_queue("orders");
  request.set_producer_id(5);
  request.set_first_sequence(1);
  request.add_messages()->set_body("a");
  for (const bool duplicate : {false, true}) {
    v1::PublishResponse response;
    const grpc::Status status = broker.broker().Publish(PatientContext().get(), request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.results(0).duplicate(), duplicate);
  }
  EXPECT_EQ(broker.GetQueue("orders").counts().ready(), 1u);
}

TEST(GrpcUnary, ReceiveWaitsForAMessage) {
  LocalBroker broker;
  broker.CreateQueue("orders");
  auto waiting = std::async(std::launch::async, [&] { return broker.Receive("orders", 1, seconds(20)); });
  while (broker.GetQueue("orders").counts().subscriptions() == 0) std::this_thread::yield();
  broker.Publish("orders", {"a"});
  EXPECT_THAT(Bodies(waiting.get()), ElementsAre("a"));
}

TEST(GrpcUnary, ReceiveOfAnEmptyQueueIsEmptyWhenItsWaitIsOver) {
  LocalBroker broker;
  broker.CreateQueue("orders");
  EXPECT_THAT(broker.Receive("orders", 1, std::chrono::milliseconds(20)), IsEmpty());
}

TEST(GrpcUnary, ACancelledReceiveWaitsNoLongerAndTakesNothing) {
  LocalBroker broker;
  broker.CreateQueue("orders");
  auto context = PatientContext();
  v1::ReceiveRequest request;
  request.set_queue("orders");
  request.set_wait_ms(60'000);
  auto waiting = std::async(std::launch::async, [&] {
    v1::ReceiveResponse response;
    return broker.broker().Receive(context.get(), request, &response);
  });
  while (broker.GetQueue("orders").counts().subscriptions() == 0) std::this_thread::yield();
  context->TryCancel();
  EXPECT_EQ(waiting.get().error_code(), grpc::StatusCode::CANCELLED);
  broker.Publish("orders", {"a"});
  // Were it swallowed by the call that is gone, this would come as attempt 2, or not at all.
  const auto received = broker.Receive("orders", 1, seconds(20));
  ASSERT_THAT(received, SizeIs(1));
  EXPECT_EQ(received[0].attempt(), 1u);
}

// Over grpc.sock all clients have one name; their connections are told apart all the same.
TEST(GrpcUnary, OneClientWithManyCallsLeavesRoomForThoseOfOthers) {
  constexpr int kCallsMax = 64;
  Config config;
  config.sessions_max = kCallsMax;
  LocalBroker broker(config);
  broker.CreateQueue("orders");
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::future<grpc::Status>> waiting;
  v1::ReceiveRequest request;
  request.set_queue("orders");
  request.set_wait_ms(60'000);
  for (int i = 0; i < kCallsMax; ++i) {
    grpc::ClientContext* context = contexts.emplace_back(PatientContext()).get();
    waiting.push_back(std::async(std::launch::async, [&broker, context, request] {
      v1::ReceiveResponse response;
      return broker.broker().Receive(context, request, &response);
    }));
  }
  const auto is_refused = [](auto& call) { return call.wait_for(seconds(0)) == std::future_status::ready; };
  const auto refused = [&] { return std::count_if(waiting.begin(), waiting.end(), is_refused); };
  while (refused() < kCallsMax / 2 - 1) std::this_thread::yield();
  EXPECT_LE(refused(), kCallsMax / 2 + 1);

  const auto another = broker.OpenChannel();
  v1::ReceiveResponse response;
  request.set_wait_ms(0);
  const auto stub = v1::Broker::NewStub(another);
  for (int i = 0; i < 10; ++i)
    EXPECT_TRUE(stub->Receive(PatientContext().get(), request, &response).ok()) << "another connection";
  for (const auto& context : contexts) context->TryCancel();
  int busy = 0;
  for (auto& call : waiting) busy += ReasonOfRpc(call.get()) == "BROKER_BUSY" ? 1 : 0;
  EXPECT_GE(busy, kCallsMax / 2 - 1);
}

// The race itself: calls are cancelled while a message arrives for them. An answer that was on the wire
// already is lost with the client that does not want it any more, and only its lease's end brings the message
// back; every other one comes back at once.
TEST(GrpcUnary, NoMessageIsLostToACancelledReceive) {
  LocalBroker broker;
  broker.CreateQueue("orders");
  int at_once = 0;
  constexpr int kRounds = 50;
  for (int round = 0; round < kRounds; ++round) {
    auto context = PatientContext();
    v1::ReceiveRequest request;
    request.set_queue("orders");
    request.set_wait_ms(60'000);
    request.set_lease_ms(100);
    v1::ReceiveResponse response;
    auto waiting = std::async(std::launch::async,
                              [&] { return broker.broker().Receive(context.get(), request, &response); });
    while (broker.GetQueue("orders").counts().subscriptions() == 0) std::this_thread::yield();
    auto publishing =
        std::async(std::launch::async, [&] { broker.Publish("orders", {std::to_string(round)}); });
    context->TryCancel();
    publishing.get();
    const bool delivered = waiting.get().ok();
    const auto received =
        broker.Receive("orders", 1, seconds(20));  // after the lease's end, if it was delivered
    ASSERT_THAT(received, SizeIs(1)) << "round " << round;
    EXPECT_EQ(received[0].body(), std::to_string(round));
    EXPECT_LE(received[0].attempt(), 2u);
    if (!delivered && received[0].attempt() == 1) ++at_once;
    EXPECT_FALSE(Ack(broker, {received[0].token()}).results(0).has_error());
  }
  EXPECT_GT(at_once, 0) << "not one of " << kRounds << " cancelled calls gave its message back at once";
}

TEST(GrpcUnary, NackWithADelayAndExtendAndRelease) {
  LocalBroker broker;
  broker.CreateQueue("orders");
  broker.Publish("orders", {"a"});
  auto received = broker.Receive("orders", 1);
  ASSERT_THAT(received, SizeIs(1));

  v1::ExtendRequest extend;
  extend.add_tokens(received[0].token());
  extend.set_lease_ms(60'000);
  v1::SettleResponse response;
  ASSERT_TRUE(broker.broker().Extend(PatientContext().get(), extend, &response).ok());
  EXPECT_FALSE(response.results(0).has_error());

  v1::ReleaseRequest release;
  release.add_tokens(received[0].token());
  response.Clear();
  ASSERT_TRUE(broker.broker().Release(PatientContext().get(), release, &response).ok());
  EXPECT_FALSE(response.results(0).has_error());
  received = broker.Receive("orders", 1);
  ASSERT_THAT(received, SizeIs(1));
  EXPECT_EQ(received[0].attempt(), 1u);  // a release is no attempt

  v1::NackRequest nack;
  nack.add_tokens(received[0].token());
  nack.set_delay_ms(600'000);
  nack.set_reason("not today");
  response.Clear();
  ASSERT_TRUE(broker.broker().Nack(PatientContext().get(), nack, &response).ok());
  EXPECT_FALSE(response.results(0).has_error());
  EXPECT_EQ(broker.GetQueue("orders").counts().delayed(), 1u);
}

TEST(GrpcUnary, ErrorsCarryTheirReasonAndWhatToDo) {
  LocalBroker broker;
  v1::ReceiveRequest request;
  request.set_queue("nowhere");
  v1::ReceiveResponse response;
  grpc::Status status = broker.broker().Receive(PatientContext().get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOfRpc(status), "QUEUE_NOT_FOUND");
  EXPECT_THAT(status.error_message(), HasSubstr("queue create"));

  request.set_queue("no/slashes");
  status = broker.broker().Receive(PatientContext().get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOfRpc(status), "QUEUE_NAME_INVALID");

  request.set_queue("orders");
  request.set_lease_ms(1);
  status = broker.broker().Receive(PatientContext().get(), request, &response);
  EXPECT_EQ(ReasonOfRpc(status), "OUT_OF_RANGE");
}

TEST(GrpcAdmin, QueuesAreCreatedChangedListedAndDeleted) {
  LocalBroker broker;
  for (const char* name : {"c", "a", "b"}) broker.CreateQueue(name);

  v1::UpdateQueueRequest update;
  update.set_name("a");
  update.mutable_config()->set_ttl_ms(5'000);
  update.mutable_config()->set_durability(v1::RELAXED);
  update.set_paused(true);
  v1::Queue queue;
  ASSERT_TRUE(broker.admin().UpdateQueue(PatientContext().get(), update, &queue).ok());
  EXPECT_EQ(queue.config().ttl_ms(), 5'000u);
  EXPECT_EQ(queue.config().durability(), v1::RELAXED);
  EXPECT_EQ(queue.config().attempts_max(), kAttemptsDefaultMax);
  EXPECT_TRUE(queue.paused());

  std::vector<std::string> names;
  v1::ListQueuesRequest list;
  list.set_page_size(2);
  do {
    v1::ListQueuesResponse page;
    ASSERT_TRUE(broker.admin().ListQueues(PatientContext().get(), list, &page).ok());
    for (const v1::Queue& listed : page.queues()) names.push_back(listed.name());
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
  EXPECT_THAT(names, ElementsAre("a", "b", "c"));

  broker.Publish("b", {"x"});
  v1::DeleteQueueRequest remove;
  remove.set_name("b");
  remove.set_only_if_empty(true);
  v1::DeleteQueueResponse removed;
  EXPECT_EQ(ReasonOfRpc(broker.admin().DeleteQueue(PatientContext().get(), remove, &removed)),
            "QUEUE_NOT_EMPTY");
  remove.set_only_if_empty(false);
  ASSERT_TRUE(broker.admin().DeleteQueue(PatientContext().get(), remove, &removed).ok());
  EXPECT_EQ(removed.messages(), 1u);

  v1::CreateQueueRequest create;
  create.set_name("a");
  const grpc::Status exists = broker.admin().CreateQueue(PatientContext().get(), create, &queue);
  EXPECT_EQ(exists.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  create.set_name("d");
  create.mutable_config()->set_durability(static_cast<v1::Durability>(4));
  EXPECT_EQ(ReasonOfRpc(broker.admin().CreateQueue(PatientContext().get(), create, &queue)),
            "QUEUE_CONFIG_INVALID");
}

TEST(GrpcAdmin, MessagesAreListedPageByPageShownAndDeleted) {
  LocalBroker broker;
  broker.CreateQueue("orders");
  broker.Publish("orders", {"a", "b", "c", "d", "e"});
  std::vector<v1::Message> messages;
  v1::ListMessagesRequest list;
  list.set_queue("orders");
  list.set_page_size(2);
  do {
    v1::ListMessagesResponse page;
    const grpc::Status status = broker.admin().ListMessages(PatientContext().get(), list, &page);
    ASSERT_TRUE(status.ok()) << status.error_message();
    for (const v1::Message& message : page.messages()) messages.push_back(message);
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
  ASSERT_THAT(messages, SizeIs(5));
  EXPECT_EQ(messages[4].body(), "e");
  EXPECT_EQ(messages[4].state(), v1::READY);

  v1::GetMessageRequest get;
  get.set_message_id(messages[2].message_id());
  v1::Message message;
  ASSERT_TRUE(broker.admin().GetMessage(PatientContext().get(), get, &message).ok());
  EXPECT_EQ(message.body(), "c");
  v1::DeleteMessageRequest remove;
  remove.set_message_id(messages[2].message_id());
  v1::DeleteMessageResponse removed;
  ASSERT_TRUE(broker.admin().DeleteMessage(PatientContext().get(), remove, &removed).ok());
  EXPECT_EQ(ReasonOfRpc(broker.admin().GetMessage(PatientContext().get(), get, &message)),
            "MESSAGE_NOT_FOUND");
  get.set_message_id("xyz");
  EXPECT_EQ(broker.admin().GetMessage(PatientContext().get(), get, &message).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);

  v1::PurgeQueueRequest purge;
  purge.set_name("orders");
  v1::PurgeQueueResponse purged;
  ASSERT_TRUE(broker.admin().PurgeQueue(PatientContext().get(), purge, &purged).ok());
  EXPECT_EQ(purged.messages(), 4u);
}

TEST(GrpcAdmin, APageTokenThatNoAnswerGaveIsRefused) {
  LocalBroker broker;
  v1::QueueConfig in_memory;
  in_memory.set_durability(v1::MEMORY);
  broker.CreateQueue("durable");
  broker.CreateQueue("memory", in_memory);
  for (const std::string queue : {"durable", "memory"}) {
    broker.Publish(queue, {"a", "b", "c"});
    v1::ListMessagesRequest list;
    list.set_queue(queue);
    list.set_page_size(1);
    v1::ListMessagesResponse page;
    ASSERT_TRUE(broker.admin().ListMessages(PatientContext().get(), list, &page).ok());
    const std::string token = page.next_page_token();
    ASSERT_EQ(token.size(), 50u);
    std::string of_another = token;
    of_another[9] = token[9] == '0' ? '1' : '0';

    for (const std::string& made_up :
         {std::string("zz"), token.substr(0, 10), token.substr(0, 48), token + "00",
          token + std::string(60, '0'), token + std::string(60, 'f'), of_another, std::string(1'000, 'f')}) {
      list.set_page_token(made_up);
      EXPECT_EQ(broker.admin().ListMessages(PatientContext().get(), list, &page).error_code(),
                grpc::StatusCode::INVALID_ARGUMENT)
          << made_up;
    }
    list.set_page_token(token);
    ASSERT_TRUE(broker.admin().ListMessages(PatientContext().get(), list, &page).ok());
    EXPECT_EQ(page.messages(0).body(), "b");
  }
}

TEST(GrpcAdmin, StatusDescribesTheBroker) {
  LocalBroker broker;
  broker.CreateQueue("orders");
  broker.Publish("orders", {"abc"});
  RawSession session(broker);
  v1::BrokerStatus status;
  ASSERT_TRUE(broker.admin().GetStatus(PatientContext().get(), v1::GetStatusRequest(), &status).ok());
  EXPECT_EQ(status.version(), "test");
  EXPECT_EQ(status.queues(), 1u);
  EXPECT_EQ(status.messages(), 1u);
  EXPECT_EQ(status.bytes(), 3u);
  EXPECT_EQ(status.sessions(), 1u);
  ASSERT_EQ(status.session_list_size(), 1);
  EXPECT_EQ(status.session_list(0).client_name(), "test");
  EXPECT_GT(status.commits(), 0u);
  EXPECT_THAT(status.listening(), ElementsAre(HasSubstr("grpc.sock"), HasSubstr("baton.sock")));
}

}  // namespace
}  // namespace baton
