// Clients that speak HTTP/2 and mean no request by it: what gRPC itself cannot be kept from is ended from
// outside, soon, and others go on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "baton/client.h"
#include "local/descriptor.h"
#include "tests/stress/process_facts.h"
#include "tests/stress/witness.h"
#include "tests/support/broker_process.h"

namespace baton {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr seconds kPatience{60};
constexpr size_t kMiB = 1u << 20;

enum FrameType : char { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kContinuation = 9 };
constexpr char kEndStream = 1;
constexpr char kEndHeaders = 4;

std::string BigEndian(uint32_t number) {
  return {static_cast<char>(number >> 24), static_cast<char>(number >> 16), static_cast<char>(number >> 8),
          static_cast<char>(number)};
}

std::string Frame(FrameType type, char flags, uint32_t stream, std::string_view payload) {
  std::string frame = BigEndian(static_cast<uint32_t>(payload.size())).substr(1);
  frame += type;
  frame += flags;
  frame += BigEndian(stream);
  return frame.append(payload);
}

enum class Indexed : char { kNo = 0, kFromNowOn = 0x40 };

// Of less than 127 bytes each.
std::string Header(std::string_view name, std::string_view value, Indexed indexed) {
  std::string bytes(1, static_cast<char>(indexed));
  for (const std::string_view text : {name, value}) {
    bytes += static_cast<char>(text.size());
    bytes += text;
  }
  return bytes;
}

std::string RequestHeaders(Indexed indexed, std::string_view method = "GetStatus") {
  return Header(":method", "POST", indexed) + Header(":scheme", "http", indexed) +
         Header(":path", "/baton.v1.Admin/" + std::string(method), indexed) +
         Header(":authority", "x", indexed) + Header("content-type", "application/grpc", indexed) +
         Header("te", "trailers", indexed);
}
// The six of them, from the table: the first that was added has the largest number.
constexpr std::string_view kSameHeaders = "\xc3\xc2\xc1\xc0\xbf\xbe";

class HostileHttp2 : public testing::Test {
 protected:
  HostileHttp2() : broker({.flags = {"--memory-budget", "64MiB", "--listen", "127.0.0.1:0"}}) {
    const std::string started = broker.Start();
    BATON_CHECK(started.empty()) << started;
    auto connected = Client::Connect({.url = broker.grpc_url()});
    BATON_CHECK(connected.ok() && connected->CreateQueue("witness").ok()) << connected.status();
    const auto status = connected->Status();
    BATON_CHECK(status.ok()) << status.status();
    for (const std::string& address : status->listening) {
      if (address.starts_with("grpc://"))
        port = static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    }
    before = ResidentBytesOf(broker.process().pid());
  }
  enum class Door { kTcp, kLocal };

  void Connect(std::string_view settings = "") {
    door == Door::kTcp ? ConnectByTcp() : ConnectLocally();
    BATON_CHECK(Say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Frame(kSettings, 0, 0, settings)));
  }
  void ConnectLocally() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = broker.runtime_dir() + "/grpc.sock";
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    socket = Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    BATON_CHECK_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  void ConnectByTcp() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    socket = Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    BATON_CHECK_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  // False: the broker has closed the connection. What it answers is read and let go: gRPC reads no more from
  // whoever does not.
  bool Say(std::string_view bytes) {
    while (!bytes.empty()) {
      pollfd ready{.fd = socket.get(), .events = POLLIN | POLLOUT, .revents = 0};
      if (poll(&ready, 1, -1) < 0) return false;
      char answer[65'536];
      if ((ready.revents & POLLIN) != 0 && recv(socket.get(), answer, sizeof(answer), 0) <= 0) return false;
      if ((ready.revents & POLLOUT) == 0) continue;
      const ssize_t sent = send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno != EAGAIN) return false;
      bytes.remove_prefix(static_cast<size_t>(std::max<ssize_t>(sent, 0)));
    }
    return true;
  }
  // `more` says the next bytes.
  template <class More>
  void SpeakUntilClosed(const More& more) {
    Connect();
    const auto end = steady_clock::now() + kPatience;
    while (Say(more())) {
      ASSERT_LT(steady_clock::now(), end) << "the broker puts up with it";
      most = std::max(most, ResidentBytesOf(broker.process().pid()));
    }
  }
  void ExpectOthersAreServedAndMemoryIsBounded(size_t bytes_max) {
    most = std::max(most, ResidentBytesOf(broker.process().pid()));
    EXPECT_LT(most - std::min(before, most), bytes_max);
    std::printf("took up to %zu MiB\n", (most - std::min(before, most)) / kMiB);
  }

