// Who may use a broker's local socket: its user, root, and its group; and clients whose process has no number
// here, since broker and client live in different namespaces. As root only: others cannot become somebody
// else.
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "base/runtime_dir.h"
#include "baton/client.h"
#include "local/handshake.h"
#include "tests/stress/ring_intruder.h"
#include "tests/support/broker_process.h"
#include "tests/support/child_process.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

constexpr uid_t kNobody = 65'534;
constexpr gid_t kNobodysGroup = 65'534;

struct User {
  uid_t uid = kNobody;
  gid_t gid = kNobodysGroup;
  std::vector<gid_t> groups = {};
};

// What `body` answers, run in a process of its own by `user`. REQUIRES: this process has one thread.
int RunAs(const User& user, const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    const bool became = setgroups(user.groups.size(), user.groups.data()) == 0 &&
                        setresgid(user.gid, user.gid, user.gid) == 0 &&
                        setresuid(user.uid, user.uid, user.uid) == 0;
    _exit(became ? body() : 100);
  }
  int status = 0;
  BATON_CHECK(child > 0 && waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

class OtherUsers : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
    // The directories let everybody through; the socket decides.
    BATON_CHECK_EQ(chmod(directory.path().c_str(), 0755), 0);
    BATON_CHECK_EQ(mkdir((directory.path() + "/run").c_str(), 0755), 0);
    BATON_CHECK_EQ(chmod((directory.path() + "/run").c_str(), 0755), 0);
    broker.emplace(BrokerProcess::Options{.runtime_dir = directory.path() + "/run"});
    ASSERT_EQ(broker->Start(), "");
  }
  // The code of the answer, absl's.
  int ConnectAs(const User& user) {
    return RunAs(user, [this] { return ConnectLocally(socket_path(), 5'000).status().raw_code(); });
  }
  // 0: with this reason.
  int IsRefused(const User& user, std::string_view reason) {
    return RunAs(user,
                 [&] { return ReasonOf(ConnectLocally(socket_path(), 5'000).status()) == reason ? 0 : 1; });
  }
  std::string socket_path() const { return LocalSocketPath(broker->runtime_dir()); }

  TemporaryDirectory directory;
  std::optional<BrokerProcess> broker;
};

TEST_F(OtherUsers, TheSocketIsForItsUserAndGroup) {
  struct stat info {};
  ASSERT_EQ(stat(socket_path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0660u);
  EXPECT_EQ(ConnectAs({.uid = 0, .gid = 0}), 0);
  EXPECT_EQ(ConnectAs({}), static_cast<int>(absl::StatusCode::kUnavailable)) << "the system refuses";
}

TEST_F(OtherUsers, OfTheSocketsGroupAreWelcome) {
  EXPECT_EQ(ConnectAs({.gid = getegid()}), 0) << "as their own group";
  EXPECT_EQ(ConnectAs({.groups = {kNobodysGroup, getegid()}}), 0) << "as one of their groups";
}

TEST_F(OtherUsers, WhomTheSocketsModeLetsThroughTheBrokerRefuses) {
  ASSERT_EQ(chmod(socket_path().c_str(), 0666), 0);
  EXPECT_EQ(ConnectAs({}), static_cast<int>(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(IsRefused({}, reason::kPermissionDenied), 0);
  EXPECT_EQ(ConnectAs({.uid = 0, .gid = 0}), 0) << "and goes on";
}

// ---- Namespaces.

// A client that takes one message of "orders", says so, and holds it until it is killed.
pid_t HoldAMessage(const std::string& socket_path, int go, int holds) {
  const pid_t child = fork();
  if (child != 0) return child;
  char byte = 0;
  if (read(go, &byte, 1) != 1) _exit(1);
  RingIntruder session(socket_path);
  v1::ServerFrame frame;
  if (!session.SayHello() || !session.Subscribe(1, "orders", 1)) _exit(2);
  while (frame.deliveries().empty()) {
    if (!session.Hear(frame)) _exit(3);
  }
  if (write(holds, "x", 1) != 1) _exit(4);
  while (true) pause();
}

class OtherNamespace : public testing::Test {
 protected:
  void SetUp() override {
    ChildProcess attempt({"/usr/bin/unshare", "--pid", "--fork", "/usr/bin/true"}, "/dev/null");
    if (attempt.Wait(std::chrono::seconds(20)) != 0) GTEST_SKIP() << "namespaces are not for this user";
  }
};

TEST_F(OtherNamespace, AClientWithoutANumberIsServedAndItsEndIsSeen) {
  BrokerProcess broker({.under = {"/usr/bin/unshare", "--pid", "--fork", "--kill-child"}});
  int go[2];
  int holds[2];
  ASSERT_EQ(pipe(go) + pipe(holds), 0);
  const pid_t holder = HoldAMessage(LocalSocketPath(broker.runtime_dir()), go[0], holds[1]);
  ASSERT_GT(holder, 0);
  ASSERT_EQ(broker.Start(), "");

  auto client = Client::Connect({.url = broker.url()});
  ASSERT_TRUE(client.ok()) << client.status();
  ASSERT_TRUE(client->CreateQueue("orders").ok());
  auto producer = client->NewProducer();
  ASSERT_TRUE(producer.ok()) << producer.status();
  client_api::Message message;
  message.body = "a";
  const auto confirmed = producer->Publish("orders", message).get();
  ASSERT_TRUE(confirmed.ok()) << confirmed.status();
  ASSERT_EQ(write(go[1], "x", 1), 1);
  pollfd held{.fd = holds[0], .events = POLLIN, .revents = 0};
  ASSERT_EQ(poll(&held, 1, 20'000), 1) << "nothing is delivered to it";
  kill(holder, SIGKILL);

  ConsumerOptions options;
  options.queue = "orders";
  auto consumer = client->Subscribe(options);
  ASSERT_TRUE(consumer.ok()) << consumer.status();
  // Long before its lease ends.
  auto delivery = consumer->Receive(std::chrono::seconds(10));
  ASSERT_TRUE(delivery.ok()) << delivery.status();
  ASSERT_TRUE(delivery->has_value()) << "the holder's end is not seen";
  EXPECT_EQ((*delivery)->attempt(), 2u);
  EXPECT_EQ(waitpid(holder, nullptr, 0), holder);
  for (const int fd : {go[0], go[1], holds[0], holds[1]}) close(fd);
}

}  // namespace
}  // namespace baton
