// What a client that publishes may rely on, whatever carries its session and wherever its queue is.
#include "tests/component/session_conformance.h"
#include "tests/support/raw_frames.h"

namespace baton {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::SizeIs;

class Publishing : public OverEveryRoad {};
INSTANTIATE_TEST_SUITE_P(Over, Publishing, testing::ValuesIn(EveryRoad()), NameOfRoad);

TEST_P(Publishing, WhatIsPublishedIsConfirmedDeliveredAndAcked) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
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
  EXPECT_EQ(producer.confirms()[0].durability(), durability());
  const v1::Queue queue = broker.GetQueue("orders");
  EXPECT_EQ(queue.counts().ready() + queue.counts().leased(), 0u);
  EXPECT_EQ(queue.counts().acked(), 3u);
}

TEST_P(Publishing, PrioritiesAndHeadersTravelInTheirColumns) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
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

TEST_P(Publishing, GoodbyeIsAnsweredOnceEverythingElseIs) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
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

TEST_P(Publishing, OneBadMessageIsAnErrorOfItsOwn) {
  Config config;
  config.body_bytes_max = 4;
  LocalBroker broker(config, carrier());
  CreateQueue(broker, "orders");
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

TEST_P(Publishing, ConfirmedMessagesAreThereAfterARestartAndOldTokensStillCount) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
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

TEST_P(Publishing, AReplayedPublishIsConfirmedAsADuplicateAndStoredOnce) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
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

TEST_P(Publishing, LargeMessagesTravelWhole) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
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

TEST_P(Publishing, TheSameSequenceTwiceIsListedAsADuplicate) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  RawSession session(broker, 9);
  session.Publish("orders", 1, {"a", "b"});
  session.AwaitConfirmed(2);
  v1::ClientFrame again = PublishFrame("orders", 2, {"b", "c"});
  again.mutable_publish(0)->set_want_ids(true);
  session.Send(again);
  session.AwaitConfirmed(3);

  const v1::Confirm& confirm = session.confirms().back();
  EXPECT_EQ(confirm.first_sequence(), 2u);
  EXPECT_THAT(confirm.duplicates(), ElementsAre(2u));
  EXPECT_THAT(confirm.errors(), SizeIs(0));
  ASSERT_EQ(confirm.ids().size(), 2 * 24u);
  EXPECT_EQ(confirm.ids().substr(0, 24), std::string(24, '\0'));
  session.Subscribe(1, "orders");
  const auto deliveries = session.AwaitDeliveries(3);
  EXPECT_THAT(Bodies(deliveries), ElementsAre("a", "b", "c"));
  EXPECT_EQ(confirm.ids().substr(24), deliveries[2].id);
}

