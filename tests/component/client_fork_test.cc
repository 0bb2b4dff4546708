// A client that forks: the child is told so and can do no harm, however it ends, and may have a client of its
// own; the parent goes on as if there were no child.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "baton/client.h"
#include "tests/support/broker_process.h"

namespace {

bool in_child = false;

}  // namespace

// Asked by LeakSanitizer when a process ends, if there is one. A child has none of the parent's threads and
// their stacks, and keeps on purpose what it must not destroy: all of that looks like leaks.
extern "C" int __lsan_is_turned_off() { return in_child ? 1 : 0; }

namespace baton {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kChildSecondsMax = 30;  // a child that hangs is a failure

// Runs in a child; 0, or what went wrong there.
int RunInChild(const std::function<int()>& child, const std::function<void(int)>& end) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    in_child = true;
    ::alarm(kChildSecondsMax);
    end(child());
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  return WEXITSTATUS(status);
}

bool IsForked(const absl::Status& status) { return ReasonOf(status) == "CLIENT_FORKED"; }

class ClientFork : public testing::TestWithParam<std::string> {
 protected:
  ClientFork() {
    EXPECT_EQ(broker_.Start(), "");
    client_.emplace(Client::Connect({.url = url(),
                                     .on_connection =
                                         [this](ConnectionState state, const absl::Status&) {
                                           lost_ += state == ConnectionState::kLost ? 1 : 0;
                                         }})
                        .value());
    EXPECT_TRUE(client_->CreateQueue("orders").ok());
    producer_.emplace(client_->NewProducer().value());
    consumer_.emplace(client_->Subscribe({.queue = "orders", .credit = 1}).value());
    EXPECT_TRUE(producer_->Publish("orders", {.body = "parent's"}).get().ok());
    delivery_.emplace(*consumer_->Receive(30s).value());
  }

  std::string url() const { return GetParam() == "rings" ? broker_.url() : broker_.grpc_url(); }

  // Exit codes: what went wrong.
  int TryEverything() {
    if (!IsForked(producer_->Publish("orders", {.body = "child's"}).get().status())) return 1;
    if (!IsForked(producer_->TryPublish("orders", {.body = "child's"}, [](const auto&) {}))) return 2;
    if (!IsForked(producer_->Flush(1ms))) return 3;
    if (!IsForked(consumer_->Receive(1ms).status())) return 4;
    if (!IsForked(consumer_->Stop(1ms))) return 5;
    if (!IsForked(client_->Status().status())) return 6;
    if (!IsForked(client_->NewProducer().status())) return 7;
    if (!IsForked(client_->Subscribe({.queue = "orders"}).status())) return 8;
    std::optional<absl::Status> acked;
    delivery_->Ack([&](const absl::Status& status) { acked = status; });
    if (!acked.has_value() || !IsForked(*acked)) return 9;
    if (!IsForked(client_->Close())) return 10;
    return 0;
  }
  void DestroyEverything() {
    delivery_.reset();
    consumer_.reset();
    producer_.reset();
    client_.reset();
  }

  // The parent has its session and its lease, and both are good.
  void ExpectUntouched() {
    EXPECT_EQ(lost_, 0);
    EXPECT_EQ(client_->Status()->sessions, 1u);
    EXPECT_EQ(client_->GetQueue("orders")->counts.leased, 1u);
    std::promise<absl::Status> acked;
    delivery_->Ack([&](const absl::Status& status) { acked.set_value(status); });
    const absl::Status status = acked.get_future().get();
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_TRUE(producer_->Publish("orders", {.body = "next"}).get().ok());
    EXPECT_EQ((*consumer_->Receive(30s).value()).body(), "next");
    EXPECT_EQ(client_->GetQueue("orders")->counts.returned, 0u);
  }

  BrokerProcess broker_;
  std::atomic<int> lost_{0};
  std::optional<Client> client_;
  std::optional<Producer> producer_;
  std::optional<Consumer> consumer_;
  std::optional<Delivery> delivery_;
};

