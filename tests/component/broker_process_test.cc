// batond as its operator meets it: exit codes, what it says when it does not start, ports, disks, signals.
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "baton/client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/exit_code.h"
#include "tests/support/batond_fixture.h"
#include "tests/support/broker_process.h"
#include "tests/support/http_get.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// What becomes of a publish, asked again and again until it is this, or 10 s are over.
absl::Status PublishUntil(Client& client, absl::StatusCode wanted) {
  const auto deadline = std::chrono::steady_clock::now() + seconds(10);
  while (true) {
    const std::vector<Message> one(1, {.body = "more"});
    const auto answers = client.Publish("orders", one);
    const absl::Status status = answers.ok() ? answers->front().status() : answers.status();
    if (status.code() == wanted || std::chrono::steady_clock::now() > deadline) return status;
  }
}

TEST_F(BatondTest, LeavesADataDirectoryInUseToItsBroker) {
  BrokerProcess first;
  ASSERT_EQ(first.Start(), "");
  EXPECT_THAT(Run({.data_dir = first.data_dir()}),
              Refuses(kExitInUse, first.data_dir(),
                      fmt::format("in use by process {}", first.process().pid()), "--data-dir"));
  EXPECT_TRUE(Connect(first).Status().ok());
}

TEST_F(BatondTest, LeavesASocketInUseToItsBroker) {
  BrokerProcess first;
  ASSERT_EQ(first.Start(), "");
  EXPECT_THAT(
      Run({.runtime_dir = first.runtime_dir()}),
      Refuses(kExitInUse, first.runtime_dir(), std::to_string(first.process().pid()), "--runtime-dir"));
  EXPECT_TRUE(Connect(first).Status().ok());
}

TEST_F(BatondTest, TakesOverTheSocketOfABrokerThatWasKilled) {
  BrokerProcess broker;
  ASSERT_EQ(broker.Start(), "");
  broker.Kill();
  ASSERT_TRUE(std::filesystem::is_socket(broker.runtime_dir() + "/grpc.sock"));
  ASSERT_EQ(broker.Start(), "");
  EXPECT_TRUE(Connect(broker).Status().ok());
}

TEST_F(BatondTest, DoesNotRemoveWhatIsInTheWayOfItsSocket) {
  const std::string file = WriteFile("run/grpc.sock", "mine");
  std::filesystem::permissions(directory_.path() + "/run", std::filesystem::perms::owner_all);
  EXPECT_THAT(Run({.runtime_dir = directory_.path() + "/run"}),
              Refuses(kExitStartFailed, file, "is no socket", "--runtime-dir"));
  EXPECT_EQ(std::filesystem::file_size(file), 4u);
}

TEST_F(BatondTest, NamesTheOptionOfADirectoryThatItCannotUse) {
  const std::string file = WriteFile("file", "");
  EXPECT_THAT(Run({.data_dir = file + "/data"}), Refuses(kExitDataUnusable, file + "/data", "--data-dir"));
  EXPECT_THAT(Run({.runtime_dir = file + "/run"}), Refuses(kExitStartFailed, file, "--runtime-dir"));
  const std::string open = directory_.path() + "/open";
  std::filesystem::create_directory(open);
  ASSERT_EQ(chmod(open.c_str(), 0777), 0);
  EXPECT_THAT(Run({.runtime_dir = open}),
              Refuses(kExitStartFailed, open + " cannot be trusted", "--runtime-dir"));
}

TEST_F(BatondTest, RefusesARuntimeDirectoryTooLongForASocketBeforeItMakesAnything) {
  const std::string parent = directory_.path() + "/";
  const std::string longest = parent + std::string(96 - parent.size(), 'x');
  for (const std::vector<std::string>& flags : {std::vector<std::string>{}, {"--check-config"}}) {
    BrokerProcess broker({.flags = flags, .runtime_dir = longest + "x"});
    EXPECT_THAT(broker.Run(), Refuses(kExitConfigInvalid, longest + "x has 97 bytes", "at most 96",
                                      "choose a shorter one", "--runtime-dir"));
    EXPECT_FALSE(std::filesystem::exists(broker.data_dir()));
    EXPECT_FALSE(std::filesystem::exists(broker.runtime_dir()));
  }
  BrokerProcess fits({.runtime_dir = longest});
  EXPECT_EQ(fits.Start(), "");
  EXPECT_TRUE(Connect(fits).Status().ok());
}

