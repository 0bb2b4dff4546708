// What a client that consumes may rely on, whatever carries its session and wherever its queue is.
#include "base/message_id.h"
#include "tests/component/session_conformance.h"

namespace baton {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::SizeIs;

class Consuming : public OverEveryRoad {};
INSTANTIATE_TEST_SUITE_P(Over, Consuming, testing::ValuesIn(EveryRoad()), NameOfRoad);

TEST_P(Consuming, LeasesOfAClientThatGoesAwayAreDeliveredAgainAtOnce) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  broker.Publish("orders", {"a"});
  RawSession first(broker);
  first.Subscribe(1, "orders");
  first.AwaitDeliveries(1);
  RawSession second(broker);
  second.Subscribe(1, "orders");
  first.Cancel();
  const auto deliveries = second.AwaitDeliveries(1);
  EXPECT_EQ(deliveries[0].attempt, 2u);
  EXPECT_TRUE(deliveries[0].redelivered);
}

TEST_P(Consuming, ThousandsOfMessagesKeepTheirOrder) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  RawSession producer(broker, 9);
  RawSession consumer(broker);
  constexpr uint64_t kMessages = 20'000;
  constexpr uint64_t kBatch = 500;
  consumer.Subscribe(1, "orders", 2 * kBatch);
  for (uint64_t first = 1; first <= kMessages; first += kBatch) {
    std::vector<std::string> bodies;
    for (uint64_t i = 0; i < kBatch; ++i) bodies.push_back(std::to_string(first + i));
    producer.Publish("orders", first, bodies);
    producer.AwaitConfirmed(first + kBatch - 1);
    consumer.AwaitDeliveries(first + kBatch - 1);
    consumer.Settle(v1::Settle::ACK, {first, kBatch - 1});
  }
  const auto deliveries = consumer.AwaitDeliveries(kMessages);
  for (uint64_t i = 0; i < kMessages; ++i) ASSERT_EQ(deliveries[i].body, std::to_string(i + 1));
  consumer.AwaitSettled(kMessages / kBatch);
  EXPECT_THAT(consumer.settle_errors(), SizeIs(0));
  EXPECT_EQ(broker.GetQueue("orders").counts().ready(), 0u);
}

TEST_P(Consuming, SettlementsOfEveryKindDoWhatTheySay) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  CreateQueue(broker, "dead");
  v1::QueueConfig config;
  config.set_dead_letter_queue("dead");
  CreateQueue(broker, "mail", config);
  broker.Publish("mail", {"a", "b", "c", "d"});
  RawSession session(broker);
  session.Subscribe(1, "mail", 4);
  session.AwaitDeliveries(4);

  session.Settle(v1::Settle::ACK, {1, 0});
  session.Settle(v1::Settle::NACK, {2, 0});
  session.Settle(v1::Settle::RELEASE, {3, 0});
  session.Settle(v1::Settle::DEAD_LETTER, {4, 0});
  session.AwaitSettled(4);
  const auto deliveries = session.AwaitDeliveries(6);

  EXPECT_EQ(deliveries[4].body, "b");
  EXPECT_EQ(deliveries[4].attempt, 2u) << "a nack counts an attempt";
  EXPECT_EQ(deliveries[5].body, "c");
  EXPECT_EQ(deliveries[5].attempt, 1u) << "a release does not";
  EXPECT_EQ(broker.GetQueue("dead").counts().ready(), 1u);
  EXPECT_EQ(broker.GetQueue("mail").counts().acked(), 1u);
}

TEST_P(Consuming, AnAckTwiceIsAnErrorOfItsOwn) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  broker.Publish("orders", {"a", "b"});
  RawSession session(broker);
  session.Subscribe(1, "orders");
  session.AwaitDeliveries(2);
  session.Settle(v1::Settle::ACK, {1, 0});
  session.Settle(v1::Settle::ACK, {1, 1});
  session.AwaitSettled(2);
  ASSERT_THAT(session.settle_errors(), SizeIs(1));
  EXPECT_EQ(session.settle_errors()[0].tag(), 1u);
  EXPECT_EQ(session.settle_errors()[0].error().reason(), "ALREADY_SETTLED");
  EXPECT_EQ(broker.GetQueue("orders").counts().acked(), 2u);
}

