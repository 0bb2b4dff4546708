// The whole life of a message over the wire, restarts included: every arrow of the life cycle, against a real
// broker with a real store. What can go wrong with the input is in broker_bad_input_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <thread>

#include "tests/support/local_broker.h"

namespace baton {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<std::string> Bodies(const std::vector<v1::ReceivedMessage>& messages) {
  std::vector<std::string> bodies;
  for (const v1::ReceivedMessage& message : messages) bodies.push_back(message.body());
  return bodies;
}

std::map<std::string, std::string> Named(const v1::Headers& headers) {
  std::map<std::string, std::string> named;
  for (const v1::Header& header : headers.headers()) named[header.name()] = header.value();
  return named;
}

class EndToEnd : public testing::Test {
 protected:
  // The message's id.
  std::string Publish(const std::string& queue, const v1::NewMessage& message) {
    v1::PublishRequest request;
    request.set_queue(queue);
    *request.add_messages() = message;
    v1::PublishResponse response;
    const grpc::Status status = broker.broker().Publish(PatientContext().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_FALSE(response.results(0).has_error()) << response.results(0).error().message();
    return response.results(0).message_id();
  }
  // The next message, or a failed test.
  v1::ReceivedMessage Take(const std::string& queue) {
    const auto received = broker.Receive(queue, 1, seconds(20));
    if (received.size() == 1) return received[0];
    ADD_FAILURE() << "nothing came from " << queue;
    return {};
  }
  // One token's answer: its reason, "" = done.
  template <class Request>
  std::string Settle(grpc::Status (v1::Broker::Stub::*method)(grpc::ClientContext*, const Request&,
                                                              v1::SettleResponse*),
                     const std::string& token, const std::function<void(Request&)>& change = nullptr) {
    Request request;
    request.add_tokens(token);
    if (change) change(request);
    v1::SettleResponse response;
    const grpc::Status status = (broker.broker().*method)(PatientContext().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.results(0).error().reason();
  }
  std::string Ack(const std::string& token) { return Settle<v1::AckRequest>(&v1::Broker::Stub::Ack, token); }
  std::string Nack(const std::string& token, const std::function<void(v1::NackRequest&)>& change = nullptr) {
    return Settle<v1::NackRequest>(&v1::Broker::Stub::Nack, token, change);
  }
  v1::Queue Update(const std::string& queue, const std::function<void(v1::UpdateQueueRequest&)>& change) {
    v1::UpdateQueueRequest request;
    request.set_name(queue);
    change(request);
    v1::Queue updated;
    const grpc::Status status = broker.admin().UpdateQueue(PatientContext().get(), request, &updated);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return updated;
  }
  uint64_t Purge(const std::string& queue) {
    v1::PurgeQueueRequest request;
    request.set_name(queue);
    v1::PurgeQueueResponse response;
    EXPECT_TRUE(broker.admin().PurgeQueue(PatientContext().get(), request, &response).ok());
    return response.messages();
  }
  grpc::Status Show(const std::string& id, v1::Message* message) {
    v1::GetMessageRequest request;
    request.set_message_id(id);
    return broker.admin().GetMessage(PatientContext().get(), request, message);
  }
  std::vector<v1::Message> List(const std::string& queue, v1::MessageState state) {
    v1::ListMessagesRequest request;
    request.set_queue(queue);
    request.set_state(state);
    v1::ListMessagesResponse response;
    EXPECT_TRUE(broker.admin().ListMessages(PatientContext().get(), request, &response).ok());
    return {response.messages().begin(), response.messages().end()};
  }
  // Until the queue is as `enough` says: time passes, nobody is waited for.
  void AwaitCounts(const std::string& queue, const std::function<bool(const v1::QueueCounts&)>& enough) {
    const auto end = std::chrono::steady_clock::now() + seconds(20);
    while (!enough(broker.GetQueue(queue).counts())) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << broker.GetQueue(queue).counts().ShortDebugString();
      std::this_thread::yield();
    }
  }

  LocalBroker broker;
};

TEST_F(EndToEnd, FromPublishThroughNacksAndTheDeadLetterQueueToTheAckOverThreeRestarts) {
  broker.CreateQueue("graves");
  v1::QueueConfig config;
  config.set_attempts_max(2);
  config.set_dead_letter_queue("graves");
  broker.CreateQueue("orders", config);
  v1::NewMessage fresh;
  fresh.set_body("hello");
  fresh.set_priority(7);
  fresh.mutable_headers()->add_headers()->set_name("kind");
  fresh.mutable_headers()->mutable_headers(0)->set_value("order");
  const std::string id = Publish("orders", fresh);

  v1::ReceivedMessage message = Take("orders");
  EXPECT_EQ(message.message_id(), id);
  EXPECT_EQ(message.attempt(), 1u);
  EXPECT_FALSE(message.redelivered());
  EXPECT_EQ(Nack(message.token(),
                 [](v1::NackRequest& nack) {
                   nack.set_delay_ms(400);
                   nack.set_reason("not today");
                 }),
            "");
  EXPECT_THAT(broker.Receive("orders", 1), IsEmpty()) << "before its delay is over";
  broker.Restart();
  v1::Message waiting;
  ASSERT_TRUE(Show(id, &waiting).ok());
  EXPECT_EQ(waiting.attempts(), 1u);
  EXPECT_EQ(waiting.last_reason(), "not today");

  message = Take("orders");
  EXPECT_EQ(message.message_id(), id);
  EXPECT_EQ(message.attempt(), 2u);
  EXPECT_EQ(Nack(message.token(), [](v1::NackRequest& nack) { nack.set_reason("no such customer"); }), "");
  EXPECT_EQ(broker.GetQueue("orders").counts().dead_lettered(), 1u);
  broker.Restart();

  message = Take("graves");
  EXPECT_EQ(message.message_id(), id) << "an id never changes";
  EXPECT_EQ(message.body(), "hello");
  EXPECT_EQ(message.priority(), 7u);
  EXPECT_EQ(message.attempt(), 1u) << "attempts start again";
  auto headers = Named(message.headers());
  EXPECT_EQ(headers["kind"], "order");
  EXPECT_EQ(headers["baton-dead-letter-queue"], "orders");
  EXPECT_EQ(headers["baton-dead-letter-reason"], "attempts used up; last: nack");
  EXPECT_EQ(headers["baton-dead-letter-attempts"], "2");
  EXPECT_EQ(headers["baton-dead-letter-last-reason"], "no such customer");
  EXPECT_FALSE(headers["baton-dead-letter-unix-ms"].empty());
  EXPECT_EQ(Ack(message.token()), "");
  EXPECT_EQ(Ack(message.token()), "MESSAGE_NOT_FOUND");
  broker.Restart();
  v1::Message gone;
  EXPECT_EQ(ReasonOfRpc(Show(id, &gone)), "MESSAGE_NOT_FOUND");
  EXPECT_THAT(broker.Receive("graves", 1), IsEmpty());
}

TEST_F(EndToEnd, AMessageRejectedByItsConsumerIsDeadLetteredAtOnceAndParkedWithoutAQueueForIt) {
  broker.CreateQueue("orders");
  const std::string id = Publish("orders", {});
  EXPECT_EQ(Nack(Take("orders").token(),
                 [](v1::NackRequest& nack) {
                   nack.set_dead_letter(true);
                   nack.set_reason("broken");
                 }),
            "");
  broker.Restart();
  ASSERT_THAT(List("orders", v1::STATE_PARKED), SizeIs(1));
  EXPECT_EQ(List("orders", v1::STATE_PARKED)[0].message_id(), id);
  EXPECT_EQ(List("orders", v1::STATE_PARKED)[0].last_reason(), "rejected by the consumer: broken");
  EXPECT_THAT(broker.Receive("orders", 1), IsEmpty());

  v1::DeleteMessageRequest remove;
  remove.set_message_id(id);
  v1::DeleteMessageResponse removed;
  EXPECT_TRUE(broker.admin().DeleteMessage(PatientContext().get(), remove, &removed).ok());
  EXPECT_EQ(broker.GetQueue("orders").counts().parked(), 0u);
}

TEST_F(EndToEnd, AMessagesTtlEndsItInThePausedQueueAndOverARestart) {
  broker.CreateQueue("graves");
  v1::QueueConfig config;
  config.set_expired(v1::DEAD_LETTERED);
  config.set_dead_letter_queue("graves");
  broker.CreateQueue("orders", config);
  Update("orders", [](v1::UpdateQueueRequest& update) { update.set_paused(true); });
  v1::NewMessage fresh;
  fresh.set_ttl_ms(50);
  fresh.set_body("short-lived");
  Publish("orders", fresh);
  fresh.set_body("delayed for most of its life");
  fresh.set_delay_ms(40);
  Publish("orders", fresh);
  broker.Restart();
  for (int i = 0; i < 2; ++i) {
    const v1::ReceivedMessage message = Take("graves");
    EXPECT_EQ(Named(message.headers())["baton-dead-letter-reason"], "expired");
    EXPECT_EQ(Ack(message.token()), "");
  }
  EXPECT_EQ(broker.GetQueue("orders").counts().ready(), 0u);
  EXPECT_EQ(broker.GetQueue("orders").counts().delayed(), 0u);
}

TEST_F(EndToEnd, AQueuesTtlIsADefaultAndABoundForItsMessages) {
  v1::QueueConfig config;
  config.set_ttl_ms(50);
  broker.CreateQueue("orders", config);
  Publish("orders", {});
  v1::NewMessage longer;
  longer.set_ttl_ms(600'000);
  Publish("orders", longer);
  AwaitCounts("orders", [](const v1::QueueCounts& counts) { return counts.expired() == 2; });
  EXPECT_EQ(broker.GetQueue("orders").counts().ready(), 0u);

  Update("orders", [](v1::UpdateQueueRequest& update) { update.mutable_config()->set_ttl_ms(0); });
  Publish("orders", longer);
  EXPECT_EQ(Ack(Take("orders").token()), "");
}

TEST_F(EndToEnd, PurgeTakesMessagesInEveryState) {
  v1::QueueConfig config;
  config.set_attempts_max(1);
  config.set_exhausted(v1::PARKED);
  broker.CreateQueue("orders", config);
  Publish("orders", {});
  EXPECT_EQ(Nack(Take("orders").token()), "");
  Publish("orders", {});
  const std::string leased = Take("orders").token();
  Publish("orders", {});
  v1::NewMessage later;
  later.set_delay_ms(600'000);
  Publish("orders", later);
  const v1::QueueCounts counts = broker.GetQueue("orders").counts();
  EXPECT_EQ(counts.parked(), 1u);
  EXPECT_EQ(counts.leased(), 1u);
  EXPECT_EQ(counts.ready(), 1u);
  EXPECT_EQ(counts.delayed(), 1u);

  EXPECT_EQ(Purge("orders"), 4u);
  EXPECT_EQ(Ack(leased), "MESSAGE_NOT_FOUND");
  Publish("orders", {});
  broker.Restart();
  EXPECT_EQ(broker.GetQueue("orders").counts().ready(), 1u);
  EXPECT_EQ(broker.GetQueue("orders").counts().parked() + broker.GetQueue("orders").counts().delayed(), 0u);
  EXPECT_EQ(Ack(Take("orders").token()), "");
}

TEST_F(EndToEnd, APausedQueueTakesMessagesAndDeliversThemWhenItIsResumed) {
  broker.CreateQueue("orders");
  Update("orders", [](v1::UpdateQueueRequest& update) { update.set_paused(true); });
  broker.Restart();
  EXPECT_TRUE(broker.GetQueue("orders").paused());
  RawSession consumer(broker);
  consumer.Subscribe(1, "orders");
  broker.Publish("orders", {"a", "b"});
  EXPECT_THAT(broker.Receive("orders", 1), IsEmpty());
  EXPECT_EQ(broker.GetQueue("orders").counts().ready(), 2u);
  Update("orders", [](v1::UpdateQueueRequest& update) { update.set_paused(false); });
  EXPECT_THAT(consumer.AwaitDeliveries(2), SizeIs(2));
}

TEST_F(EndToEnd, AReleasedMessageIsBackInItsPlaceUncounted) {
  broker.CreateQueue("orders");
  broker.Publish("orders", {"a", "b", "c"});
  const auto received = broker.Receive("orders", 2);
  ASSERT_THAT(Bodies(received), ElementsAre("a", "b"));
  EXPECT_EQ(Settle<v1::ReleaseRequest>(&v1::Broker::Stub::Release, received[0].token()), "");
  const auto again = broker.Receive("orders", 3);
  EXPECT_THAT(Bodies(again), ElementsAre("a", "c"));
  EXPECT_EQ(again[0].attempt(), 1u);
  EXPECT_FALSE(again[0].redelivered());
}

TEST_F(EndToEnd, AnExtendedLeaseEndsLaterAndOneThatIsNotComesBack) {
  v1::QueueConfig config;
  config.set_lease_ms(200);
  broker.CreateQueue("orders", config);
  broker.Publish("orders", {"kept", "given up"});
  RawSession consumer(broker);
  consumer.Subscribe(1, "orders");
  consumer.AwaitDeliveries(2);
  v1::ClientFrame frame;
  frame.add_settle()->set_kind(v1::Settle::EXTEND);
  frame.mutable_settle(0)->set_lease_ms(600'000);
  frame.mutable_settle(0)->add_tags(1);
  frame.mutable_settle(0)->add_tags(0);
  consumer.Send(frame);
  consumer.AwaitSettled(1);
  EXPECT_THAT(consumer.settle_errors(), IsEmpty());

  EXPECT_EQ(consumer.AwaitDeliveries(3)[2].body, "given up");
  const auto listed = List("orders", v1::READY);  // leased ones are listed where they are stored
  ASSERT_THAT(listed, SizeIs(2));
  EXPECT_EQ(listed[0].body(), "kept");
  EXPECT_EQ(listed[0].state(), v1::LEASED);
  EXPECT_EQ(listed[0].attempts(), 0u);
  EXPECT_GT(listed[0].lease_end_unix_ms(), listed[0].published_unix_ms() + 300'000);
}

// Every property takes effect on what is there already.
TEST_F(EndToEnd, AQueuesPropertiesChangeWhileItLives) {
  broker.CreateQueue("graves");
  broker.CreateQueue("orders");
  broker.Publish("orders", {"a", "b", "c"});
  Update("orders", [](v1::UpdateQueueRequest& update) {
    update.mutable_config()->set_in_flight_max(1);
    update.mutable_config()->set_messages_max(3);
    update.mutable_config()->set_attempts_max(1);
    update.mutable_config()->set_dead_letter_queue("graves");
  });
  RawSession session(broker, 3);
  session.Subscribe(1, "orders");
  session.Publish("orders", 1, {"d"});
  session.AwaitConfirmed(1);
  ASSERT_EQ(session.confirms()[0].errors_size(), 1);
  EXPECT_EQ(session.confirms()[0].errors(0).error().reason(), "QUEUE_FULL");
  EXPECT_EQ(session.confirms()[0].errors(0).error().code(),
            static_cast<uint32_t>(grpc::StatusCode::RESOURCE_EXHAUSTED));
  EXPECT_THAT(session.AwaitDeliveries(1), SizeIs(1));
  EXPECT_EQ(broker.GetQueue("orders").counts().leased(), 1u);

  Update("orders", [](v1::UpdateQueueRequest& update) {
    update.mutable_config()->set_in_flight_max(0);
    update.mutable_config()->set_messages_max(0);
    update.mutable_config()->set_durability(v1::RELAXED);
  });
  session.AwaitDeliveries(3);
  session.Publish("orders", 2, {"d"});
  session.AwaitConfirmed(2);
  EXPECT_EQ(session.confirms().back().durability(), v1::RELAXED);
  EXPECT_EQ(session.confirms().back().errors_size(), 0);
  session.Settle(v1::Settle::NACK, {1, 0});  // its one attempt
  EXPECT_EQ(Take("graves").body(), "a");

  Update("orders", [](v1::UpdateQueueRequest& update) {
    update.mutable_config()->set_attempts_max(0);
    update.mutable_config()->set_delivery(v1::COMMITTED);
    update.mutable_config()->set_backoff_ms(1);
    update.mutable_config()->set_lease_ms(5'000);
  });
  session.Settle(v1::Settle::NACK, {2, 0});
  const auto deliveries = session.AwaitDeliveries(5);
  EXPECT_EQ(deliveries[4].body, "b");
  EXPECT_EQ(deliveries[4].attempt, 2u);
  broker.Restart();
  const v1::Queue queue = broker.GetQueue("orders");
  EXPECT_EQ(queue.config().delivery(), v1::COMMITTED);
  EXPECT_EQ(queue.config().lease_ms(), 5'000u);
  EXPECT_EQ(queue.config().dead_letter_queue(), "graves");
  // The leases of the life before are not in this one; "b" is where it waited for its backoff until it is
  // looked at.
  AwaitCounts("orders", [](const v1::QueueCounts& counts) { return counts.ready() == 3; });
}

}  // namespace
}  // namespace baton