TEST_F(BatondTest, SaysThatAPortIsInUse) {
  const int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{
      .sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(taken, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(taken, 1), 0);
  ASSERT_EQ(getsockname(taken, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string port = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
  EXPECT_THAT(Run({.flags = {"--listen", port}}), Refuses(kExitInUse, port, "in use", "--listen"));
  EXPECT_THAT(Run({.flags = {"--http", port}}), Refuses(kExitInUse, port, "in use", "--http"));
  close(taken);
}

TEST_F(BatondTest, LeavesADirectoryThatIsNotItsOwnAlone) {
  const std::string file = WriteFile("data/thesis.txt", "years of work");
  EXPECT_THAT(Run({.data_dir = directory_.path() + "/data"}),
              Refuses(kExitDataUnusable, directory_.path() + "/data is not a data directory", "--data-dir"));
  const std::filesystem::directory_iterator files(directory_.path() + "/data");
  EXPECT_EQ(std::distance(files, std::filesystem::directory_iterator()), 1);
}

TEST_F(BatondTest, KeepsWhatItStoresFromOtherUsers) {
  const std::string data_dir = directory_.path() + "/data";
  std::filesystem::create_directory(data_dir);
  ASSERT_EQ(chmod(data_dir.c_str(), 0755), 0);
  const mode_t before = umask(022);
  BrokerProcess broker({.data_dir = data_dir});
  const std::string started = broker.Start();
  umask(before);
  ASSERT_EQ(started, "");
  Client client = Connect(broker);
  ASSERT_TRUE(client.CreateQueue("orders").ok());
  ASSERT_TRUE(PublishUntil(client, absl::StatusCode::kOk).ok());

  constexpr auto kOthers = std::filesystem::perms::group_all | std::filesystem::perms::others_all;
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data_dir)) {
    EXPECT_EQ(entry.status().permissions() & kOthers, std::filesystem::perms::none) << entry.path();
    ++files;
  }
  EXPECT_GT(files, 5);
  for (const char* name : {"/grpc.sock", "/baton.sock"}) {  // the directory around them decides
    EXPECT_EQ(std::filesystem::status(broker.runtime_dir() + name).permissions(),
              static_cast<std::filesystem::perms>(0660));
  }

  ASSERT_EQ(broker.Stop(SIGTERM, kStopMax), kExitStopped);  // of an earlier version
  ASSERT_EQ(chmod((data_dir + "/store").c_str(), 0755), 0);
  ASSERT_EQ(broker.Start(), "");
  EXPECT_EQ(std::filesystem::status(data_dir + "/store").permissions(), std::filesystem::perms::owner_all);
}

TEST_F(BatondTest, RefusesADirectoryOfANewerFormat) {
  BrokerProcess broker;
  ASSERT_EQ(broker.Start(), "");
  ASSERT_EQ(broker.Stop(SIGTERM, kStopMax), 0);
  const std::string identity = broker.data_dir() + "/identity";
  std::ifstream file(identity);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  const size_t format = text.find("\nformat 1\n");
  ASSERT_NE(format, std::string::npos) << text;
  std::ofstream(identity) << text.replace(format, 10, "\nformat 2\n");
  EXPECT_THAT(Run({.data_dir = broker.data_dir()}),
              Refuses(kExitDataUnusable, broker.data_dir(), "format 2", "newer"));
}

TEST_F(BatondTest, RefusesADirectoryItMayNotWrite) {
  const std::string data_dir = directory_.path() + "/data";
  std::filesystem::create_directory(data_dir);
  ASSERT_EQ(chmod(data_dir.c_str(), 0500), 0);
  if (access(data_dir.c_str(), W_OK) == 0) GTEST_SKIP() << "this user may write everywhere";
  EXPECT_THAT(Run({.data_dir = data_dir}),
              Refuses(kExitStartFailed, data_dir, "check owner and permissions"));
}

TEST_F(BatondTest, RefusesADirectoryOnAReadOnlyFileSystem) {
  const std::string data_dir = directory_.path() + "/data";
  std::filesystem::create_directory(data_dir);
  if (mount("none", data_dir.c_str(), "tmpfs", MS_RDONLY, "size=1m") != 0) {
    GTEST_SKIP() << "needs the right to mount a small file system (root)";
  }
  const BrokerProcess::Outcome outcome = Run({.data_dir = data_dir});
  umount2(data_dir.c_str(), MNT_DETACH);
  EXPECT_THAT(outcome, Refuses(kExitDataUnusable, data_dir, "read-only"));
}

TEST_F(BatondTest, CountsAllThatItTakesOnTheDisk) {
  BrokerProcess broker;
  ASSERT_EQ(broker.Start(), "");
  const auto status = Connect(broker).Status();
  ASSERT_TRUE(status.ok()) << status.status();

  uint64_t ballast = 0;
  uint64_t all = 0;  // lengths; what is reserved for the log comes on top
  for (const auto& entry : std::filesystem::recursive_directory_iterator(broker.data_dir())) {
    if (!entry.is_regular_file()) continue;
    all += entry.file_size();
    if (entry.path().filename() == "ballast") ballast = entry.file_size();
  }
  EXPECT_GT(ballast, 0u);
  EXPECT_GT(status->disk_bytes, ballast);
  EXPECT_GE(status->disk_bytes + (1 << 20), all);
  EXPECT_LE(status->disk_bytes, all + (128 << 20));
}

// A small disk of its own, which somebody else can fill.
class SmallDisk {
 public:
  explicit SmallDisk(std::string path) : path_(std::move(path)) {
    std::filesystem::create_directory(path_);
    mounted_ = mount("none", path_.c_str(), "tmpfs", 0, "size=96m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  void FillUp() const {
    std::ofstream filler(filler_path(), std::ios::binary);
    const std::string chunk(64 << 10, 'x');
    while (filler.write(chunk.data(), static_cast<std::streamsize>(chunk.size())).flush()) continue;
  }
  void MakeRoom() const { std::filesystem::remove(filler_path()); }

 private:
  std::string filler_path() const { return path_ + "/filler"; }

  const std::string path_;
  bool mounted_ = false;
};

TEST_F(BatondTest, RefusesPublishersOfAFullDiskServesConsumersAndRecoversByItself) {
  const SmallDisk disk(directory_.path() + "/disk");
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount a small file system (root)";
  BrokerProcess broker({.flags = {"--wal-bytes-max", "8MiB", "--memory-budget", "64MiB"},
                        .data_dir = directory_.path() + "/disk/data"});
  ASSERT_EQ(broker.Start(), "");
  Client client = Connect(broker);
  ASSERT_TRUE(client.CreateQueue("orders").ok());
  ASSERT_TRUE(PublishUntil(client, absl::StatusCode::kOk).ok());

  disk.FillUp();

  const absl::Status refused = PublishUntil(client, absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_EQ(ReasonOf(refused), "DISK_FULL");
  const auto received = client.Receive({.queue = "orders"});
  ASSERT_TRUE(received.ok() && received->size() == 1) << received.status();
  const std::vector<std::string> tokens(1, received->front().token);
  const auto acked = client.Ack(tokens);
  ASSERT_TRUE(acked.ok() && acked->front().ok()) << acked.status();

  disk.MakeRoom();

  EXPECT_TRUE(PublishUntil(client, absl::StatusCode::kOk).ok());
  EXPECT_EQ(broker.Stop(SIGTERM, kStopMax), kExitStopped) << broker.errors();
}

// Threads that make a call again and again, each on a connection of its own, until they are stopped.
class Callers {
 public:
  using Call = std::function<void(Client&)>;
  ~Callers() { Stop(); }
  void Add(Client client, Call call) {
    threads_.emplace_back([this, client = std::move(client), call = std::move(call)]() mutable {
      while (!stopping_) call(client);
    });
  }
  void Stop() {
    stopping_ = true;
    threads_.clear();
  }

 private:
  std::atomic<bool> stopping_{false};
  std::vector<std::jthread> threads_;
};

// From now on the process may write no file past this offset.
bool LimitFiles(pid_t pid, uint64_t bytes) {
  const rlimit limit{.rlim_cur = bytes, .rlim_max = bytes};
  return prlimit(pid, RLIMIT_FSIZE, &limit, nullptr) == 0;
}

TEST_F(BatondTest, EndsInTimeWhenItsDiskFailsAndNoUnaryCallKeepsItWaiting) {
  constexpr uint64_t kLogBytes = 256 << 10;  // more than its own log lines, which are a file here too
  BrokerProcess broker({.flags = {"--http", "127.0.0.1:0"}});
  ASSERT_EQ(broker.Start(), "");
  Client client = Connect(broker);
  ASSERT_TRUE(client.CreateQueue("orders").ok());
  ASSERT_TRUE(client.CreateQueue("empty").ok());
  const std::vector<Message> large(1, {.body = std::string(kLogBytes, 'x')});
  ASSERT_TRUE(client.Publish("orders", large)->front().ok());

  std::atomic<uint64_t> confirmed{1};
  Callers callers;
  for (int i = 0; i < 4; ++i) {
    callers.Add(Connect(broker), [&confirmed](Client& publisher) {
      const std::vector<Message> one(1, {.body = "more"});
      const auto answers = publisher.Publish("orders", one);
      if (answers.ok() && answers->front().ok()) ++confirmed;
    });
    callers.Add(Connect(broker), [](Client& receiver) {
      receiver.Receive({.queue = "empty", .wait = seconds(30)}).status().IgnoreError();
    });
  }
  ASSERT_TRUE(LimitFiles(broker.process().pid(), kLogBytes));

  EXPECT_EQ(broker.process().Wait(kStopMax), kExitStoreFailed) << broker.errors();
  broker.Kill();
  callers.Stop();
  EXPECT_THAT(broker.errors(), HasSubstr("store failed"));

  ASSERT_EQ(broker.Start(), "");
  EXPECT_GE(Connect(broker).GetQueue("orders")->counts.ready, confirmed);
}

// Its last word about the log, which it owes for a second after a commit, meets the disk that failed
// meanwhile. On a machine so slow that the second is over before, there is nothing left to fail: once more.
TEST_F(BatondTest, SaysSoWhenItsLastWriteAtAStopFails) {
  constexpr uint64_t kLogBytes = 256 << 10;
  std::optional<int> ended;
  for (int i = 0; i < 10 && ended.value_or(kExitStopped) == kExitStopped; ++i) {
    BrokerProcess broker;
    ASSERT_EQ(broker.Start(), "");
    Client client = Connect(broker);
    ASSERT_TRUE(client.CreateQueue("orders").ok());
    const std::vector<Message> large(1, {.body = std::string(kLogBytes, 'x')});
    ASSERT_TRUE(client.Publish("orders", large)->front().ok());
    ASSERT_TRUE(LimitFiles(broker.process().pid(), kLogBytes));
    ended = broker.Stop(SIGTERM, kStopMax);
    if (ended != kExitStopped) {
      EXPECT_THAT(broker.errors(), HasSubstr("store failed"));
    }
  }
  EXPECT_EQ(ended, kExitStoreFailed);
}

// Damaged stores: some messages confirmed one after the other, the broker killed, a byte changed.
class DamagedStoreTest : public BatondTest {
 protected:
  static constexpr uint64_t kMessages = 20;

  void SetUp() override {
    ASSERT_EQ(broker_.Start(), "");
    Client client = Connect(broker_);
    ASSERT_TRUE(client.CreateQueue("orders").ok());
    for (uint64_t i = 0; i < kMessages; ++i) {
      const std::vector<Message> one = {{.body = std::string(100, 'x')}};
      ASSERT_TRUE(client.Publish("orders", one)->front().ok());
    }
    broker_.Kill();
  }

  std::string LargestFile(const std::string& extension) const {
    std::string largest;
    for (const auto& entry : std::filesystem::directory_iterator(broker_.data_dir() + "/store")) {
      if (entry.path().extension() != extension) continue;
      if (largest.empty() || entry.file_size() > std::filesystem::file_size(largest)) largest = entry.path();
    }
    return largest;
  }
  // Of a log: what follows is space reserved for it, zeros.
  static uint64_t WrittenBytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    return bytes.find_last_not_of('\0') + 1;
  }
  static void FlipByte(const std::string& path, uint64_t offset) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(offset));
    const char byte = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 0x5a));
  }
  void ExpectAllThere() {
    ASSERT_EQ(broker_.Start(), "");
    EXPECT_EQ(Connect(broker_).GetQueue("orders")->counts.ready, kMessages);
  }

  BrokerProcess broker_;
};