TEST_P(Consuming, CreditIsKeptAndCanBeRaised) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  broker.Publish("orders", {"a", "b", "c", "d", "e"});
  RawSession session(broker);
  session.Subscribe(1, "orders", 2);
  session.AwaitDeliveries(2);
  EXPECT_EQ(broker.GetQueue("orders").counts().leased(), 2u);
  v1::ClientFrame frame;
  frame.add_credit()->set_subscription(1);
  frame.mutable_credit(0)->set_messages(4);
  session.Send(frame);
  EXPECT_THAT(Bodies(session.AwaitDeliveries(4)), ElementsAre("a", "b", "c", "d"));
  EXPECT_EQ(broker.GetQueue("orders").counts().leased(), 4u);
}

TEST_P(Consuming, ASubscriptionThatEndsDeliversNoMore) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  RawSession session(broker);
  session.Subscribe(1, "orders");
  v1::ClientFrame frame;
  frame.add_unsubscribe()->set_subscription(1);
  session.Send(frame);
  session.AwaitFrame([&] { return !session.ended().empty(); });
  EXPECT_EQ(session.ended()[0].subscription(), 1u);
  broker.Publish("orders", {"a"});
  EXPECT_EQ(broker.GetQueue("orders").counts().ready(), 1u);
}

TEST_P(Consuming, DeletingAQueueEndsItsSubscriptions) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  RawSession session(broker);
  session.Subscribe(1, "orders");
  session.AwaitFrame([&] { return !session.subscribed().empty(); });
  v1::DeleteQueueRequest request;
  request.set_name("orders");
  v1::DeleteQueueResponse response;
  ASSERT_TRUE(broker.admin().DeleteQueue(PatientContext().get(), request, &response).ok());
  session.AwaitFrame([&] { return !session.ended().empty(); });
  EXPECT_EQ(session.ended()[0].error().reason(), "QUEUE_DELETED");
}

TEST_P(Consuming, OneThatTakesNothingHoldsUpNobody) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  RawSession lazy(broker);
  lazy.Subscribe(1, "orders", 60'000);  // and reads nothing
  RawSession producer(broker, 9);
  uint64_t sequence = 0;
  for (int i = 0; i < 30; ++i) {
    producer.Publish("orders", sequence + 1, std::vector<std::string>(100, std::string(10'000, 'x')));
    sequence += 100;
    producer.AwaitConfirmed(sequence);
  }
  RawSession other(broker);
  CreateQueue(broker, "mail");
  broker.Publish("mail", {"a"});
  other.Subscribe(1, "mail");
  EXPECT_THAT(Bodies(other.AwaitDeliveries(1)), ElementsAre("a"));
  lazy.Cancel();
  other.Subscribe(2, "orders", 10);
  EXPECT_THAT(other.AwaitDeliveries(11), SizeIs(testing::Ge(11u)));
}

TEST_P(Consuming, RangesNameWhatIsSettled) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  broker.Publish("orders", {"a", "b", "c", "d", "e", "f"});
  RawSession session(broker);
  session.Subscribe(1, "orders");
  session.AwaitDeliveries(6);
  session.Settle(v1::Settle::ACK, {1, 1, 4, 0, 6, 0});
  session.AwaitSettled(1);
  EXPECT_EQ(broker.GetQueue("orders").counts().acked(), 4u);
  session.Settle(v1::Settle::RELEASE, {3, 0, 5, 0});
  EXPECT_THAT(Bodies(session.AwaitDeliveries(8)), ElementsAre("a", "b", "c", "d", "e", "f", "c", "e"));
  session.AwaitSettled(2);
  EXPECT_THAT(session.settle_errors(), SizeIs(0));
}

TEST_P(Consuming, ANackMayNameADelay) {
  LocalBroker broker(Config(), carrier());
  v1::QueueConfig config;
  config.set_backoff_ms(3'600'000);
  CreateQueue(broker, "orders", config);
  broker.Publish("orders", {"backs off", "comes soon"});
  RawSession session(broker);
  session.Subscribe(1, "orders");
  session.AwaitDeliveries(2);
  session.Settle(v1::Settle::NACK, {1, 0});
  v1::Settle nack;
  nack.set_kind(v1::Settle::NACK);
  nack.add_tags(2);
  nack.add_tags(0);
  nack.set_delay_ms(50);
  session.Settle(nack);
  const auto deliveries = session.AwaitDeliveries(3);
  EXPECT_EQ(deliveries[2].body, "comes soon");
  EXPECT_EQ(deliveries[2].attempt, 2u);
  EXPECT_EQ(broker.GetQueue("orders").counts().delayed(), 1u);
}

TEST_P(Consuming, AttemptsUsedUpDeadLetterOrPark) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "dead");
  v1::QueueConfig config;
  config.set_attempts_max(2);
  CreateQueue(broker, "parks", config);
  config.set_dead_letter_queue("dead");
  CreateQueue(broker, "orders", config);
  broker.Publish("parks", {"parked"});
  broker.Publish("orders", {"a"});
  RawSession session(broker);
  for (const auto& [subscription, queue] : {std::pair(1, "parks"), std::pair(2, "orders")}) {
    const uint64_t tag = session.AwaitDeliveries(0).size() + 1;
    session.Subscribe(static_cast<uint64_t>(subscription), queue);
    session.AwaitDeliveries(tag);
    session.Settle(v1::Settle::NACK, {tag, 0});
    session.AwaitDeliveries(tag + 1);
    session.Settle(v1::Settle::NACK, {tag + 1, 0});
  }
  session.Subscribe(3, "dead");
  const RawDelivery dead = session.AwaitDeliveries(5)[4];
  EXPECT_EQ(dead.body, "a");
  EXPECT_EQ(dead.attempt, 1u) << "another queue, other attempts";
  EXPECT_THAT(dead.headers, HasSubstr("baton-dead-letter-queue"));
  EXPECT_EQ(broker.GetQueue("parks").counts().parked(), 1u);
  EXPECT_EQ(broker.GetQueue("orders").counts().dead_lettered(), 1u);
}