  void ResetRequestsAtOnce();

  BrokerProcess broker;
  Door door = Door::kTcp;
  uint16_t port = 0;
  Descriptor socket;
  size_t before = 0;
  size_t most = 0;
};

void HostileHttp2::ResetRequestsAtOnce() {
  Witness witness(broker.url(), "witness");
  uint32_t stream = 1;
  std::string headers = RequestHeaders(Indexed::kFromNowOn);
  SpeakUntilClosed([&] {  // as many at once as no broker serves in that time
    std::string bytes;
    for (int i = 0; i < 60'000; ++i, stream += 2) {
      bytes += Frame(kHeaders, kEndHeaders, stream, headers);
      bytes += Frame(kReset, 0, stream, BigEndian(8));
      headers = kSameHeaders;
    }
    return bytes;
  });
  ExpectOthersAreServedAndMemoryIsBounded(400 * kMiB);
  EXPECT_TRUE(witness.SeesLife());
  auto newcomer = Client::Connect({.url = broker.grpc_url(), .connect_timeout = kPatience});
  EXPECT_TRUE(newcomer.ok()) << newcomer.status();
  EXPECT_THAT(broker.errors(), HasSubstr("resets its requests faster than they are served"));
  EXPECT_THAT(witness.Finish(), IsEmpty());
}

TEST_F(HostileHttp2, RequestsThatAreResetAtOnceEndTheirConnectionOnly) { ResetRequestsAtOnce(); }

// Where all clients have one name.
TEST_F(HostileHttp2, RequestsThatAreResetAtOnceOverTheLocalSocketEndTheirConnectionOnly) {
  door = Door::kLocal;
  ResetRequestsAtOnce();
}

TEST_F(HostileHttp2, AnswersThatAreNotTakenAreBounded) {
  auto client = Client::Connect({.url = broker.url()});
  ASSERT_TRUE(client.ok()) << client.status();
  const std::vector<client_api::Message> messages(1, {.body = std::string(4 * kMiB, 'x')});
  const auto published = client->Publish("witness", messages);
  ASSERT_TRUE(published.ok() && published->front().ok()) << published.status();
  const std::string id = published->front()->message_id;
  const std::string request = std::string("\x0a") + static_cast<char>(id.size()) + id;
  const std::string message =
      std::string(1, '\0') + BigEndian(static_cast<uint32_t>(request.size())) + request;
  Connect(std::string("\0\4\0\0\0\0", 6));  // a window of nothing for every answer
  for (uint32_t stream = 1; stream < 400; stream += 2) {
    ASSERT_TRUE(Say(Frame(kHeaders, kEndHeaders, stream, RequestHeaders(Indexed::kNo, "GetMessage")) +
                    Frame(kData, kEndStream, stream, message)));
  }
  const auto end = steady_clock::now() + kPatience;
  while (broker.errors().find("answers that clients do not take leave no room") == std::string::npos) {
    ASSERT_LT(steady_clock::now(), end);
    most = std::max(most, ResidentBytesOf(broker.process().pid()));
  }
  ExpectOthersAreServedAndMemoryIsBounded(150 * kMiB);
  EXPECT_TRUE(client->GetQueue("witness").ok());
}

TEST_F(HostileHttp2, HeadersWithoutAnEndEndTheirConnectionOnly) {
  Witness over_rings(broker.url(), "witness");
  std::string block;
  while (block.size() < 16'000)
    block += Header("x-" + std::to_string(block.size()), std::string(100, 'x'), Indexed::kNo);
  bool first = true;
  SpeakUntilClosed([&] {
    if (std::exchange(first, false)) return Frame(kHeaders, 0, 1, RequestHeaders(Indexed::kNo));
    return Frame(kContinuation, 0, 1, block);
  });
  ExpectOthersAreServedAndMemoryIsBounded(300 * kMiB);
  EXPECT_TRUE(over_rings.SeesLife());
  EXPECT_THAT(broker.errors(), HasSubstr("headers or a message without an end"));
  EXPECT_THAT(over_rings.Finish(), IsEmpty());
}

}  // namespace
}  // namespace baton