TEST_F(DamagedStoreTest, InTheMiddleOfTheSyncedLogIsRefusedAndLeftAsItIs) {
  const std::string log = LargestFile(".log");
  const uint64_t middle = WrittenBytes(log) / 2;
  FlipByte(log, middle);
  EXPECT_THAT(Run({.data_dir = broker_.data_dir()}),
              Refuses(kExitDataUnusable, "log is damaged", log, "offset", "from a copy"));
  FlipByte(log, middle);
  ExpectAllThere();
}

TEST_F(DamagedStoreTest, InATableIsRefusedAndNamesTheFile) {
  ASSERT_EQ(broker_.Start(), "");  // the log of the killed broker becomes a table
  ASSERT_EQ(broker_.Stop(SIGTERM, kStopMax), 0);
  const std::string table = LargestFile(".sst");
  ASSERT_FALSE(table.empty());
  const uint64_t size = std::filesystem::file_size(table);
  for (const uint64_t offset : {uint64_t{10}, size - 1}) {  // the first rows, and the footer
    SCOPED_TRACE(offset);
    FlipByte(table, offset);
    EXPECT_THAT(Run({.data_dir = broker_.data_dir()}),
                AllOf(Refuses(kExitDataUnusable, std::filesystem::path(table).filename().string(),
                              broker_.data_dir(), "from a copy"),
                      testing::Field("errors", &BrokerProcess::Outcome::errors,
                                     Not(HasSubstr("batond: cannot write")))));
    FlipByte(table, offset);
  }
  ExpectAllThere();
}

