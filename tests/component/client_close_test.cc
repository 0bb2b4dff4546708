// Client::Close in every state of the session, with brokers that do not answer: it does not wait for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <future>
#include <string>

#include "base/error.h"
#include "baton/client.h"
#include "local/descriptor.h"
#include "local/handshake.h"
#include "local/segment.h"
#include "tests/support/broker_process.h"
#include "tests/support/scripted_broker.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

// It takes a tenth of a second at most; more only on a machine that is busy with something else. What it
// could wait for instead takes at least a second.
constexpr milliseconds kAtOnce{700};

void ExpectClosesAtOnce(Client& client) {
  const auto start = steady_clock::now();
  EXPECT_TRUE(client.Close().ok());
  EXPECT_LT(steady_clock::now() - start, kAtOnce);
}

// Somebody listens on baton.sock, and says only what a test wants.
class MuteBroker {
 public:
  MuteBroker()
      : path_(directory_.path() + "/baton.sock"), listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_.get(), 10), 0);
  }

  std::string url() const { return "unix:" + path_; }
  // Of a client that has said hello, which those who only look whether somebody is there do not.
  Descriptor AwaitHello() {
    while (true) {
      Descriptor client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      EXPECT_TRUE(client);
      LocalHello hello;
      if (recv(client.get(), &hello, sizeof(hello), MSG_WAITALL) == sizeof(hello)) return client;
    }
  }
  void Leave() {
    unlink(path_.c_str());
    listener_.Reset();
  }

 private:
  TemporaryDirectory directory_;
  const std::string path_;
  Descriptor listener_;
};

class ClientClose : public testing::Test {
 protected:
  // Opens the session, in vain; what came of it.
  std::future<absl::Status> BeginSession(Client& client) {
    return std::async(std::launch::async, [&client] { return client.NewProducer().status(); });
  }
};

TEST_F(ClientClose, WhenNobodyListensAnyMore) {
  MuteBroker broker;
  Client client = Client::Connect({.url = broker.url(), .call_timeout = milliseconds(50)}).value();
  broker.Leave();
  EXPECT_EQ(ReasonOf(client.NewProducer().status()), "BROKER_UNREACHABLE");
  ExpectClosesAtOnce(client);
}

TEST_F(ClientClose, WhenTheHandshakeIsNotAnswered) {
  MuteBroker broker;
  Client client = Client::Connect({.url = broker.url()}).value();
  auto session = BeginSession(client);
  const Descriptor silent = broker.AwaitHello();
  ExpectClosesAtOnce(client);
  EXPECT_EQ(ReasonOf(session.get()), "CLIENT_CLOSED");
}

TEST_F(ClientClose, WhenTheHelloOfTheSessionIsNotAnswered) {
  MuteBroker broker;
  Client client = Client::Connect({.url = broker.url()}).value();
  auto session = BeginSession(client);
  const Descriptor silent = broker.AwaitHello();
  auto segment = Segment::Create(1u << 18);
  ASSERT_TRUE(segment.ok()) << segment.status();
  RingReader from_client = segment->FromClient();
  ASSERT_TRUE(SendWelcome(silent.get(), WelcomeFor(segment->bytes()), &segment->file()));
  while (!from_client.HasData()) std::this_thread::yield();
  ExpectClosesAtOnce(client);
  EXPECT_EQ(ReasonOf(session.get()), "CLIENT_CLOSED");
}

TEST_F(ClientClose, BetweenAttemptsToReconnect) {
  BrokerProcess broker;
  ASSERT_EQ(broker.Start(), "");
  std::promise<void> lost;
  Client client = Client::Connect({.url = broker.url(),
                                   .reconnect_pause_max = seconds(60),
                                   .on_connection =
                                       [&](ConnectionState state, const absl::Status&) {
                                         if (state == ConnectionState::kLost) lost.set_value();
                                       }})
                      .value();
  ASSERT_TRUE(client.NewProducer().ok());
  broker.Kill();
  lost.get_future().get();
  ExpectClosesAtOnce(client);
}

class ClientCloseStopped : public testing::TestWithParam<std::string> {};

TEST_P(ClientCloseStopped, WhenTheBrokerIsStopped) {
  BrokerProcess broker;
  ASSERT_EQ(broker.Start(), "");
  Client client = Client::Connect({.url = GetParam() == "rings" ? broker.url() : broker.grpc_url()}).value();
  auto producer = client.NewProducer();
  ASSERT_TRUE(producer.ok());
  ASSERT_EQ(kill(broker.process().pid(), SIGSTOP), 0);
  ExpectClosesAtOnce(client);
  kill(broker.process().pid(), SIGCONT);
}

INSTANTIATE_TEST_SUITE_P(Over, ClientCloseStopped, testing::Values("rings", "grpc"),
                         [](const auto& info) { return info.param; });

// The call would take as long as call_timeout allows.
TEST_F(ClientClose, WhenALateAckIsNotAnswered) {
  ScriptedBroker broker;
  std::promise<void> asked;
  std::promise<void> closed;
  broker.on_ack = [&](const v1::AckRequest&, v1::SettleResponse*) {
    asked.set_value();
    EXPECT_EQ(closed.get_future().wait_for(kPatience), std::future_status::ready)
        << "it waits for the answer";
    return grpc::Status::OK;
  };
  Client client = Client::Connect({.url = broker.url(), .close_timeout = milliseconds(0)}).value();
  auto subscribed = std::async(std::launch::async, [&] { return client.Subscribe({.queue = "orders"}); });
  auto session = broker.AwaitSession();
  session->ReplySubscribed(session->NextSubscribe().subscription());
  Consumer consumer = subscribed.get().value();
  session->Deliver(1, 1, {"a"});
  Delivery delivery = *consumer.Receive(kPatience).value();
  session->End();
  session = broker.AwaitSession();
  std::promise<absl::Status> acked;
  delivery.Ack([&](const absl::Status& status) { acked.set_value(status); });
  asked.get_future().get();
  EXPECT_EQ(client.Close().code(), absl::StatusCode::kDeadlineExceeded);
  closed.set_value();
  EXPECT_EQ(ReasonOf(acked.get_future().get()), "CLIENT_CLOSED");
}

}  // namespace
}  // namespace baton
