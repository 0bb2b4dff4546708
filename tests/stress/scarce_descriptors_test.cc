// A broker that may open few files, and clients that take all of them: who is too many hears why, the others
// and the store go on, nothing spins, and there is room again once they leave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "base/runtime_dir.h"
#include "baton/client.h"
#include "local/handshake.h"
#include "tests/stress/process_facts.h"
#include "tests/stress/witness.h"
#include "tests/support/broker_process.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/tls_pair.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr seconds kPatience{20};
constexpr size_t kDescriptors = 300;

// A connection that says nothing. Absent: nobody takes it at once.
std::optional<Descriptor> ConnectAndWait(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  BATON_CHECK(socket) << std::strerror(errno);
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return {};
  return socket;
}

// The same on TCP, and it says the first words of its protocol.
std::optional<Descriptor> ConnectAndGreet(uint16_t port, std::string_view greeting) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return {};
  send(socket.get(), greeting.data(), greeting.size(), MSG_NOSIGNAL);
  return socket;
}

// That somebody speaks TLS there.
bool AnswersOverTls(uint16_t port) {
  const auto socket = ConnectAndGreet(port, "");
  if (!socket.has_value()) return false;
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to what may be closed by then
  const timeval patience{.tv_sec = 2, .tv_usec = 0};
  setsockopt(socket->get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  SSL* const tls = SSL_new(context);
  const unsigned char h2[] = {2, 'h', '2'};
  SSL_set_alpn_protos(tls, h2, sizeof(h2));
  SSL_set_fd(tls, socket->get());
  const bool answers = SSL_connect(tls) == 1;
  SSL_free(tls);
  SSL_CTX_free(context);
  return answers;
}

class ScarceDescriptors : public testing::Test {
 protected:
  explicit ScarceDescriptors(const std::vector<std::string>& flags = {})
      : broker({.under = {"/usr/bin/prlimit", "--nofile=" + std::to_string(kDescriptors)},
                .flags = With({"--memory-budget", "64MiB"}, flags)}) {
    const std::string started = broker.Start();
    BATON_CHECK(started.empty()) << started;
    auto connected = Client::Connect({.url = broker.url()});
    BATON_CHECK(connected.ok()) << connected.status();
    client.emplace(*std::move(connected));
    for (const char* queue : {"witness", "ballast"}) BATON_CHECK(client->CreateQueue(queue).ok());
  }

  // More than it keeps in memory, so that it must open files.
  void ExpectTheStoreWorks() {
    client_api::Message message;
    message.body.assign(64u << 10, 'x');
    const std::vector<client_api::Message> messages(16, message);
    for (int i = 0; i < 60; ++i) {
      const auto answers = client->Publish("ballast", messages);
      ASSERT_TRUE(answers.ok()) << answers.status() << broker.errors();
      for (const auto& answer : *answers) ASSERT_TRUE(answer.ok()) << answer.status();
    }
    ASSERT_TRUE(client->PurgeQueue("ballast").ok());
  }
  void Await(const std::function<bool()>& condition, const char* otherwise) {
    const auto end = steady_clock::now() + kPatience;
    while (!condition()) {
      ASSERT_LT(steady_clock::now(), end) << otherwise;
      std::this_thread::sleep_for(milliseconds(5));
    }
  }
  void ExpectDoesNotSpin() {
    const milliseconds before = CpuTimeOf(broker.process().pid());
    std::this_thread::sleep_for(seconds(1));
    EXPECT_LT(CpuTimeOf(broker.process().pid()) - before, milliseconds(300));
  }
  void ExpectEverybodyIsServedAgain() {
    for (const std::string& url : {broker.url(), broker.grpc_url()}) {
      Await(
          [&] {
            auto newcomer = Client::Connect({.url = url, .connect_timeout = seconds(2)});
            return newcomer.ok() && newcomer->NewProducer().ok() && newcomer->GetQueue("ballast").ok();
          },
          url.c_str());
    }
  }
  std::string socket_path() const { return LocalSocketPath(broker.runtime_dir()); }
  static std::vector<std::string> With(std::vector<std::string> flags, const std::vector<std::string>& more) {
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }

  BrokerProcess broker;
  std::optional<Client> client;
};

TEST_F(ScarceDescriptors, SessionsBeyondAreRefusedInWordsAndTheOthersServed) {
  Witness witness(broker.url(), "witness");
  std::vector<LocalConnection> sessions;
  absl::Status refused;
  while (refused.ok() && sessions.size() < kDescriptors) {
    auto connected = ConnectLocally(socket_path(), 5'000);
    refused = connected.status();
    if (connected.ok()) sessions.push_back(*std::move(connected));
  }
  EXPECT_EQ(ReasonOf(refused), reason::kSessionLimit) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("ulimit -n"));
  EXPECT_GT(sessions.size(), kDescriptors / 12);
  ExpectTheStoreWorks();
  EXPECT_TRUE(witness.SeesLife());
  sessions.clear();
  ExpectEverybodyIsServedAgain();
  EXPECT_THAT(witness.Finish(), IsEmpty());
}

TEST_F(ScarceDescriptors, SilentGuestsOnBatonSockTakeNoneOfTheStores) {
  std::vector<Descriptor> guests;
  const auto come_again = [&] {
    guests.clear();
    while (guests.size() < 2 * kDescriptors) {
      auto guest = ConnectAndWait(socket_path());
      if (!guest.has_value()) break;
      guests.push_back(*std::move(guest));
    }
  };
  come_again();
  EXPECT_GT(guests.size(), kDescriptors / 2);
  ExpectTheStoreWorks();
  come_again();
  ExpectDoesNotSpin();
  guests.clear();
  ExpectEverybodyIsServedAgain();
}

TEST_F(ScarceDescriptors, ConnectionsOnGrpcSockThatTakeAllAreNotTheEnd) {
  std::vector<Descriptor> guests;
  while (guests.size() < 2 * kDescriptors) {
    auto guest = ConnectAndWait(broker.runtime_dir() + "/grpc.sock");
    if (!guest.has_value()) break;
    guests.push_back(*std::move(guest));
  }
  EXPECT_GT(guests.size(), kDescriptors / 2);
  std::printf("%zu connections, the broker has %zu descriptors\n", guests.size(),
              DescriptorsOf(broker.process().pid()));
  ExpectDoesNotSpin();
  ExpectTheStoreWorks();
  ExpectEverybodyIsServedAgain();  // although they are all still there
  guests.clear();
  ExpectEverybodyIsServedAgain();
}

// The parameter: over TLS.
class ScarceDescriptorsOverTcp : public ScarceDescriptors, public testing::WithParamInterface<bool> {
 protected:
  ScarceDescriptorsOverTcp() : ScarceDescriptors(Flags()) {
    const auto status = client->Status();
    BATON_CHECK(status.ok()) << status.status();
    for (const std::string& address : status->listening) {
      if (address.starts_with(GetParam() ? "grpcs://" : "grpc://")) url = address;
    }
    port = static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  }
  static std::vector<std::string> Flags() {
    static const TemporaryDirectory files;
    static const TlsPair pair = MakeTlsPair();
    std::vector<std::string> flags = {"--listen", "127.0.0.1:0"};
    if (!GetParam()) return flags;
    std::ofstream(files.path() + "/cert.pem") << pair.cert;
    std::ofstream(files.path() + "/key.pem") << pair.key;
    return With(flags, {"--tls-cert", files.path() + "/cert.pem", "--tls-key", files.path() + "/key.pem"});
  }
  bool Answers() {
    if (GetParam()) return AnswersOverTls(port);
    auto newcomer = Client::Connect({.url = url, .connect_timeout = seconds(2)});
    return newcomer.ok() && newcomer->GetQueue("ballast").ok();
  }

  std::string url;
  uint16_t port = 0;
};

TEST_P(ScarceDescriptorsOverTcp, ConnectionsThatSpeakAndStayAreNotTheEndOfAnyDoor) {
  Await([&] { return Answers(); }, "nobody answers");
  std::vector<Descriptor> guests;
  while (guests.size() < 2 * kDescriptors) {
    auto guest = ConnectAndGreet(port, GetParam() ? "\x16\x03\x01\x02" : "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    ASSERT_TRUE(guest.has_value()) << std::strerror(errno);
    guests.push_back(*std::move(guest));
  }
  ExpectEverybodyIsServedAgain();  // at the other doors: they have shares of their own
  ExpectTheStoreWorks();
  ExpectDoesNotSpin();
  guests.clear();
  const auto released = steady_clock::now();
  Await([&] { return Answers(); }, "nobody answers any more");
  EXPECT_LT(steady_clock::now() - released, seconds(5));
  EXPECT_THAT(broker.errors(), HasSubstr("a peer has its share of an address's connections"));
}

INSTANTIATE_TEST_SUITE_P(PlainAndTls, ScarceDescriptorsOverTcp, testing::Bool(),
                         [](const auto& info) { return info.param ? "Tls" : "Plain"; });

}  // namespace
}  // namespace baton