TEST_F(DamagedStoreTest, WithoutItsManifestOrTheFileThatNamesItIsRefused) {
  const std::string store = broker_.data_dir() + "/store";
  for (const auto& entry : std::filesystem::directory_iterator(store)) {
    const std::string name = entry.path().filename();
    if (name != "CURRENT" && !name.starts_with("MANIFEST")) continue;
    SCOPED_TRACE(name);
    std::filesystem::rename(entry.path(), directory_.path() + "/away");
    EXPECT_THAT(Run({.data_dir = broker_.data_dir()}),
                Refuses(kExitDataUnusable, name, broker_.data_dir(), "from a copy"));
    std::filesystem::rename(directory_.path() + "/away", entry.path());
  }
  ExpectAllThere();
}

TEST_F(DamagedStoreTest, WithoutItsTablesIsRefused) {
  ASSERT_EQ(broker_.Start(), "");
  ASSERT_EQ(broker_.Stop(SIGTERM, kStopMax), 0);
  const std::string table = LargestFile(".sst");
  std::filesystem::rename(table, directory_.path() + "/table");
  EXPECT_THAT(Run({.data_dir = broker_.data_dir()}),
              Refuses(kExitDataUnusable, std::filesystem::path(table).stem().string(), "No such file",
                      "from a copy"));
  std::filesystem::rename(directory_.path() + "/table", table);
  ExpectAllThere();
}

