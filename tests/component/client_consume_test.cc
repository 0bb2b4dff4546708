// Consumers of the real client against a broker that does what the test says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/message_id.h"
#include "baton/client.h"
#include "tests/support/scripted_broker.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;

class ClientConsume : public testing::Test {
 protected:
  void SetUp() override {
    auto connected = Client::Connect({.url = broker_.url(), .reconnect_pause_max = milliseconds(100)});
    ASSERT_TRUE(connected.ok()) << connected.status();
    client_.emplace(*std::move(connected));
  }

  void TearDown() override {
    // Whatever is asked to end, ends.
    const bool subscribed = consumer_.has_value() && !stopped_;
    std::thread ending([this] { consumer_.reset(); });
    if (subscribed) EndSubscription();
    ending.join();
  }

  // Subscribes, and lets the broker agree.
  void Subscribe(ConsumerOptions options, Handler handler = nullptr, uint64_t lease_ms = 30'000) {
    auto pending = std::async(std::launch::async, [&] { return client_->Subscribe(options, handler); });
    session_ = broker_.AwaitSession();
    subscribe_ = session_->NextSubscribe();
    session_->ReplySubscribed(subscribe_.subscription(), lease_ms);
    auto made = pending.get();
    ASSERT_TRUE(made.ok()) << made.status();
    consumer_.emplace(*std::move(made));
  }

  Delivery Receive() {
    auto received = consumer_->Receive(kPatience);
    EXPECT_TRUE(received.ok()) << received.status();
    EXPECT_TRUE(received->has_value());
    return *std::move(*received);
  }

  void EndSubscription() {
    session_->ReplySettledFromNowOn();
    session_->NextUnsubscribe();
    session_->ReplyEnded(subscribe_.subscription());
  }

  std::shared_ptr<ScriptedSession> Reconnect(uint64_t lease_ms = 30'000) {
    session_->End();
    session_ = broker_.AwaitSession();
    subscribe_ = session_->NextSubscribe();
    session_->ReplySubscribed(subscribe_.subscription(), lease_ms);
    return session_;
  }

  ScriptedBroker broker_;
  std::optional<Client> client_;
  std::shared_ptr<ScriptedSession> session_;
  v1::Subscribe subscribe_;
  std::optional<Consumer> consumer_;
  bool stopped_ = false;
};