TEST_P(Consuming, ALeaseThatEndsLosesTheMessageUnlessItIsExtended) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  broker.Publish("orders", {"extended", "lost"});
  RawSession session(broker);
  v1::Subscribe subscribe;
  subscribe.set_subscription(1);
  subscribe.set_queue("orders");
  subscribe.set_lease_ms(1'000);
  subscribe.set_credit_messages(10);
  session.Subscribe(subscribe);
  session.AwaitDeliveries(2);
  v1::Settle extend;
  extend.set_kind(v1::Settle::EXTEND);
  extend.add_tags(1);
  extend.add_tags(0);
  extend.set_lease_ms(3'600'000);
  session.Settle(extend);
  const auto deliveries = session.AwaitDeliveries(3);
  EXPECT_EQ(deliveries[2].body, "lost");
  EXPECT_EQ(deliveries[2].attempt, 2u);
  session.Settle(v1::Settle::ACK, {1, 1});
  session.AwaitSettled(2);
  EXPECT_THAT(SettleErrors(session), ElementsAre(Pair(2u, "LEASE_LOST")));
  EXPECT_EQ(broker.GetQueue("orders").counts().acked(), 1u);
}

TEST_P(Consuming, CreditOfNothingPausesASubscription) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  RawSession session(broker);
  session.Subscribe(1, "orders");
  v1::ClientFrame frame;
  frame.add_credit()->set_subscription(1);
  session.Send(frame);
  session.Subscribe(2, "orders", 1);
  session.AwaitFrame([&] { return session.subscribed().size() == 2; });
  broker.Publish("orders", {"a", "b", "c"});
  const auto deliveries = session.AwaitDeliveries(1);
  EXPECT_EQ(deliveries[0].subscription, 2u);
  const v1::QueueCounts counts = broker.GetQueue("orders").counts();
  EXPECT_EQ(counts.leased(), 1u);
  EXPECT_EQ(counts.ready(), 2u);
}

