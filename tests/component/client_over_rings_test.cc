// The client library over rings, against a real broker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>

#include "baton/client.h"
#include "tests/support/broker_process.h"
#include "tests/support/raw_stream.h"

namespace baton {
namespace {

using namespace std::chrono_literals;

class ClientOverRings : public testing::Test {
 protected:
  ClientOverRings() {
    EXPECT_EQ(broker.Start(), "");
    EXPECT_TRUE(Connect().CreateQueue("orders").ok());
  }

  Client Connect() {
    auto client = Client::Connect({.url = broker.url(), .reconnect_pause_max = 50ms});
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }
  QueueCounts Counts() { return Connect().GetQueue("orders")->counts; }

  BrokerProcess broker;
};

TEST_F(ClientOverRings, PublishesAndConsumes) {
  Client client = Connect();
  auto producer = client.NewProducer().value();
  auto consumer = client.Subscribe({.queue = "orders"}).value();
  EXPECT_TRUE(producer.Publish("orders", {.body = "hello", .priority = 3}).get().ok());
  auto delivery = consumer.Receive(30s);
  ASSERT_TRUE(delivery.ok() && delivery->has_value());
  EXPECT_EQ((*delivery)->body(), "hello");
  (*delivery)->Ack();
  EXPECT_TRUE(consumer.Flush(30s).ok());
  EXPECT_EQ(Counts().acked, 1u);
}

TEST_F(ClientOverRings, UnaryCallsGoToTheSocketBeside) {
  Client client = Connect();
  const Message message{.body = "hello"};
  const auto published = client.Publish("orders", std::span(&message, 1));
  ASSERT_TRUE(published.ok()) << published.status();
  const auto received = client.Receive({.queue = "orders"});
  ASSERT_TRUE(received.ok()) << received.status();
  ASSERT_EQ(received->size(), 1u);
  EXPECT_TRUE(client.GetQueue("orders").ok());
}

// Many threads publish at once, some of them alone and some in a hurry: each message is stored once, and each
// thread's in its order.
TEST_F(ClientOverRings, ManyThreadsPublishAtTheirOwnPace) {
  Client client = Connect();
  auto producer = client.NewProducer().value();
  constexpr int kThreads = 4;
  constexpr int kEach = 3'000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&producer, t] {
      for (int i = 0; i < kEach; ++i) {
        producer.Publish("orders", {.body = std::to_string(t) + " " + std::to_string(i)}, [](const auto&) {});
        if (t == 0 && i % 100 == 0) {
          EXPECT_TRUE(producer.Flush(30s).ok());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(producer.Flush(30s).ok());
  auto consumer = client.Subscribe({.queue = "orders", .credit = 500}).value();
  std::vector<int> next(kThreads);
  for (int i = 0; i < kThreads * kEach; ++i) {
    auto delivery = consumer.Receive(30s);
    ASSERT_TRUE(delivery.ok() && delivery->has_value());
    int thread = 0;
    int number = 0;
    ASSERT_EQ(std::sscanf(std::string((*delivery)->body()).c_str(), "%d %d", &thread, &number), 2);
    ASSERT_EQ(number, next[static_cast<size_t>(thread)]++);
    (*delivery)->Ack();
  }
  EXPECT_TRUE(consumer.Flush(30s).ok());
}

TEST_F(ClientOverRings, AHandlerMayRunOnTheClientsOwnThread) {
  Client client = Connect();
  auto producer = client.NewProducer().value();
  std::set<std::thread::id> threads;
  std::atomic<int> handled = 0;
  auto consumer = client
                      .Subscribe({.queue = "orders", .handler_threads = 0, .credit = 100},
                                 [&](Delivery&) {
                                   threads.insert(std::this_thread::get_id());
                                   ++handled;
                                   handled.notify_one();
                                   return Outcome::Ack();
                                 })
                      .value();
  for (int i = 0; i < 1'000; ++i) producer.Publish("orders", {.body = "x"}, [](const auto&) {});
  for (int seen = 0; seen < 1'000; seen = handled) handled.wait(seen);
  EXPECT_TRUE(consumer.Stop(30s).ok());
  EXPECT_EQ(threads.size(), 1u);
  EXPECT_EQ(Counts().acked, 1'000u);
}

TEST_F(ClientOverRings, ARestartOfTheBrokerLosesAndRepeatsNothing) {
  Client client = Connect();
  auto producer = client.NewProducer().value();
  std::atomic<int> confirmed = 0;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 500; ++i) {
      producer.Publish("orders", {.body = "x"},
                       [&](const auto& answer) { confirmed += answer.ok() ? 1 : 0; });
    }
    broker.Kill();
    ASSERT_EQ(broker.Start(), "");
  }
  const absl::Status flushed = producer.Flush(30s);
  EXPECT_TRUE(flushed.ok()) << flushed;
  EXPECT_EQ(confirmed, 2'500);
  EXPECT_EQ(Counts().ready, 2'500u);
}

TEST_F(ClientOverRings, MessagesLargerThanTheRingTravelWhole) {
  Client client = Connect();
  auto producer = client.NewProducer().value();
  auto consumer = client.Subscribe({.queue = "orders"}).value();
  for (const size_t bytes : {100'000u, 262'144u, 1'000'000u, 4'194'304u}) {
    const std::string body(bytes, static_cast<char>('a' + bytes % 26));
    auto confirmed = producer.Publish("orders", {.body = body});
    auto delivery = consumer.Receive(30s);
    ASSERT_TRUE(delivery.ok() && delivery->has_value());
    EXPECT_EQ((*delivery)->body(), body);
    EXPECT_TRUE(confirmed.get().ok());
    (*delivery)->Ack();
  }
}

// A child holds the socket too, so its closing alone would not tell of the parent's end.
TEST_F(ClientOverRings, LeasesOfAKilledProcessComeBackThoughItsChildLivesOn) {
  Client client = Connect();
  const Message message{.body = "a"};
  ASSERT_TRUE(client.Publish("orders", std::span(&message, 1)).ok());
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    auto stream = OpenRingStream(broker.runtime_dir() + "/baton.sock");
    v1::ClientFrame frame;
    frame.mutable_hello()->set_protocol_version(1);
    frame.mutable_hello()->set_client_name("parent");
    auto* subscribe = frame.add_subscribe();
    subscribe->set_subscription(1);
    subscribe->set_queue("orders");
    subscribe->set_credit_messages(1);
    stream->Write(frame);
    v1::ServerFrame answer;
    while (answer.deliveries().empty()) {
      if (!stream->Read(answer)) _exit(1);
    }
    const pid_t child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
    if (write(ready[1], &child, sizeof(child)) != sizeof(child)) _exit(1);
    pause();
    _exit(0);
  }
  pid_t child = 0;
  ASSERT_EQ(read(ready[0], &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)));
  EXPECT_EQ(Counts().leased, 1u);
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  EXPECT_EQ(client.Receive({.queue = "orders", .wait = 30s})->size(), 1u);
  kill(child, SIGKILL);
  close(ready[0]);
  close(ready[1]);
}

TEST_F(ClientOverRings, IsNotInheritedByAForkedChild) {
  Client client = Connect();
  auto producer = client.NewProducer().value();
  ASSERT_TRUE(producer.Publish("orders", {.body = "parent"}).get().ok());
  const pid_t child = fork();
  if (child == 0) {
    const auto refused = producer.Publish("orders", {.body = "child"}).get();
    _exit(refused.ok() ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(producer.Publish("orders", {.body = "parent"}).get().ok());
  EXPECT_EQ(Counts().ready, 2u);
}

}  // namespace
}  // namespace baton