class StopSignalTest : public BatondTest, public testing::WithParamInterface<int> {};

TEST_P(StopSignalTest, EndsAnIdleBrokerInTime) {
  BrokerProcess broker;
  ASSERT_EQ(broker.Start(), "");
  EXPECT_EQ(broker.Stop(GetParam(), kStopMax), kExitStopped) << broker.errors();
  EXPECT_FALSE(std::filesystem::exists(broker.runtime_dir() + "/grpc.sock"));
}

TEST_P(StopSignalTest, EndsABrokerInTimeWhoseClientsOnlyWait) {
  BrokerProcess broker({.flags = {"--http", "127.0.0.1:0"}});
  ASSERT_EQ(broker.Start(), "");
  Client client = Connect(broker);
  ASSERT_TRUE(client.CreateQueue("orders").ok());
  auto producer = client.NewProducer();
  auto consumer = client.Subscribe({.queue = "orders"}, [](Delivery&) { return Outcome::Ack(); });
  ASSERT_TRUE(producer.ok() && consumer.ok());
  ASSERT_TRUE(producer->Publish("orders", {.body = "x"}).get().ok());
  EXPECT_EQ(broker.Stop(GetParam(), kStopMax), kExitStopped) << broker.errors();
  ASSERT_EQ(broker.Start(), "");
  EXPECT_TRUE(producer->Publish("orders", {.body = "y"}).get().ok());  // the clients came back by themselves
}