TEST_F(ClientConsume, SubscribesWithTwiceAsMuchCreditAsItHasHandlers) {
  Subscribe({.queue = "orders", .handler_threads = 3, .lease = seconds(10)},
            [](Delivery&) { return Outcome::Ack(); });
  EXPECT_EQ(subscribe_.queue(), "orders");
  EXPECT_EQ(subscribe_.credit_messages(), 6u);
  EXPECT_EQ(subscribe_.lease_ms(), 10'000u);
}

TEST_F(ClientConsume, GivesADeliveryWithEverythingItHas) {
  Subscribe({.queue = "orders"});
  v1::ServerFrame frame;
  v1::Deliveries& deliveries = *frame.add_deliveries();
  deliveries.set_subscription(subscribe_.subscription());
  deliveries.set_first_tag(1);
  deliveries.set_bodies("onetwo!");
  deliveries.add_body_sizes(3);
  deliveries.add_body_sizes(4);
  deliveries.set_ids(TestId(11) + TestId(12));
  for (const uint32_t priority : {0u, 9u}) deliveries.add_priorities(priority);
  for (const uint32_t attempt : {1u, 4u}) deliveries.add_attempts(attempt);
  for (const bool redelivered : {false, true}) deliveries.add_redelivered(redelivered);
  v1::Headers headers;
  headers.add_headers()->set_name("n");
  deliveries.add_headers("");
  deliveries.add_headers(headers.SerializeAsString());
  for (const int64_t time : {1'000, 2'000}) deliveries.add_published_unix_ms(time);
  for (const uint64_t id : {0, 5}) deliveries.add_producer_ids(id);
  for (const uint64_t sequence : {0, 6}) deliveries.add_sequences(sequence);
  deliveries.set_first_delivery(40);
  deliveries.add_delivery_distances(3);
  session_->Send(frame);

  const Delivery first = Receive();
  EXPECT_EQ(first.body(), "one");
  EXPECT_EQ(first.attempt(), 1u);
  EXPECT_TRUE(first.headers().empty());
  const Delivery second = Receive();
  EXPECT_EQ(second.queue(), "orders");
  EXPECT_EQ(second.body(), "two!");
  EXPECT_EQ(second.message_id(), MessageId::FromBytes(TestId(12))->ToText());
  EXPECT_EQ(second.priority(), 9u);
  EXPECT_EQ(second.attempt(), 4u);
  EXPECT_TRUE(second.redelivered());
  EXPECT_THAT(second.headers(), ElementsAre(Header{.name = "n", .value = ""}));
  EXPECT_EQ(second.published_at().time_since_epoch(), seconds(2));
  EXPECT_EQ(second.producer_id(), 5u);
  EXPECT_EQ(second.sequence(), 6u);
  const auto token = LeaseToken::FromText(second.token());
  ASSERT_TRUE(token.has_value());
  EXPECT_EQ(token->delivery.value(), 43u);
  EXPECT_EQ(token->epoch.value(), 1u);
  EXPECT_EQ(token->attempt, 4u);
}

TEST_F(ClientConsume, SettlesAsTheHandlerDecides) {
  Subscribe({.queue = "orders"}, [](Delivery& delivery) {
    if (delivery.body() == "nack") return Outcome::Nack({.reason = "no", .delay = seconds(3)});
    if (delivery.body() == "release") return Outcome::Release();
    if (delivery.body() == "dead") return Outcome::DeadLetter("never");
    if (delivery.body() == "throw") throw std::runtime_error("oops");
    return Outcome::Ack();
  });
  session_->Deliver(1, 1, {"ack", "nack", "release", "dead", "throw"});
  std::vector<Settled> settled;
  for (int i = 0; i < 5; ++i) settled.push_back(session_->NextSettled());
  std::sort(settled.begin(), settled.end(), [](const Settled& a, const Settled& b) { return a.tag < b.tag; });
  EXPECT_EQ(settled[0].kind, v1::Settle::ACK);
  EXPECT_EQ(settled[1].kind, v1::Settle::NACK);
  EXPECT_EQ(settled[1].how.reason(), "no");
  EXPECT_EQ(settled[1].how.delay_ms(), 3'000u);
  EXPECT_TRUE(settled[1].how.delay_set());
  EXPECT_EQ(settled[2].kind, v1::Settle::RELEASE);
  EXPECT_EQ(settled[3].kind, v1::Settle::DEAD_LETTER);
  EXPECT_EQ(settled[3].how.reason(), "never");
  EXPECT_EQ(settled[4].kind, v1::Settle::NACK);
  EXPECT_EQ(settled[4].how.reason(), "exception: oops");
  EXPECT_FALSE(settled[4].how.delay_set());
}

TEST_F(ClientConsume, ReleasesADeliveryThatIsDestroyedUnsettled) {
  Subscribe({.queue = "orders"});
  session_->Deliver(1, 1, {"a"});
  { const Delivery delivery = Receive(); }
  const Settled settled = session_->NextSettled();
  EXPECT_EQ(settled.kind, v1::Settle::RELEASE);
  EXPECT_EQ(settled.tag, 1u);
}

TEST_F(ClientConsume, LetsTheFirstSettlementCount) {
  Subscribe({.queue = "orders"});
  session_->Deliver(1, 1, {"a", "b"});
  Delivery delivery = Receive();
  delivery.Ack();
  std::promise<absl::Status> second;
  delivery.Nack({}, [&](const absl::Status& status) { second.set_value(status); });
  EXPECT_EQ(ReasonOf(second.get_future().get()), "ALREADY_SETTLED");
  EXPECT_EQ(delivery.body(), "a");  // still readable
  Receive().Ack();
  EXPECT_EQ(session_->NextSettled().kind, v1::Settle::ACK);
  EXPECT_EQ(session_->NextSettled().tag, 2u);
}

TEST_F(ClientConsume, CombinesAcksOfManyDeliveriesIntoFewSettlements) {
  Subscribe({.queue = "orders", .credit = 1'000});
  session_->Deliver(1, 1, std::vector<std::string>(1'000, "x"));
  std::vector<Delivery> deliveries;
  for (int i = 0; i < 1'000; ++i) deliveries.push_back(Receive());
  for (Delivery& delivery : deliveries) delivery.Ack();
  uint64_t last_settlement = 0;
  for (int i = 0; i < 1'000; ++i) last_settlement = session_->NextSettled().settlement;
  EXPECT_LT(last_settlement, 500u);
}

TEST_F(ClientConsume, CountsWhatTheBrokerHasAnswered) {
  std::promise<std::string> refused;
  Subscribe({.queue = "orders", .on_refused = [&](const std::string& id, const absl::Status& status) {
               refused.set_value(id + " " + ReasonOf(status));
             }});
  session_->Deliver(1, 1, {"a", "b"});
  Receive().Ack();
  const Settled first = session_->NextSettled();
  Receive().Ack();
  const Settled second = session_->NextSettled();
  EXPECT_EQ(consumer_->Flush(milliseconds(1)).code(), absl::StatusCode::kDeadlineExceeded);
  v1::ServerFrame frame;
  v1::SettleReply& reply = *frame.add_settled();
  reply.set_through(second.settlement);
  v1::SettleError& error = *reply.add_errors();
  error.set_settlement(second.settlement);
  error.set_tag(second.tag);
  error.mutable_error()->set_code(9);
  error.mutable_error()->set_reason("LEASE_LOST");
  session_->Send(frame);
  ASSERT_TRUE(consumer_->Flush(kPatience).ok());
  EXPECT_EQ(refused.get_future().get(), MessageId::FromBytes(TestId(2))->ToText() + " LEASE_LOST");
  EXPECT_EQ(consumer_->counters().settled, 1u);
  EXPECT_EQ(consumer_->counters().refused, 1u);
  EXPECT_EQ(first.tag, 1u);
}

TEST_F(ClientConsume, ExtendsTheLeaseForAsLongAsAHandlerRuns) {
  std::promise<void> finish;
  Subscribe(
      {.queue = "orders"},
      [finished = finish.get_future().share()](Delivery&) {
        finished.wait();
        return Outcome::Ack();
      },
      /*lease_ms=*/150);
  session_->Deliver(1, 1, {"slow"});
  for (int i = 0; i < 3; ++i) {
    const Settled extended = session_->NextSettled();
    EXPECT_EQ(extended.kind, v1::Settle::EXTEND);
    EXPECT_EQ(extended.tag, 1u);
  }
  finish.set_value();
  Settled settled = session_->NextSettled();
  while (settled.kind == v1::Settle::EXTEND) settled = session_->NextSettled();
  EXPECT_EQ(settled.kind, v1::Settle::ACK);
}

TEST_F(ClientConsume, GivesBackWhatWasNotStartedBeforeTheLeaseEnds) {
  std::promise<void> finish;
  std::atomic<int> handled{0};
  Subscribe(
      {.queue = "orders"},
      [&, finished = finish.get_future().share()](Delivery&) {
        ++handled;
        finished.wait();
        return Outcome::Ack();
      },
      /*lease_ms=*/150);
  session_->Deliver(1, 1, {"slow", "buffered"});
  Settled released = session_->NextSettled();
  while (released.kind == v1::Settle::EXTEND) released = session_->NextSettled();
  EXPECT_EQ(released.kind, v1::Settle::RELEASE);
  EXPECT_EQ(released.tag, 2u);
  finish.set_value();
  Settled acked = session_->NextSettled();
  while (acked.kind == v1::Settle::EXTEND) acked = session_->NextSettled();
  EXPECT_EQ(acked.tag, 1u);
  EXPECT_EQ(handled.load(), 1);
  EXPECT_EQ(consumer_->counters().dropped, 1u);
}

TEST_F(ClientConsume, DoesNotExtendWhenToldNotTo) {
  Subscribe({.queue = "orders", .auto_extend = false}, nullptr, /*lease_ms=*/100);
  session_->Deliver(1, 1, {"a"});
  Delivery delivery = Receive();
  session_->Deliver(1, 2, {"b"});
  const Settled released =
      session_->NextSettled();  // b, buffered until near its end: after a's would have been extended
  EXPECT_EQ(released.kind, v1::Settle::RELEASE);
  EXPECT_EQ(released.tag, 2u);
  delivery.Ack();
  EXPECT_EQ(session_->NextSettled().kind, v1::Settle::ACK);
}

TEST_F(ClientConsume, StopReleasesTheUnstartedAndWaitsForTheRunning) {
  std::promise<void> started;
  std::promise<void> finish;
  Subscribe({.queue = "orders"}, [&, finished = finish.get_future().share()](Delivery&) {
    started.set_value();
    finished.wait();
    return Outcome::Ack();
  });
  session_->Deliver(1, 1, {"running", "buffered"});
  started.get_future().get();
  stopped_ = true;
  auto stopped = std::async(std::launch::async, [&] { return consumer_->Stop(kPatience); });
  EXPECT_EQ(session_->NextUnsubscribe(), subscribe_.subscription());
  session_->Deliver(1, 3, {"crossed on the way"});
  session_->ReplyEnded(subscribe_.subscription());
  std::vector<uint64_t> released;
  for (int i = 0; i < 2; ++i) {
    const Settled settled = session_->NextSettled();
    EXPECT_EQ(settled.kind, v1::Settle::RELEASE);
    released.push_back(settled.tag);
  }
  EXPECT_THAT(released, ElementsAre(2, 3));
  EXPECT_EQ(stopped.wait_for(milliseconds(0)), std::future_status::timeout);
  finish.set_value();
  const Settled acked = session_->NextSettled();
  EXPECT_EQ(acked.kind, v1::Settle::ACK);
  EXPECT_EQ(stopped.wait_for(milliseconds(0)),
            std::future_status::timeout);  // not before the ack is answered
  session_->ReplySettled(acked.settlement);
  EXPECT_TRUE(stopped.get().ok());
  EXPECT_TRUE(consumer_->status().ok());
  EXPECT_EQ(consumer_->counters().settled, 1u);
}

TEST_F(ClientConsume, OfAQueueThatDoesNotExistFailsAtOnce) {
  auto pending =
      std::async(std::launch::async, [&] { return client_->Subscribe({.queue = "nowhere"}).status(); });
  auto session = broker_.AwaitSession();
  v1::ServerFrame frame;
  v1::Subscribed& subscribed = *frame.add_subscribed();
  subscribed.set_subscription(session->NextSubscribe().subscription());
  subscribed.mutable_error()->set_code(5);
  subscribed.mutable_error()->set_reason("QUEUE_NOT_FOUND");
  session->Send(frame);
  const absl::Status status = pending.get();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(status), "QUEUE_NOT_FOUND");
}

TEST_F(ClientConsume, EndsWhenItsQueueIsDeleted) {
  Subscribe({.queue = "orders"});
  v1::ServerFrame frame;
  v1::SubscriptionEnded& ended = *frame.add_ended();
  ended.set_subscription(subscribe_.subscription());
  ended.mutable_error()->set_code(5);
  ended.mutable_error()->set_reason("QUEUE_DELETED");
  session_->Send(frame);
  ASSERT_TRUE(consumer_->WaitUntilEnded(kPatience));
  EXPECT_EQ(ReasonOf(consumer_->status()), "QUEUE_DELETED");
  EXPECT_EQ(ReasonOf(consumer_->Receive(milliseconds(1)).status()), "QUEUE_DELETED");
  stopped_ = true;
}

TEST_F(ClientConsume, SubscribesAgainAfterALostConnectionAndForgetsWhatItHadBuffered) {
  Subscribe({.queue = "orders"});
  session_->Deliver(1, 1, {"held", "buffered"});
  Delivery held = Receive();
  Reconnect();
  EXPECT_EQ(subscribe_.queue(), "orders");
  session_->Deliver(subscribe_.subscription(), 1, {"again"});
  EXPECT_EQ(Receive().body(), "again");
  EXPECT_EQ(consumer_->counters().dropped, 1u);
  EXPECT_EQ(session_->NextSettled().tag, 1u);  // "again", released by its destructor; never "buffered"
  held.Release();
}

TEST_F(ClientConsume, AcksByTokenWhatAnEarlierSessionDelivered) {
  std::promise<std::string> token;
  broker_.on_ack = [&](const v1::AckRequest& request, v1::SettleResponse* response) {
    token.set_value(request.tokens(0));
    response->add_results();
    return grpc::Status::OK;
  };
  Subscribe({.queue = "orders"});
  session_->Deliver(1, 7, {"a"});
  Delivery delivery = Receive();
  Reconnect();
  std::promise<absl::Status> acked;
  delivery.Ack([&](const absl::Status& status) { acked.set_value(status); });
  const auto lease = LeaseToken::FromText(token.get_future().get());
  ASSERT_TRUE(lease.has_value());
  EXPECT_EQ(lease->epoch.value(), 1u);
  EXPECT_EQ(lease->delivery.value(), 107u);
  EXPECT_EQ(lease->attempt, 1u);
  EXPECT_EQ(lease->id, MessageId::FromBytes(TestId(7)).value());
  EXPECT_TRUE(acked.get_future().get().ok());
  EXPECT_EQ(consumer_->counters().settled, 1u);
}

TEST_F(ClientConsume, RepeatsByTokenAnAckWhoseAnswerWasLostBeforeItSubscribesAgain) {
  std::atomic<int> acks{0};
  broker_.on_ack = [&](const v1::AckRequest& request, v1::SettleResponse* response) {
    ++acks;
    // The first ack did arrive, then: the message is gone.
    for (int i = 0; i < request.tokens_size(); ++i) {
      v1::Error& error = *response->add_results()->mutable_error();
      error.set_code(5);
      error.set_reason("MESSAGE_NOT_FOUND");
    }
    return grpc::Status::OK;
  };
  Subscribe({.queue = "orders"});
  session_->Deliver(1, 1, {"a"});
  std::promise<absl::Status> acked;
  Receive().Ack([&](const absl::Status& status) { acked.set_value(status); });
  session_->NextSettled();
  Reconnect();
  EXPECT_EQ(acks.load(), 1);  // before the new Subscribe, so that the message is not delivered again
  // It may have been this ack, or a broker that lost the message: the client does not know, and does not
  // guess.
  EXPECT_EQ(ReasonOf(acked.get_future().get()), "MESSAGE_NOT_FOUND");
}

TEST_F(ClientConsume, ReportsALateAckThatIsRefused) {
  broker_.on_ack = [&](const v1::AckRequest&, v1::SettleResponse* response) {
    v1::Error& error = *response->add_results()->mutable_error();
    error.set_code(9);
    error.set_reason("LEASE_LOST");
    return grpc::Status::OK;
  };
  Subscribe({.queue = "orders"});
  session_->Deliver(1, 1, {"a"});
  Delivery delivery = Receive();
  Reconnect();
  std::promise<absl::Status> acked;
  delivery.Ack([&](const absl::Status& status) { acked.set_value(status); });
  EXPECT_EQ(ReasonOf(acked.get_future().get()), "LEASE_LOST");
}

TEST_F(ClientConsume, DoesNotBelieveColumnsThatDoNotFitTogether) {
  Subscribe({.queue = "orders"});
  v1::ServerFrame frame;
  v1::Deliveries& deliveries = *frame.add_deliveries();
  deliveries.set_subscription(subscribe_.subscription());
  deliveries.set_first_tag(1);
  deliveries.set_bodies("short");
  deliveries.add_body_sizes(1'000'000);
  deliveries.set_ids(TestId(1));
  session_->Send(frame);
  ASSERT_TRUE(consumer_->WaitUntilEnded(kPatience));
  EXPECT_EQ(ReasonOf(consumer_->status()), "PROTOCOL_VIOLATION");
  stopped_ = true;
}

TEST_F(ClientConsume, RefusesOptionsOutOfRange) {
  EXPECT_EQ(ReasonOf(client_->Subscribe({.queue = "no spaces"}).status()), "QUEUE_NAME_INVALID");
  EXPECT_EQ(ReasonOf(client_->Subscribe({.queue = "q", .credit = 70'000}).status()), "OUT_OF_RANGE");
  EXPECT_EQ(ReasonOf(client_->Subscribe({.queue = "q", .lease = milliseconds(99)}).status()), "OUT_OF_RANGE");
  EXPECT_EQ(
      ReasonOf(
          client_->Subscribe({.queue = "q", .handler_threads = -1}, [](Delivery&) { return Outcome::Ack(); })
              .status()),
      "OUT_OF_RANGE");
}

}  // namespace
}  // namespace baton
