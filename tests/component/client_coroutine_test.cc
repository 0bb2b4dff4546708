// Coroutines over the real client, against a broker that does what the test says.
#include "baton/coroutine.h"

#include <gtest/gtest.h>

#include <coroutine>
#include <exception>
#include <future>

#include "baton/client.h"
#include "tests/support/scripted_broker.h"

namespace baton {
namespace {

// The least coroutine there is: starts at once, and tells by its promise.
struct Started {
  struct promise_type {
    Started get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};

Started PublishTwo(Producer& producer, std::promise<absl::Status>& done) {
  // Named: see the trap in baton/coroutine.h.
  const Message one{.body = "first"};
  const Message other{.body = "second"};
  const auto first = co_await PublishAwaitable(producer, "orders", one);
  if (!first.ok()) {
    done.set_value(first.status());
    co_return;
  }
  const auto second = co_await PublishAwaitable(producer, "orders", other);
  done.set_value(second.status());
}

Started AckIt(Delivery& delivery, std::promise<absl::Status>& done) {
  done.set_value(co_await AckAwaitable(delivery));
}

TEST(ClientCoroutine, GoesOnWhenAPublishIsConfirmed) {
  ScriptedBroker broker;
  auto client = Client::Connect({.url = broker.url()});
  ASSERT_TRUE(client.ok());
  auto producer = client->NewProducer();
  ASSERT_TRUE(producer.ok());
  auto session = broker.AwaitSession();
  std::promise<absl::Status> done;
  PublishTwo(*producer, done);
  EXPECT_EQ(session->NextPublish().body, "first");
  EXPECT_EQ(session->publishes_waiting(), 0u);  // the second waits for the first
  session->Confirm(1, 1);
  EXPECT_EQ(session->NextPublish().body, "second");
  session->Confirm(2, 2);
  EXPECT_TRUE(done.get_future().get().ok());
}

TEST(ClientCoroutine, GoesOnAtOnceWhenThereIsNothingToSend) {
  ScriptedBroker broker;
  auto client = Client::Connect({.url = broker.url()});
  ASSERT_TRUE(client.ok());
  auto producer = client->NewProducer();
  ASSERT_TRUE(producer.ok());
  ASSERT_TRUE(client->Close().ok());
  std::promise<absl::Status> done;
  PublishTwo(*producer, done);
  EXPECT_EQ(ReasonOf(done.get_future().get()), "CLIENT_CLOSED");
}

TEST(ClientCoroutine, GoesOnWhenAnAckIsAnswered) {
  ScriptedBroker broker;
  auto client = Client::Connect({.url = broker.url()});
  ASSERT_TRUE(client.ok());
  auto subscribed = std::async(std::launch::async, [&] { return client->Subscribe({.queue = "orders"}); });
  auto session = broker.AwaitSession();
  const uint64_t subscription = session->NextSubscribe().subscription();
  session->ReplySubscribed(subscription);
  auto consumer = subscribed.get();
  ASSERT_TRUE(consumer.ok());
  session->Deliver(subscription, 1, {"a"});
  auto received = consumer->Receive(kPatience);
  ASSERT_TRUE(received.ok() && received->has_value());
  std::promise<absl::Status> done;
  AckIt(**received, done);
  EXPECT_EQ(session->NextSettled().kind, v1::Settle::ACK);
  session->ReplySettled(1);
  EXPECT_TRUE(done.get_future().get().ok());
  session->ReplyEnded(subscription);
}

}  // namespace
}  // namespace baton