INSTANTIATE_TEST_SUITE_P(Batond, StopSignalTest, testing::Values(SIGTERM, SIGINT),
                         [](const auto& signal) { return signal.param == SIGTERM ? "Sigterm" : "Sigint"; });

TEST_F(BatondTest, GivesNoFileOfItsOwnTheNumberOfAStandardStreamThatIsClosed) {
  BrokerProcess broker({.under = {"/bin/sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"}});
  broker.Launch();
  auto client = Client::Connect({.url = broker.url(), .connect_timeout = seconds(30)});
  ASSERT_TRUE(client.ok()) << client.status();
  ASSERT_TRUE(client->CreateQueue("orders").ok());
  ASSERT_TRUE(PublishUntil(*client, absl::StatusCode::kOk).ok());
  for (const int descriptor : {0, 1, 2}) {
    EXPECT_EQ(
        std::filesystem::read_symlink(fmt::format("/proc/{}/fd/{}", broker.process().pid(), descriptor)),
        "/dev/null");
  }
  EXPECT_EQ(broker.Stop(SIGTERM, seconds(10)), kExitStopped);
}

TEST_F(BatondTest, ServesHealthAndMetricsOnTheHttpPort) {
  BrokerProcess broker({.flags = {"--http", "127.0.0.1:0"}});
  ASSERT_EQ(broker.Start(), "");
  Client client = Connect(broker);
  ASSERT_TRUE(client.CreateQueue("orders").ok());
  const std::vector<Message> messages(3, {.body = "12345"});
  const auto published = client.Publish("orders", messages);
  ASSERT_TRUE(published.ok()) << published.status();
  ASSERT_EQ(client.Receive({.queue = "orders"})->size(), 1u);
  const std::string address = Listening(client, "http://");
  ASSERT_THAT(address, Not(IsEmpty()));

  EXPECT_EQ(HttpGet(address + "/healthz"), (HttpReply{200, "ok\n"}));

  const HttpReply metrics = HttpGet(address + "/metrics");
  EXPECT_EQ(metrics.status, 200);
  for (const char* line :
       {"\nbaton_queue_messages{queue=\"orders\",state=\"ready\"} 2\n",
        "\nbaton_queue_messages{queue=\"orders\",state=\"leased\"} 1\n",
        "\nbaton_queue_bytes{queue=\"orders\"} 15\n", "\nbaton_queue_published_total{queue=\"orders\"} 3\n",
        "\nbaton_queue_delivered_total{queue=\"orders\"} 1\n",
        "\nbaton_queue_acked_total{queue=\"orders\"} 0\n", "\nbaton_publish_to_deliver_seconds_count 1\n",
        "\nbaton_disk_low 0\n", "\nbaton_queues 1\n", "\n# TYPE baton_commit_seconds histogram\n",
        "\n# TYPE baton_loop_turn_seconds histogram\n", "\n# TYPE baton_queue_oldest_age_seconds gauge\n"}) {
    EXPECT_THAT(metrics.body, HasSubstr(line));
  }

  const HttpReply nothing = HttpGet(address + "/nothing");
  EXPECT_EQ(nothing.status, 404);
  EXPECT_THAT(nothing.body, AllOf(HasSubstr("/metrics"), HasSubstr("/healthz")));
}

}  // namespace
}  // namespace baton
