// What a client may rely on, whatever carries its session: over gRPC on TCP, gRPC on a socket, and rings in
// shared memory, against a real broker with a real store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/local_broker.h"

namespace baton {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::vector<std::string> Bodies(const std::vector<RawDelivery>& deliveries) {
  std::vector<std::string> bodies;
  for (const RawDelivery& delivery : deliveries) bodies.push_back(delivery.body);
  return bodies;
}

class Session : public testing::TestWithParam<CarrierKind> {};
INSTANTIATE_TEST_SUITE_P(Over, Session,
                         testing::Values(CarrierKind::kGrpcTcp, CarrierKind::kGrpcUnix, CarrierKind::kRings),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(Session, HelloTellsLimitsAndCredit) {
  LocalBroker broker(Config(), GetParam());
  RawSession session(broker);
  EXPECT_EQ(session.hello().protocol_version(), 1u);
  EXPECT_EQ(session.hello().epoch(), 1u);
  EXPECT_EQ(session.hello().body_bytes_max(), kBodyBytesDefaultMax);
  EXPECT_EQ(session.hello().publish_credit().messages(), kPublishCreditMessages);
  EXPECT_EQ(session.hello().accepted_sequence(), 0u);
}

TEST_P(Session, WhatIsPublishedIsConfirmedDeliveredAndAcked) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
  RawSession producer(broker, 7);
  RawSession consumer(broker);
  consumer.Subscribe(1, "orders");
  producer.Publish("orders", 1, {"a", "", "ccc"});
  producer.AwaitConfirmed(3);

  const auto deliveries = consumer.AwaitDeliveries(3);
  EXPECT_THAT(Bodies(deliveries), ElementsAre("a", "", "ccc"));
  EXPECT_EQ(deliveries[2].tag, 3u);
  EXPECT_EQ(deliveries[2].attempt, 1u);
  EXPECT_FALSE(deliveries[2].redelivered);
  consumer.Settle(v1::Settle::ACK, {1, 2});
  consumer.AwaitSettled(1);

  EXPECT_THAT(producer.confirms(), SizeIs(1));
  EXPECT_EQ(producer.confirms()[0].durability(), v1::DURABLE);
  const v1::Queue queue = broker.GetQueue("orders");
  EXPECT_EQ(queue.counts().ready() + queue.counts().leased(), 0u);
  EXPECT_EQ(queue.counts().acked(), 3u);
}

TEST_P(Session, PrioritiesAndHeadersTravelInTheirColumns) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
  RawSession session(broker);
  v1::Headers headers;
  headers.add_headers()->set_name("kind");
  v1::ClientFrame frame;
  v1::PublishBatch* batch = frame.add_publish();
  batch->set_queue("orders");
  batch->set_first_sequence(1);
  batch->set_bodies("abc");
  for (const uint32_t priority : {1u, 9u, 5u}) {
    batch->add_body_sizes(1);
    batch->add_priorities(priority);
    batch->add_headers(priority == 5 ? headers.SerializeAsString() : "");
  }
  batch->set_want_ids(true);
  session.Send(frame);
  session.AwaitConfirmed(3);
  session.Subscribe(1, "orders");

  const auto deliveries = session.AwaitDeliveries(3);
  EXPECT_THAT(Bodies(deliveries), ElementsAre("b", "c", "a"));
  EXPECT_EQ(deliveries[0].priority, 9u);
  EXPECT_EQ(deliveries[0].headers, "");
  EXPECT_EQ(deliveries[1].headers, headers.SerializeAsString());
  ASSERT_THAT(session.confirms(), SizeIs(1));
  ASSERT_EQ(session.confirms()[0].ids().size(), 3 * 24u);
  EXPECT_EQ(session.confirms()[0].ids().substr(24, 24), deliveries[0].id);
}

TEST_P(Session, LeasesOfAClientThatGoesAwayAreDeliveredAgainAtOnce) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
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

TEST_P(Session, GoodbyeIsAnsweredOnceEverythingElseIs) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
  RawSession session(broker, 3);
  session.Publish("orders", 1, {"a", "b"});
  v1::ClientFrame frame;
  frame.mutable_goodbye();
  session.Send(frame);
  const grpc::Status status = session.Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  ASSERT_THAT(session.confirms(), SizeIs(1));
  EXPECT_EQ(session.confirms()[0].last_sequence(), 2u);
}

TEST_P(Session, OneBadMessageIsAnErrorOfItsOwn) {
  Config config;
  config.body_bytes_max = 4;
  LocalBroker broker(config, GetParam());
  broker.CreateQueue("orders");
  RawSession session(broker, 3);
  session.Publish("orders", 1, {"a", "too long", "b"});
  session.AwaitConfirmed(3);
  session.Subscribe(1, "orders");
  EXPECT_THAT(Bodies(session.AwaitDeliveries(2)), ElementsAre("a", "b"));
  std::vector<std::string> reasons;
  for (const v1::Confirm& confirm : session.confirms()) {
    for (const v1::PublishError& error : confirm.errors()) {
      EXPECT_EQ(error.sequence(), 2u);
      reasons.push_back(error.error().reason());
    }
  }
  EXPECT_THAT(reasons, ElementsAre("BODY_TOO_LARGE"));
}

TEST_P(Session, PublishingToAQueueThatIsNotThereIsAnswered) {
  LocalBroker broker(Config(), GetParam());
  RawSession session(broker, 3);
  session.Publish("nowhere", 1, {"a"});
  session.AwaitConfirmed(1);
  ASSERT_THAT(session.confirms(), SizeIs(1));
  ASSERT_THAT(session.confirms()[0].errors(), SizeIs(1));
  EXPECT_EQ(session.confirms()[0].errors(0).error().reason(), "QUEUE_NOT_FOUND");
}