TEST_P(Consuming, CreditInBytesIsKeptButForOneLargeMessage) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  broker.Publish("orders", {std::string(1'000, 'a'), "b", "c", "d"});
  RawSession session(broker);
  v1::Subscribe subscribe;
  subscribe.set_subscription(1);
  subscribe.set_queue("orders");
  subscribe.set_credit_messages(10);
  subscribe.set_credit_bytes(2);
  session.Subscribe(subscribe);
  session.AwaitDeliveries(1);
  EXPECT_EQ(broker.GetQueue("orders").counts().leased(), 1u) << "larger than the credit, and alone";
  session.Settle(v1::Settle::ACK, {1, 0});
  session.AwaitDeliveries(3);
  EXPECT_EQ(broker.GetQueue("orders").counts().leased(), 2u);
  session.Settle(v1::Settle::ACK, {2, 1});
  EXPECT_EQ(session.AwaitDeliveries(4)[3].body, "d");
}

TEST_P(Consuming, WhatWasDeliveredCanBeSettledAfterTheSubscriptionHasEnded) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  broker.Publish("orders", {"a", "b"});
  RawSession session(broker);
  session.Subscribe(1, "orders");
  session.AwaitDeliveries(2);
  v1::ClientFrame frame;
  frame.add_unsubscribe()->set_subscription(1);
  session.Send(frame);
  session.AwaitFrame([&] { return !session.ended().empty(); });
  EXPECT_FALSE(session.ended()[0].has_error());
  session.Settle(v1::Settle::ACK, {1, 1});
  session.AwaitSettled(1);
  EXPECT_THAT(session.settle_errors(), SizeIs(0));
  EXPECT_EQ(broker.GetQueue("orders").counts().acked(), 2u);
}

TEST_P(Consuming, WhatWasPurgedCannotBeSettled) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  broker.Publish("orders", {"a", "b"});
  RawSession session(broker);
  session.Subscribe(1, "orders", 1);
  session.AwaitDeliveries(1);
  broker.PurgeQueue("orders");
  session.Settle(v1::Settle::ACK, {1, 0});
  session.AwaitSettled(1);
  EXPECT_THAT(SettleErrors(session), ElementsAre(Pair(1u, "MESSAGE_NOT_FOUND")));
  const v1::QueueCounts counts = broker.GetQueue("orders").counts();
  EXPECT_EQ(counts.ready() + counts.leased() + counts.bytes(), 0u);
}

TEST_P(Consuming, APausedQueueTakesPublishesAndDeliversNothing) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  broker.SetPaused("orders", true);
  RawSession session(broker, 9);
  session.Subscribe(1, "orders");
  session.Publish("orders", 1, {"a"});
  session.AwaitConfirmed(1);
  EXPECT_EQ(broker.GetQueue("orders").counts().ready(), 1u);
  broker.SetPaused("orders", false);
  EXPECT_THAT(Bodies(session.AwaitDeliveries(1)), ElementsAre("a"));
}

TEST_P(Consuming, NoMoreIsInFlightThanTheQueueAllows) {
  LocalBroker broker(Config(), carrier());
  v1::QueueConfig config;
  config.set_in_flight_max(2);
  CreateQueue(broker, "orders", config);
  broker.Publish("orders", {"a", "b", "c"});
  RawSession session(broker);
  session.Subscribe(1, "orders");
  session.AwaitDeliveries(2);
  EXPECT_EQ(broker.GetQueue("orders").counts().leased(), 2u);
  session.Settle(v1::Settle::ACK, {2, 0});
  EXPECT_THAT(Bodies(session.AwaitDeliveries(3)), ElementsAre("a", "b", "c"));
}

TEST_P(Consuming, ADeliveryCanBeSettledByItsTokenAfterTheSessionIsLost) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  broker.Publish("orders", {"a"});
  std::string token;
  {
    RawSession session(broker);
    session.Subscribe(1, "orders");
    const RawDelivery delivery = session.AwaitDeliveries(1)[0];
    token = LeaseToken{.epoch = Epoch(session.hello().epoch()),
                       .delivery = DeliveryNumber(delivery.number),
                       .attempt = delivery.attempt,
                       .id = *MessageId::FromBytes(delivery.id)}
                .ToText();
  }
  v1::AckRequest ack;
  ack.add_tokens(token);
  v1::SettleResponse response;
  const grpc::Status status = broker.broker().Ack(PatientContext().get(), ack, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_FALSE(response.results(0).has_error()) << response.results(0).error().message();
  EXPECT_EQ(broker.GetQueue("orders").counts().acked(), 1u);
}

TEST_P(Consuming, GoodbyeGivesLeasesBack) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  broker.Publish("orders", {"a", "b"});
  RawSession session(broker);
  session.Subscribe(1, "orders");
  session.AwaitDeliveries(2);
  session.Settle(v1::Settle::ACK, {1, 0});
  v1::ClientFrame frame;
  frame.mutable_goodbye();
  session.Send(frame);
  EXPECT_TRUE(session.Finish().ok());
  const auto left = broker.Receive("orders", 10, std::chrono::seconds(5));
  ASSERT_THAT(left, SizeIs(1));
  EXPECT_EQ(left[0].body(), "b");
  EXPECT_EQ(left[0].attempt(), 2u);
}

}  // namespace
}  // namespace baton