TEST_P(ClientFork, TheChildIsToldWhateverItTries) {
  EXPECT_EQ(RunInChild([this] { return TryEverything(); }, ::_exit), 0);
  ExpectUntouched();
}

TEST_P(ClientFork, DestructorsInTheChildTouchNothing) {
  const auto child = [this] {
    DestroyEverything();
    return 0;
  };
  EXPECT_EQ(RunInChild(child, ::_exit), 0);
  ExpectUntouched();
}

TEST_P(ClientFork, AChildThatExitsTouchesNothing) {
  const auto child = [this] {
    DestroyEverything();
    return 0;
  };
  EXPECT_EQ(RunInChild(child, [](int code) { std::exit(code); }), 0);
  ExpectUntouched();
}

TEST_P(ClientFork, AChildThatIsKilledTouchesNothing) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kChildSecondsMax);
    while (true) ::pause();
  }
  ::kill(child, SIGKILL);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  ExpectUntouched();
}

// Exit codes: what went wrong.
int UseAClientOfItsOwn(const std::string& url) {
  auto client = Client::Connect({.url = url, .call_timeout = 10s});
  if (!client.ok()) return 1;
  auto producer = client->NewProducer();
  if (!producer.ok()) return 2;
  if (!producer->Publish("child", {.body = "child's"}).get().ok()) return 3;
  auto consumer = client->Subscribe({.queue = "child"});
  if (!consumer.ok()) return 4;
  auto delivery = consumer->Receive(10s);
  if (!delivery.ok() || !delivery->has_value()) return 5;
  (*delivery)->Ack();
  if (!consumer->Flush(10s).ok()) return 6;
  if (!IsForked(client->GetQueue("child").status())) return 7;
  if (!client->Close().ok()) return 8;
  return 0;
}

// Over rings; gRPC's state would be the parent's, in part.
TEST_P(ClientFork, TheChildMayHaveAClientOfItsOwnOverRings) {
  ASSERT_TRUE(client_->CreateQueue("child").ok());
  EXPECT_EQ(RunInChild([this] { return UseAClientOfItsOwn(broker_.url()); }, ::_exit), 0);
  EXPECT_EQ(client_->GetQueue("child")->counts.acked, 1u);
  ExpectUntouched();
}

TEST_P(ClientFork, TheChildOfAProcessThatUsedGrpcIsToldNotTo) {
  const auto child = [this] {
    return IsForked(Client::Connect({.url = broker_.grpc_url()}).status()) ? 0 : 1;
  };
  EXPECT_EQ(RunInChild(child, ::_exit), 0);
  ExpectUntouched();
}

// Exit codes: what went wrong.
int UseGrpc(const std::string& url, const std::string& queue) {
  auto client = Client::Connect({.url = url, .call_timeout = 10s});
  if (!client.ok()) return 1;
  if (!client->CreateQueue(queue).ok()) return 2;
  auto producer = client->NewProducer();
  if (!producer.ok() || !producer->Publish(queue, {.body = "x"}).get().ok()) return 3;
  if (client->GetQueue(queue)->counts.ready != 1) return 4;
  return client->Close().ok() ? 0 : 5;
}

int ForkBeforeTheFirstClient() {
  BrokerProcess broker;
  if (!broker.Start().empty()) return 10;
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kChildSecondsMax);
    ::_exit(UseGrpc(broker.grpc_url(), "child"));
  }
  const int parent = UseGrpc(broker.grpc_url(), "parent");
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return 11;
  return parent != 0 ? 20 + parent : WEXITSTATUS(status);
}

// In a process that is started for it, because this one has had clients.
TEST(ClientForkFirst, ParentAndChildMayBothUseGrpc) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(std::exit(ForkBeforeTheFirstClient()), testing::ExitedWithCode(0), "");
}

INSTANTIATE_TEST_SUITE_P(Over, ClientFork, testing::Values("rings", "grpc"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace baton
