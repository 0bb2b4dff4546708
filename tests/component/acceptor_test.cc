// Who comes in at a door: those who speak its protocol, as many as there is room for, and fairly.
#include "server/listen/acceptor.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/mutex.h"
#include "server/listen/listening_socket.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

using std::chrono::steady_clock;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::chrono::milliseconds kPatience{10'000};  // reached only by a failure

// What whoever serves the door was given.
class Served {
 public:
  void Add(int socket) {
    const MutexLock lock(mutex_);
    sockets_.emplace_back(socket);
    came_.NotifyAll();
  }
  Descriptor Next() {
    const MutexLock lock(mutex_);
    while (sockets_.empty()) came_.Wait(mutex_);
    Descriptor next = std::move(sockets_.front());
    sockets_.pop_front();
    return next;
  }

 private:
  Mutex mutex_;
  CondVar came_;
  std::deque<Descriptor> sockets_ ABSL_GUARDED_BY(mutex_);
};

bool Speak(const Descriptor& socket, std::string_view text) {
  return send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

// What comes next; "" when the connection is at its end.
std::string Hear(const Descriptor& socket) {
  pollfd ready{.fd = socket.get(), .events = POLLIN, .revents = 0};
  if (poll(&ready, 1, static_cast<int>(kPatience.count())) != 1) return "nothing came";
  char bytes[64];
  const ssize_t got = recv(socket.get(), bytes, sizeof(bytes), 0);
  return got > 0 ? std::string(bytes, static_cast<size_t>(got)) : "";
}

class AcceptorTest : public testing::Test {
 protected:
  void Open(size_t connections_max, Acceptor::Greeting greeting = Acceptor::Greeting::kHttp2) {
    auto unix_socket = ListenOnUnix(path);
    auto tcp = ListenOnTcp("127.0.0.1", 0);
    BATON_CHECK(unix_socket.ok() && tcp.ok()) << unix_socket.status() << tcp.status();
    port = tcp->port;
    std::vector<Descriptor> sockets = std::move(tcp->sockets);
    sockets.push_back(*std::move(unix_socket));
    std::vector<Acceptor::Door> doors;
    doors.push_back({.sockets = std::move(sockets),
                     .greeting = greeting,
                     .connections_max = connections_max,
                     .welcome = [this](int socket) -> intptr_t {
                       served.Add(socket);
                       return 0;
                     }});
    acceptor.emplace(Acceptor::Options{.on_incident =
                                           [this](const Acceptor::Incident& incident) {
                                             const MutexLock lock(mutex);
                                             incidents.push_back(fmt::format("{} {}: {}", incident.peer,
                                                                             incident.event, incident.done));
                                           }},
                     std::move(doors));
    acceptor->Start();
  }
  Descriptor Connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    BATON_CHECK_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return socket;
  }
  Descriptor ConnectOverTcp() const {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    BATON_CHECK_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return socket;
  }
  std::vector<std::string> Incidents() {
    const MutexLock lock(mutex);
    return incidents;
  }

  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/door.sock";
  uint16_t port = 0;
  Served served;
  Mutex mutex;
  std::vector<std::string> incidents;
  std::optional<Acceptor> acceptor;
};

TEST_F(AcceptorTest, HandsAConnectionOverOnceItsClientHasSpokenAndTakesNoneOfItsWords) {
  Open(10);
  const Descriptor client = Connect();
  ASSERT_TRUE(Speak(client, kPreface.substr(0, 7)));
  ASSERT_TRUE(Speak(client, kPreface.substr(7)));
  const Descriptor server = served.Next();
  EXPECT_EQ(Hear(server), kPreface);
  EXPECT_THAT(Incidents(), IsEmpty());
}

TEST_F(AcceptorTest, SendsAwayWhoDoesNotSpeakTheProtocol) {
  Open(10);
  const Descriptor client = ConnectOverTcp();
  ASSERT_TRUE(Speak(client, "GET / HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(Hear(client).substr(0, 9), std::string("\0\0\0\4\0\0\0\0\0", 9)) << "HTTP/2 is spoken here";
  EXPECT_EQ(Hear(client), "");
  EXPECT_THAT(Incidents(),
              Contains(AllOf(StartsWith("ipv4:127.0.0.1:"), HasSubstr("does not speak HTTP/2"))));
}

TEST_F(AcceptorTest, ExpectsTlsWhereTlsIsSpoken) {
  Open(10, Acceptor::Greeting::kTls);
  const Descriptor plain = ConnectOverTcp();
  ASSERT_TRUE(Speak(plain, kPreface));
  EXPECT_EQ(Hear(plain), "");
  const Descriptor client = ConnectOverTcp();
  ASSERT_TRUE(Speak(client, "\x16\x03\x01"));
  EXPECT_EQ(Hear(served.Next()), "\x16\x03\x01");
}

TEST_F(AcceptorTest, LetsWhoeverHasBeenSilentForLongestMakeRoom) {
  Open(10'000);
  std::vector<Descriptor> silent;
  for (int i = 0; i < 300; ++i) silent.push_back(Connect());
  EXPECT_EQ(Hear(silent.front()), "");
  const Descriptor client = Connect();
  ASSERT_TRUE(Speak(client, kPreface));
  EXPECT_EQ(Hear(served.Next()), kPreface);
  ASSERT_TRUE(Speak(silent.back(), kPreface));
  EXPECT_EQ(Hear(served.Next()), kPreface);
  EXPECT_THAT(Incidents(), Contains(HasSubstr("closed the longest silent")));
}

TEST_F(AcceptorTest, GivesAPeerItsShareAndHasRoomAgainWhenItsConnectionsHaveEnded) {
  Open(8);
  std::vector<Descriptor> clients;
  std::vector<Descriptor> servers;
  const auto come_in = [&] {
    clients.push_back(ConnectOverTcp());
    ASSERT_TRUE(Speak(clients.back(), kPreface));
    servers.push_back(served.Next());
    ASSERT_EQ(Hear(servers.back()), kPreface);
  };
  for (int i = 0; i < 4; ++i) come_in();
  EXPECT_EQ(Hear(ConnectOverTcp()), "");
  EXPECT_THAT(Incidents(), Contains(HasSubstr("a peer has its share")));
  const Descriptor other = Connect();  // another peer's
  ASSERT_TRUE(Speak(other, kPreface));
  const Descriptor others = served.Next();

  servers.clear();  // as gRPC does, without a word to us
  const auto end = steady_clock::now() + kPatience;
  std::string heard;
  while (heard.empty() && steady_clock::now() < end) {
    const Descriptor again = ConnectOverTcp();
    if (!Speak(again, kPreface)) continue;
    pollfd closed{.fd = again.get(), .events = POLLIN, .revents = 0};
    if (poll(&closed, 1, 50) == 0) heard = Hear(served.Next());
  }
  EXPECT_EQ(heard, kPreface);
}

TEST_F(AcceptorTest, EndsTheConnectionOfAPeerWhoeverServesIt) {
  Open(10);
  const Descriptor client = ConnectOverTcp();
  const Descriptor other = ConnectOverTcp();
  std::vector<Descriptor> servers;
  for (const Descriptor* socket : {&client, &other}) {
    ASSERT_TRUE(Speak(*socket, kPreface));
    servers.push_back(served.Next());
    ASSERT_EQ(Hear(servers.back()), kPreface);
  }
  acceptor->Drop(Peer::Of(servers.front().get()).text);
  EXPECT_EQ(Hear(client), "");
  EXPECT_EQ(Hear(servers.front()), "");
  ASSERT_TRUE(Speak(other, "more"));
  EXPECT_EQ(Hear(servers.back()), "more");
}

TEST(Guests, MakeRoomWhereMostComeFromOneHostTheLongestSilentFirst) {
  Guests guests;
  const auto add = [&guests](const char* host, const char* text) {
    guests.Add(
        {.socket = {}, .peer = {.text = text, .host = host, .process = {}}, .door = 0, .deadline = {}});
  };
  add("a", "a1");
  add("b", "b1");
  add("b", "b2");
  const auto next = [&guests] {
    const auto taken = guests.TakeLongestSilent([](const Guest&) { return true; });
    return taken.has_value() ? taken->peer.text : "";
  };
  EXPECT_EQ(next(), "b1");
  EXPECT_EQ(next(), "a1");
  EXPECT_EQ(next(), "b2");
  EXPECT_EQ(next(), "");
}

}  // namespace
}  // namespace baton