TEST_P(Publishing, ASequenceTooFarBehindIsAnErrorAndNoDuplicate) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  RawSession session(broker, 9);
  session.Publish("orders", 2'000, {"a"});
  session.AwaitConfirmed(2'000);
  session.Publish("orders", 2'000 - kProducerWindow, {"too old"});
  session.Publish("orders", 2'001 - kProducerWindow, {"b"});
  session.AwaitFrame([&] { return session.confirms().size() == 3 || !PublishErrors(session).empty(); });
  EXPECT_THAT(PublishErrors(session), ElementsAre(Pair(2'000 - kProducerWindow, "SEQUENCE_TOO_OLD")));
  session.Subscribe(1, "orders");
  EXPECT_THAT(Bodies(session.AwaitDeliveries(2)), ElementsAre("a", "b"));
}

TEST_P(Publishing, DeliveriesTellTheirProducerAndSequence) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  broker.Publish("orders", {"of nobody"});
  RawSession session(broker, 9);
  session.Publish("orders", 7, {"a", "b"});
  session.AwaitConfirmed(8);
  session.Subscribe(1, "orders");
  const auto deliveries = session.AwaitDeliveries(3);
  EXPECT_EQ(deliveries[0].producer_id, 0u);
  EXPECT_EQ(deliveries[1].producer_id, 9u);
  EXPECT_EQ(deliveries[1].sequence, 7u);
  EXPECT_EQ(deliveries[2].sequence, 8u);
}

TEST_P(Publishing, ToAFullQueueIsRefusedOrDropsTheOldest) {
  LocalBroker broker(Config(), carrier());
  v1::QueueConfig config;
  config.set_messages_max(2);
  CreateQueue(broker, "refuses", config);
  config.set_overflow(v1::DROP_OLDEST);
  CreateQueue(broker, "drops", config);
  RawSession session(broker, 9);
  session.Publish("refuses", 1, {"a", "b", "c"});
  session.AwaitConfirmed(3);
  EXPECT_THAT(PublishErrors(session), ElementsAre(Pair(3u, "QUEUE_FULL")));
  session.Publish("drops", 4, {"a", "b", "c"});
  session.AwaitConfirmed(6);
  EXPECT_THAT(PublishErrors(session), SizeIs(1));
  session.Subscribe(1, "drops");
  EXPECT_THAT(Bodies(session.AwaitDeliveries(2)), ElementsAre("b", "c"));
}

TEST_P(Publishing, ADelayedMessageComesAfterItsDelay) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  RawSession session(broker, 9);
  v1::ClientFrame frame = PublishFrame("orders", 1, {"later", "soon", "now"});
  for (const uint64_t delay_ms : {300u, 100u, 0u}) frame.mutable_publish(0)->add_delay_ms(delay_ms);
  session.Send(frame);
  session.AwaitConfirmed(3);
  session.Subscribe(1, "orders");
  EXPECT_THAT(Bodies(session.AwaitDeliveries(3)), ElementsAre("now", "soon", "later"));
  EXPECT_EQ(broker.GetQueue("orders").counts().leased(), 3u);
}

TEST_P(Publishing, AMessageWhoseTimeIsOverIsNotDeliveredButDeadLettered) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "dead");
  v1::QueueConfig config;
  config.set_expired(v1::DEAD_LETTERED);
  config.set_dead_letter_queue("dead");
  CreateQueue(broker, "orders", config);
  broker.SetPaused("orders", true);
  RawSession session(broker, 9);
  session.Subscribe(1, "dead");
  session.Subscribe(2, "orders");
  v1::ClientFrame frame = PublishFrame("orders", 1, {"short", "long"});
  for (const uint64_t ttl_ms : {1u, 0u}) frame.mutable_publish(0)->add_ttl_ms(ttl_ms);
  session.Send(frame);
  EXPECT_THAT(Bodies(session.AwaitDeliveries(1)), ElementsAre("short"));
  broker.SetPaused("orders", false);
  const auto deliveries = session.AwaitDeliveries(2);
  EXPECT_EQ(deliveries[0].subscription, 1u);
  EXPECT_THAT(deliveries[0].headers, HasSubstr("baton-dead-letter-reason"));
  EXPECT_EQ(deliveries[1].subscription, 2u);
  EXPECT_EQ(deliveries[1].body, "long");
  EXPECT_EQ(broker.GetQueue("orders").counts().dead_lettered(), 1u);
}

TEST_P(Publishing, OutOfRangeIsAnErrorOfThatMessage) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  RawSession session(broker, 9);
  v1::ClientFrame frame = PublishFrame("orders", 1, {"a", "b"});
  for (const uint64_t ttl_ms : {uint64_t{1} << 60, uint64_t{0}}) frame.mutable_publish(0)->add_ttl_ms(ttl_ms);
  session.Send(frame);
  session.AwaitConfirmed(2);
  session.Publish("orders", 3, {"c"});
  session.AwaitConfirmed(3);
  EXPECT_THAT(PublishErrors(session), ElementsAre(Pair(1u, "OUT_OF_RANGE")));
  EXPECT_EQ(broker.GetQueue("orders").counts().ready(), 2u);
}

TEST_P(Publishing, WhatWasThereIsThereAfterARestartAsItWas) {
  LocalBroker broker(Config(), carrier());
  CreateQueue(broker, "orders");
  {
    RawSession session(broker, 9);
    v1::ClientFrame frame = PublishFrame("orders", 1, {"low", "high", "returned", "acked", "expired"});
    for (const uint32_t priority : {1u, 9u, 5u, 20u, 0u}) frame.mutable_publish(0)->add_priorities(priority);
    for (const uint64_t ttl_ms : {0u, 0u, 0u, 0u, 1u}) frame.mutable_publish(0)->add_ttl_ms(ttl_ms);
    session.Send(frame);
    session.AwaitConfirmed(5);
    session.Subscribe(1, "orders", 3);
    session.AwaitDeliveries(3);  // acked, high, returned
    v1::ClientFrame no_more;
    no_more.add_credit()->set_subscription(1);
    session.Send(no_more);
    session.Settle(v1::Settle::ACK, {1, 0});
    session.Settle(v1::Settle::RELEASE, {2, 0});
    v1::Settle nack;
    nack.set_kind(v1::Settle::NACK);
    nack.add_tags(3);
    nack.add_tags(0);
    nack.set_delay_ms(1);
    nack.set_reason("not now");
    session.Settle(nack);
    v1::ClientFrame delayed = PublishFrame("orders", 6, {"delayed"});
    delayed.mutable_publish(0)->add_priorities(30);
    delayed.mutable_publish(0)->add_delay_ms(100);
    session.Send(delayed);
    session.AwaitSettled(3);
    session.AwaitConfirmed(6);
  }
  broker.Restart();
  RawSession session(broker);
  broker.SetPaused("orders", true);
  session.Subscribe(1, "orders", 10);
  session.AwaitFrame([&] { return session.subscribed().size() == 1; });
  broker.SetPaused("orders", false);
  auto deliveries = session.AwaitDeliveries(4);
  // When the delays end, in the broker's life before or in this one, is not ours to know.
  std::sort(deliveries.begin(), deliveries.end(),
            [](const auto& a, const auto& b) { return a.priority > b.priority; });
  EXPECT_THAT(Bodies(deliveries), ElementsAre("delayed", "high", "returned", "low"));
  EXPECT_EQ(deliveries[2].attempt, 2u);
  for (const RawDelivery& delivery : deliveries) EXPECT_TRUE(delivery.redelivered);
  session.Settle(v1::Settle::ACK, {1, 3});
  session.AwaitSettled(1);
  const v1::QueueCounts counts = broker.GetQueue("orders").counts();
  EXPECT_EQ(counts.leased() + counts.delayed(), 0u);
}

}  // namespace
}  // namespace baton