TEST_P(Session, ThatStartsWithoutHelloIsToldToGoAway) {
  LocalBroker broker(Config(), GetParam());
  RawSession session(broker, RawSession::NoHello());
  session.Publish("orders", 1, {"a"});
  const v1::GoAway go_away = session.AwaitGoAway();
  EXPECT_EQ(go_away.error().reason(), "PROTOCOL_VIOLATION");
  EXPECT_THAT(go_away.error().message(), HasSubstr("no Hello"));
  const grpc::Status status = session.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOfRpc(status), "PROTOCOL_VIOLATION");
}

TEST_P(Session, ThatPublishesMoreThanItsCreditIsToldToGoAway) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
  RawSession session(broker, 3);
  // In one frame, so that no confirm can come in between.
  v1::ClientFrame frame;
  uint64_t sequence = 1;
  for (int batches = 0; batches < 2; ++batches) {
    v1::PublishBatch* batch = frame.add_publish();
    batch->set_queue("orders");
    batch->set_first_sequence(sequence);
    for (size_t i = 0; i < kBatchMessagesMax; ++i, ++sequence) batch->add_body_sizes(0);
  }
  session.Send(frame);
  EXPECT_EQ(session.AwaitGoAway().error().reason(), "CREDIT_EXCEEDED");
}

TEST_P(Session, OfAProducerIdTakenOverIsToldToGoAway) {
  LocalBroker broker(Config(), GetParam());
  RawSession older(broker, 9);
  RawSession newer(broker, 9);
  EXPECT_EQ(older.AwaitGoAway().error().code(), static_cast<uint32_t>(grpc::StatusCode::ABORTED));
}

TEST_P(Session, HearsThatTheBrokerStops) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
  RawSession session(broker, 9);
  session.Publish("orders", 1, {"a"});
  session.AwaitConfirmed(1);
  broker.Stop();
  EXPECT_EQ(session.AwaitGoAway().error().reason(), "BROKER_STOPPING");
  EXPECT_EQ(session.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_P(Session, BeyondTheLimitIsRefused) {
  Config config;
  config.sessions_max = 1;
  LocalBroker broker(config, GetParam());
  RawSession first(broker);
  RawSession second(broker, RawSession::NoHello());
  const grpc::Status status = second.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOfRpc(status), "SESSION_LIMIT");
}

TEST_P(Session, ConfirmedMessagesAreThereAfterARestartAndOldTokensStillCount) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
  {
    RawSession session(broker, 9);
    session.Publish("orders", 1, {"a", "b"});
    session.AwaitConfirmed(2);
  }
  const auto leased = broker.Receive("orders", 1, std::chrono::seconds(5));
  ASSERT_THAT(leased, SizeIs(1));
  broker.Restart();
  v1::AckRequest ack;
  ack.add_tokens(leased[0].token());
  v1::SettleResponse response;
  const grpc::Status status = broker.broker().Ack(PatientContext().get(), ack, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_FALSE(response.results(0).has_error()) << response.results(0).error().message();
  const auto left = broker.Receive("orders", 10, std::chrono::seconds(5));
  ASSERT_THAT(left, SizeIs(1));
  EXPECT_EQ(left[0].body(), "b");
  EXPECT_TRUE(left[0].redelivered());
}

TEST_P(Session, AReplayedPublishIsConfirmedAsADuplicateAndStoredOnce) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
  {
    RawSession session(broker, 9);
    session.Publish("orders", 1, {"a", "b"});
    session.AwaitConfirmed(2);
  }
  broker.Restart();
  RawSession session(broker, 9);
  EXPECT_EQ(session.hello().accepted_sequence(), 2u);
  session.Publish("orders", 2, {"b", "c"});
  session.AwaitConfirmed(3);
  EXPECT_EQ(broker.GetQueue("orders").counts().ready(), 3u);
}

TEST_P(Session, LargeMessagesTravelWhole) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
  RawSession session(broker, 9);
  session.Subscribe(1, "orders");
  std::string large(kBodyBytesDefaultMax, 'x');
  for (size_t i = 0; i < large.size(); i += 4'093) large[i] = static_cast<char>(i);
  for (uint64_t sequence = 1; sequence <= 3; ++sequence) {
    session.Publish("orders", sequence, {large});
    session.AwaitConfirmed(sequence);
    const auto deliveries = session.AwaitDeliveries(sequence);
    ASSERT_EQ(deliveries.back().body, large);
    session.Settle(v1::Settle::ACK, {sequence, 0});
    session.AwaitSettled(sequence);
  }
}

TEST_P(Session, ThousandsOfMessagesKeepTheirOrder) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
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

TEST_P(Session, SettlementsOfEveryKindDoWhatTheySay) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
  broker.CreateQueue("dead");
  v1::QueueConfig config;
  config.set_dead_letter_queue("dead");
  broker.CreateQueue("mail", config);
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

TEST_P(Session, AnAckTwiceIsAnErrorOfItsOwn) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
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

TEST_P(Session, CreditIsKeptAndCanBeRaised) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
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

TEST_P(Session, ASubscriptionThatEndsDeliversNoMore) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
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

TEST_P(Session, DeletingAQueueEndsItsSubscriptions) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
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

TEST_P(Session, OneThatTakesNothingHoldsUpNobody) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
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
  broker.CreateQueue("mail");
  broker.Publish("mail", {"a"});
  other.Subscribe(1, "mail");
  EXPECT_THAT(Bodies(other.AwaitDeliveries(1)), ElementsAre("a"));
  lazy.Cancel();
  other.Subscribe(2, "orders", 10);
  EXPECT_THAT(other.AwaitDeliveries(11), SizeIs(testing::Ge(11u)));
}

}  // namespace
}  // namespace baton
