// The life of the real client's session: connecting, losing, giving up, closing, forking.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <string>

#include "base/error.h"
#include "baton/client.h"
#include "tests/support/scripted_broker.h"

namespace baton {
namespace {

using std::chrono::milliseconds;

v1::ServerFrame GoAway(uint32_t code, const std::string& reason, uint64_t retry_after_ms = 0) {
  v1::ServerFrame frame;
  frame.mutable_go_away()->mutable_error()->set_code(code);
  frame.mutable_go_away()->mutable_error()->set_reason(reason);
  frame.mutable_go_away()->mutable_error()->set_message("because");
  frame.mutable_go_away()->set_retry_after_ms(retry_after_ms);
  return frame;
}

// gRPC looks at idle sockets every five seconds by itself, which would hide a client that does not.
class NoBackupPoller : public testing::Environment {
 public:
  void SetUp() override { ::setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "0", 1); }
};
const auto* const kNoBackupPoller = testing::AddGlobalTestEnvironment(new NoBackupPoller);

// Returns when others, too, have tried in vain to reach the broker several times.
void LetAttemptsFail(const std::string& url) {
  EXPECT_FALSE(Client::Connect({.url = url, .connect_timeout = milliseconds(700)}).ok());
}

TEST(ClientConnect, WithoutABrokerSaysSoAndHowToStartOne) {
  TemporaryDirectory directory;
  const auto client = Client::Connect(
      {.url = "grpc+unix:" + directory.path() + "/grpc.sock", .connect_timeout = milliseconds(0)});
  EXPECT_EQ(client.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(client.status()), "BROKER_UNREACHABLE");
  const std::string message(client.status().message());
  EXPECT_NE(message.find("no broker answers at grpc+unix:"), std::string::npos) << message;
  EXPECT_NE(message.find("batond"), std::string::npos) << message;
}

TEST(ClientConnect, WaitsForABrokerThatIsStartedLater) {
  ScriptedBroker broker;
  broker.Kill();
  auto client = std::async(std::launch::async, [url = broker.url()] {
    return Client::Connect({.url = url, .connect_timeout = kPatience});
  });
  broker.Start();
  EXPECT_TRUE(client.get().ok());
}

TEST(ClientConnect, FindsABrokerThatIsStartedAfterAttemptsHaveFailed) {
  ScriptedBroker broker;
  broker.Kill();
  auto client = std::async(std::launch::async, [url = broker.url()] {
    return Client::Connect({.url = url, .connect_timeout = kPatience});
  });
  LetAttemptsFail(broker.url());
  broker.Start();
  EXPECT_TRUE(client.get().ok());
}

TEST(ClientConnect, RefusesACertificateThatCannotBeRead) {
  const auto client =
      Client::Connect({.url = "grpcs://localhost:1", .tls = {.ca_file = "/nonexistent/ca.pem"}});
  EXPECT_EQ(client.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(client.status().message()).find("/nonexistent/ca.pem"), std::string::npos);
}

TEST(ClientSession, TellsWhenItIsConnectedAndLost) {
  ScriptedBroker broker;
  std::promise<void> connected;
  std::promise<absl::Status> lost;
  std::atomic<int> connections{0};
  auto client = Client::Connect(
      {.url = broker.url(), .on_connection = [&](ConnectionState state, const absl::Status& why) {
         if (state == ConnectionState::kLost) return lost.set_value(why);
         if (++connections == 2) connected.set_value();
       }});
  ASSERT_TRUE(client.ok());
  auto producer = client->NewProducer();
  auto session = broker.AwaitSession();
  session->Send(GoAway(14, "BROKER_STOPPING"));
  session->End();
  EXPECT_EQ(ReasonOf(lost.get_future().get()), "BROKER_STOPPING");
  connected.get_future().get();
  broker.AwaitSession();
}

TEST(ClientSession, IsGivenUpAtAnErrorThatReconnectingCannotMend) {
  ScriptedBroker broker;
  auto client = Client::Connect({.url = broker.url()});
  ASSERT_TRUE(client.ok());
  auto producer = client->NewProducer();
  ASSERT_TRUE(producer.ok());
  auto session = broker.AwaitSession();
  auto answer = producer->Publish("orders", {.body = "x"});
  session->NextPublish();
  session->Send(GoAway(3, "PROTOCOL_VIOLATION"));
  session->End();
  EXPECT_EQ(ReasonOf(answer.get().status()), "PROTOCOL_VIOLATION");
  EXPECT_EQ(ReasonOf(producer->Publish("orders", {.body = "y"}).get().status()), "PROTOCOL_VIOLATION");
  EXPECT_EQ(ReasonOf(client->NewProducer().status()), "PROTOCOL_VIOLATION");
  EXPECT_EQ(ReasonOf(client->Subscribe({.queue = "orders"}).status()), "PROTOCOL_VIOLATION");
}

TEST(ClientSession, IsGivenUpWhenTheBrokerBreaksTheProtocol) {
  ScriptedBroker broker;
  auto client = Client::Connect({.url = broker.url()});
  ASSERT_TRUE(client.ok());
  auto producer = client->NewProducer();
  ASSERT_TRUE(producer.ok());
  auto session = broker.AwaitSession();
  auto answer = producer->Publish("orders", {.body = "x"});
  session->NextPublish();
  session->Confirm(1, 9);  // never sent
  EXPECT_EQ(ReasonOf(answer.get().status()), "PROTOCOL_VIOLATION");
}

TEST(ClientSession, RefusesABrokerOfAnotherVersion) {
  ScriptedBroker broker;
  broker.AnswerHellos(false);
  auto client = Client::Connect({.url = broker.url()});
  ASSERT_TRUE(client.ok());
  auto producer = std::async(std::launch::async, [&] { return client->NewProducer().status(); });
  auto session = broker.AwaitSession();
  session->NextHello();
  v1::ServerFrame frame;
  frame.mutable_hello()->set_protocol_version(2);
  session->Send(frame);
  EXPECT_EQ(ReasonOf(producer.get()), "PROTOCOL_VIOLATION");
}

TEST(ClientSession, SendsNothingBeforeTheHelloIsAnswered) {
  ScriptedBroker broker;
  auto client = Client::Connect({.url = broker.url(), .reconnect_pause_max = milliseconds(100)});
  ASSERT_TRUE(client.ok());
  auto producer = client->NewProducer();
  ASSERT_TRUE(producer.ok());
  broker.AwaitSession()->NextHello();
  broker.AnswerHellos(false);
  broker.Kill();
  auto answer = producer->Publish("orders", {.body = "x"});
  broker.Start();
  auto session = broker.AwaitSession();
  session->NextHello();
  EXPECT_EQ(session->publishes_waiting(), 0u);
  session->ReplyHello();
  EXPECT_EQ(session->NextPublish().sequence, 1u);
  session->Confirm(1, 1);
  EXPECT_TRUE(answer.get().ok());
}

TEST(ClientSession, ComesBackAfterManyAttemptsHaveFailed) {
  ScriptedBroker broker;
  auto client = Client::Connect({.url = broker.url(), .reconnect_pause_max = milliseconds(100)});
  ASSERT_TRUE(client.ok());
  auto producer = client->NewProducer();
  ASSERT_TRUE(producer.ok());
  broker.AwaitSession();
  broker.Kill();
  LetAttemptsFail(broker.url());
  EXPECT_EQ(client->Status().status().code(), absl::StatusCode::kUnavailable);
  broker.Start();
  auto answer = producer->Publish("orders", {.body = "x"});
  auto again = broker.AwaitSession();
  again->NextPublish();
  again->Confirm(1, 1);
  EXPECT_TRUE(answer.get().ok());
  EXPECT_TRUE(client->Status().ok());
}

TEST(ClientSession, SaysGoodbyeWhenItIsClosed) {
  ScriptedBroker broker;
  std::shared_ptr<ScriptedSession> session;
  {
    auto client = Client::Connect({.url = broker.url()});
    ASSERT_TRUE(client.ok());
    auto producer = client->NewProducer();
    session = broker.AwaitSession();
  }
  session->AwaitGoodbye();
}

TEST(ClientSession, MayBeClosedFromItsOwnCallback) {
  ScriptedBroker broker;
  auto client = Client::Connect({.url = broker.url()});
  ASSERT_TRUE(client.ok());
  auto producer = client->NewProducer();
  ASSERT_TRUE(producer.ok());
  auto session = broker.AwaitSession();
  std::promise<absl::Status> closed;
  producer->Publish("orders", {.body = "x"},
                    [&](const absl::StatusOr<Confirmation>&) { closed.set_value(client->Close()); });
  session->NextPublish();
  session->Confirm(1, 1);
  EXPECT_TRUE(closed.get_future().get().ok());
  session->AwaitGoodbye();
}

// Exit codes of the child: what went wrong there.
int InForkedChild(Client& client, Producer& producer, Consumer& consumer) {
  if (producer.Publish("orders", {.body = "x"}).get().status().code() !=
      absl::StatusCode::kFailedPrecondition)
    return 1;
  if (ReasonOf(client.Status().status()) != "CLIENT_FORKED") return 2;
  if (ReasonOf(client.NewProducer().status()) != "CLIENT_FORKED") return 3;
  if (ReasonOf(consumer.Receive(milliseconds(1)).status()) != "CLIENT_FORKED") return 4;
  if (ReasonOf(producer.Flush(milliseconds(1))) != "CLIENT_FORKED") return 5;
  {
    const Client dead_client = std::move(client);
    const Producer dead_producer = std::move(producer);
    const Consumer dead_consumer = std::move(consumer);
  }
  return 0;
}

TEST(ClientSession, IsNotInheritedByAForkedChild) {
  ScriptedBroker broker;
  auto client = Client::Connect({.url = broker.url()});
  ASSERT_TRUE(client.ok());
  auto producer = client->NewProducer();
  ASSERT_TRUE(producer.ok());
  auto session = broker.AwaitSession();
  auto subscribed = std::async(std::launch::async, [&] { return client->Subscribe({.queue = "orders"}); });
  session->ReplySubscribed(session->NextSubscribe().subscription());
  auto consumer = subscribed.get();
  ASSERT_TRUE(consumer.ok());

  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);  // a child that hangs is a failure
    ::_exit(InForkedChild(*client, *producer, *consumer));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);

  // The parent goes on as before.
  auto answer = producer->Publish("orders", {.body = "x"});
  EXPECT_EQ(session->NextPublish().body, "x");
  session->Confirm(1, 1);
  EXPECT_TRUE(answer.get().ok());
  session->ReplyEnded(1);
}

}  // namespace
}  // namespace baton
