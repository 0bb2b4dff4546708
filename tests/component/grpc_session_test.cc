// Sessions over gRPC, against a real broker with a real store.
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

TEST(GrpcSession, HelloTellsLimitsAndCredit) {
  LocalBroker broker;
  RawSession session(broker);
  EXPECT_EQ(session.hello().protocol_version(), 1u);
  EXPECT_EQ(session.hello().epoch(), 1u);
  EXPECT_EQ(session.hello().body_bytes_max(), kBodyBytesDefaultMax);
  EXPECT_EQ(session.hello().publish_credit().messages(), kPublishCreditMessages);
  EXPECT_EQ(session.hello().accepted_sequence(), 0u);
}

TEST(GrpcSession, WhatIsPublishedIsConfirmedDeliveredAndAcked) {
  LocalBroker broker;
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

TEST(GrpcSession, PrioritiesAndHeadersTravelInTheirColumns) {
  LocalBroker broker;
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

TEST(GrpcSession, LeasesOfAClientThatGoesAwayAreDeliveredAgainAtOnce) {
  LocalBroker broker;
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

TEST(GrpcSession, GoodbyeIsAnsweredOnceEverythingElseIs) {
  LocalBroker broker;
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

TEST(GrpcSession, OneBadMessageIsAnErrorOfItsOwn) {
  Config config;
  config.body_bytes_max = 4;
  LocalBroker broker(config);
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

TEST(GrpcSession, PublishingToAQueueThatIsNotThereIsAnswered) {
  LocalBroker broker;
  RawSession session(broker, 3);
  session.Publish("nowhere", 1, {"a"});
  session.AwaitConfirmed(1);
  ASSERT_THAT(session.confirms(), SizeIs(1));
  ASSERT_THAT(session.confirms()[0].errors(), SizeIs(1));
  EXPECT_EQ(session.confirms()[0].errors(0).error().reason(), "QUEUE_NOT_FOUND");
}

TEST(GrpcSession, ThatStartsWithoutHelloIsToldToGoAway) {
  LocalBroker broker;
  RawSession session(broker, RawSession::NoHello());
  session.Publish("orders", 1, {"a"});
  const v1::GoAway go_away = session.AwaitGoAway();
  EXPECT_EQ(go_away.error().reason(), "PROTOCOL_VIOLATION");
  EXPECT_THAT(go_away.error().message(), HasSubstr("no Hello"));
  const grpc::Status status = session.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOfRpc(status), "PROTOCOL_VIOLATION");
}

TEST(GrpcSession, ThatPublishesMoreThanItsCreditIsToldToGoAway) {
  LocalBroker broker;
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

TEST(GrpcSession, OfAProducerIdTakenOverIsToldToGoAway) {
  LocalBroker broker;
  RawSession older(broker, 9);
  RawSession newer(broker, 9);
  EXPECT_EQ(older.AwaitGoAway().error().code(), static_cast<uint32_t>(grpc::StatusCode::ABORTED));
}

TEST(GrpcSession, HearsThatTheBrokerStops) {
  LocalBroker broker;
  broker.CreateQueue("orders");
  RawSession session(broker, 9);
  session.Publish("orders", 1, {"a"});
  session.AwaitConfirmed(1);
  broker.Stop();
  EXPECT_EQ(session.AwaitGoAway().error().reason(), "BROKER_STOPPING");
  EXPECT_EQ(session.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(GrpcSession, BeyondTheLimitIsRefused) {
  Config config;
  config.sessions_max = 1;
  LocalBroker broker(config);
  RawSession first(broker);
  RawSession second(broker, RawSession::NoHello());
  const grpc::Status status = second.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOfRpc(status), "SESSION_LIMIT");
}

TEST(GrpcSession, ConfirmedMessagesAreThereAfterARestartAndOldTokensStillCount) {
  LocalBroker broker;
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

TEST(GrpcSession, AReplayedPublishIsConfirmedAsADuplicateAndStoredOnce) {
  LocalBroker broker;
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

}  // namespace
}  // namespace baton
