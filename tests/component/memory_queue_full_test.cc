// Memory queues when shared memory is full: what makes them grow is refused, and everything else goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "baton/client.h"
#include "tests/support/broker_process.h"
#include "tests/support/http_get.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class FullMemoryQueues : public testing::Test {
 protected:
  // A small /dev/shm. False: only root may make one.
  bool MountSmall(const std::string& size) {
    mounted_ = mount("tmpfs", shared.path().c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
    return mounted_;
  }
  ~FullMemoryQueues() override {
    broker.reset();
    if (mounted_) umount(shared.path().c_str());
  }
  void Start(const std::string& limit = "1GiB", const std::string& budget = "1GiB") {
    broker.emplace(
        BrokerProcess::Options{.flags = {"--memory-queue-dir", shared.path(), "--memory-queue-bytes", limit,
                                         "--memory-budget", budget, "--http", "127.0.0.1:0"}});
    ASSERT_EQ(broker->Start(), "");
  }
  Client Connect() { return Client::Connect({.url = broker->url()}).value(); }
  void Create(const std::string& name, QueueConfig config = {}) {
    config.durability = Durability::kMemory;
    const auto created = Connect().CreateQueue(name, config);
    ASSERT_TRUE(created.ok()) << created.status();
  }
  absl::Status PublishOne(const std::string& queue, size_t bytes = 1) {
    const Message message{.body = std::string(bytes, 'x')};
    const auto answers = Connect().Publish(queue, std::span(&message, 1));
    return answers.ok() ? answers->front().status() : answers.status();
  }
  // Until one is refused. How many were taken.
  uint64_t Fill(const std::string& queue, size_t bytes) {
    Client client = Connect();
    const std::vector<Message> batch(std::clamp<size_t>((1u << 20) / bytes, 1, 100),
                                     Message{.body = std::string(bytes, 'x')});
    uint64_t stored = 0;
    for (;;) {
      const auto answers = client.Publish(queue, batch);
      EXPECT_TRUE(answers.ok()) << answers.status();
      if (!answers.ok()) return stored;
      bool refused = false;
      for (const auto& answer : *answers) {
        stored += answer.ok() ? 1 : 0;
        refused |= !answer.ok();
        EXPECT_TRUE(answer.ok() || ReasonOf(answer.status()) == "QUEUE_FULL") << answer.status();
      }
      if (refused) return stored;
    }
  }
  // Takes every message that is there, and holds all of them.
  std::vector<std::string> TakeAll(const std::string& queue, uint64_t count) {
    Client client = Connect();
    std::vector<std::string> tokens;
    while (tokens.size() < count) {
      const auto received = client.Receive(
          {.queue = queue, .messages_max = 500, .wait = 20s, .lease = 1h, .bytes_max = 1 << 20});
      EXPECT_TRUE(received.ok()) << received.status();
      EXPECT_FALSE(!received.ok() || received->empty()) << tokens.size() << " of " << count << " came";
      if (!received.ok() || received->empty()) return tokens;
      for (const auto& message : *received) tokens.push_back(message.token);
    }
    return tokens;
  }
  template <class Settle>
  static void ForAll(const std::vector<std::string>& tokens, Settle&& settle) {
    for (size_t at = 0; at < tokens.size(); at += 1'000) {
      const auto some = std::span(tokens).subspan(at, std::min<size_t>(1'000, tokens.size() - at));
      const auto answers = settle(some);
      ASSERT_TRUE(answers.ok()) << answers.status();
      for (const absl::Status& answer : *answers) ASSERT_TRUE(answer.ok()) << answer;
    }
  }
  MemoryQueuesStatus Use() { return Connect().Status()->memory_queues.value(); }
  std::string Metrics() {
    const auto status = Connect().Status();
    for (const std::string& address : status->listening) {
      if (address.starts_with("http://")) return HttpGet(address + "/metrics").body;
    }
    return {};
  }
  QueueCounts Counts(const std::string& queue) { return Connect().GetQueue(queue)->counts; }
  // Everything that writes bodies again, with nothing lost; then there is room again.
  void LiveWhenFull(size_t bytes);

  TemporaryDirectory shared{TemporaryDirectory::InMemory()};
  std::optional<BrokerProcess> broker;

 private:
  bool mounted_ = false;
};

void FullMemoryQueues::LiveWhenFull(size_t bytes) {
  Create("dead");
  Create("fast", {.attempts_max = 10, .dead_letter_queue = "dead"});
  const uint64_t stored = Fill("fast", bytes);
  ASSERT_GT(stored * bytes, 5u << 20);
  Client client = Connect();
  ForAll(TakeAll("fast", stored), [&](auto some) { return client.Nack(some, {.delay = 1ms}); });
  ForAll(TakeAll("fast", stored), [&](auto some) { return client.DeadLetter(some, "full"); });
  EXPECT_EQ(Counts("dead").ready, stored);
  broker->Kill();
  ASSERT_EQ(broker->Start(), "");
  EXPECT_THAT(broker->errors(), HasSubstr("taken over from shared memory"));
  EXPECT_EQ(Counts("dead").ready, stored);
  Client again = Connect();
  ForAll(TakeAll("dead", stored), [&](auto some) { return again.Ack(some); });
  EXPECT_EQ(Counts("dead").ready, 0u);
  EXPECT_GT(Fill("fast", bytes), stored * 8 / 10);
  EXPECT_GT(*Connect().PurgeQueue("fast"), stored * 8 / 10);
  EXPECT_TRUE(PublishOne("fast").ok());
}

TEST_F(FullMemoryQueues, AtTheirLimitLoseNothing) {
  Start("32MiB");
  LiveWhenFull(1'000);
}

TEST_F(FullMemoryQueues, InAFullFileSystemLoseNothing) {
  if (!MountSmall("32M")) GTEST_SKIP() << "only root may make a small file system";
  Start();
  LiveWhenFull(1'000);
}

TEST_F(FullMemoryQueues, OfLargeMessagesLoseNothing) {
  Start("128MiB");
  LiveWhenFull(1'500'000);
}

TEST_F(FullMemoryQueues, OfLargeMessagesInAFullFileSystemLoseNothing) {
  if (!MountSmall("96M")) GTEST_SKIP() << "only root may make a small file system";
  Start();
  LiveWhenFull(1'500'000);
}

TEST_F(FullMemoryQueues, DeadLetterWhatExpires) {
  Start("32MiB");
  Create("dead");
  Create("fast", {.expired = Disposal::kDeadLetter, .dead_letter_queue = "dead", .ttl = 2s});
  const uint64_t stored = Fill("fast", 1'000);
  EXPECT_EQ(TakeAll("dead", stored).size(), stored);
  EXPECT_EQ(Counts("fast").ready, 0u);
}

TEST_F(FullMemoryQueues, DoNotDisturbTheOthers) {
  Start("32MiB");
  Create("fast");
  ASSERT_TRUE(Connect().CreateQueue("durable", {}).ok());
  const uint64_t stored = Fill("fast", 1'000);
  EXPECT_TRUE(PublishOne("durable").ok());
  EXPECT_EQ(*Connect().PurgeQueue("fast"), stored);
  EXPECT_TRUE(PublishOne("fast").ok());
}

TEST_F(FullMemoryQueues, ThatDropTheirOldestGoOn) {
  Start("24MiB");
  Create("latest", {.overflow = OverflowPolicy::kDropOldest});
  Client client = Connect();
  uint64_t published = 0;
  for (int i = 0; i < 50; ++i) {
    std::vector<Message> batch;
    for (int j = 0; j < 100; ++j)
      batch.push_back({.body = std::to_string(published++) + std::string(10'000, 'x')});
    const auto answers = client.Publish("latest", batch);
    ASSERT_TRUE(answers.ok()) << answers.status();
    for (const auto& answer : *answers) ASSERT_TRUE(answer.ok()) << answer.status();
  }
  const auto counts = Counts("latest");
  EXPECT_LT(counts.ready, published);
  EXPECT_GT(counts.ready, 500u);
  const auto oldest = client.Receive({.queue = "latest"});
  ASSERT_TRUE(oldest.ok() && oldest->size() == 1);
  EXPECT_EQ(oldest->front().body.substr(0, 4), std::to_string(published - counts.ready));
}

TEST_F(FullMemoryQueues, SayHowFullTheyAre) {
  Start("32MiB");
  EXPECT_EQ(Use().shared_used_bytes, 0u);
  EXPECT_EQ(Use().shared_limit_bytes, 32u << 20);
  Create("fast");
  const uint64_t reserve = Use().shared_used_bytes;
  EXPECT_GT(reserve, 0u);
  EXPECT_LT(reserve, 12u << 20);
  EXPECT_FALSE(Use().full);
  EXPECT_THAT(Metrics(), HasSubstr("\nbaton_memory_queue_full 0\n"));

  Fill("fast", 10'000);
  const absl::Status refused = PublishOne("fast", 10'000);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("32 MiB (option memory_queue_bytes)"));
  EXPECT_EQ(Use().shared_used_bytes, 32u << 20);
  EXPECT_EQ(Use().nearest, MemoryBound::kSharedMemory);
  EXPECT_TRUE(Use().full);
  const std::string metrics = Metrics();
  EXPECT_THAT(metrics, HasSubstr("\nbaton_memory_queue_full 1\n"));
  EXPECT_THAT(metrics, HasSubstr("\nbaton_memory_queue_used_bytes{bound=\"shared_memory\"} 33554432\n"));
  EXPECT_THAT(metrics, HasSubstr("\nbaton_memory_queue_limit_bytes{bound=\"shared_memory\"} 33554432\n"));

  ASSERT_TRUE(Connect().PurgeQueue("fast").ok());
  EXPECT_FALSE(Use().full);
  EXPECT_LT(Use().shared_used_bytes, reserve + (4u << 20));
}

TEST_F(FullMemoryQueues, SayThatTheirIndexIsFull) {
  Start("128MiB", "64MiB");
  Create("fast");
  Fill("fast", 10);
  const absl::Status refused = PublishOne("fast");
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("index of memory queues is full: it may take 16 MiB"));
  EXPECT_EQ(Use().index_limit_bytes, 16u << 20);
  EXPECT_GE(Use().index_used_bytes, 16u << 20);
  EXPECT_LT(Use().index_used_bytes, 17u << 20);
  EXPECT_LT(Use().shared_used_bytes, 100u << 20);
  EXPECT_EQ(Use().nearest, MemoryBound::kIndex);
  EXPECT_TRUE(Use().full);
  EXPECT_GE(Connect().Status()->memory_used_bytes, 16u << 20) << "a part of the budget";
  const std::string metrics = Metrics();
  EXPECT_THAT(metrics, HasSubstr("\nbaton_memory_queue_full 1\n"));
  EXPECT_THAT(metrics, HasSubstr("\nbaton_memory_queue_limit_bytes{bound=\"index\"} 16777216\n"));
  EXPECT_THAT(metrics, HasSubstr("\nbaton_memory_used_bytes{part=\"memory_queue_index\"} 167"));
}

TEST_F(FullMemoryQueues, SayThatTheirFileSystemIsFull) {
  if (!MountSmall("32M")) GTEST_SKIP() << "only root may make a small file system";
  Start();
  Create("fast");
  EXPECT_EQ(Use().nearest, MemoryBound::kFileSystem);
  EXPECT_FALSE(Use().full);
  EXPECT_LE(Use().shared_limit_bytes, 32u << 20);
  Fill("fast", 10'000);
  EXPECT_TRUE(Use().full);
  EXPECT_EQ(Use().shared_used_bytes, Use().shared_limit_bytes);
  EXPECT_GT(Use().shared_limit_bytes, 30u << 20);
}

TEST_F(FullMemoryQueues, SayThatTheirFileCannotBeHad) {
  const auto start = [this](const std::string& directory) {
    broker.emplace(BrokerProcess::Options{.flags = {"--memory-queue-dir", directory, "--http", "127.0.0.1:0"},
                                          .data_dir = shared.path() + "/data"});
    ASSERT_EQ(broker->Start(), "");
  };
  start(shared.path());
  Create("fast");
  EXPECT_THAT(Metrics(), HasSubstr("\nbaton_memory_queue_unavailable 0\n"));

  start("/proc");
  EXPECT_EQ(ReasonOf(PublishOne("fast")), "MEMORY_QUEUES_UNAVAILABLE");
  EXPECT_EQ(Use().nearest, MemoryBound::kUnavailable) << "and not that a file system is full";
  EXPECT_EQ(Use().shared_limit_bytes, 0u);
  EXPECT_TRUE(Use().full);
  const std::string metrics = Metrics();
  EXPECT_THAT(metrics, HasSubstr("\nbaton_memory_queue_unavailable 1\n"));
  EXPECT_THAT(metrics, HasSubstr("\nbaton_memory_queue_full 1\n"));
}

TEST_F(FullMemoryQueues, AreNotCreatedWhereThereIsNoRoomForThem) {
  if (!MountSmall("2M")) GTEST_SKIP() << "only root may make a small file system";
  Start();
  const auto refused = Connect().CreateQueue("fast", {.durability = Durability::kMemory});
  EXPECT_EQ(ReasonOf(refused.status()), "QUEUE_FULL");
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("/dev/shm"));
  EXPECT_EQ(ReasonOf(Connect().GetQueue("fast").status()), "QUEUE_NOT_FOUND");
  EXPECT_TRUE(std::filesystem::is_empty(shared.path()));
  ASSERT_TRUE(Connect().CreateQueue("durable", {}).ok());
  EXPECT_TRUE(PublishOne("durable").ok());
}

TEST_F(FullMemoryQueues, AreNotCreatedWhereThereIsNotEvenRoomForAName) {
  if (!MountSmall("32M,nr_inodes=1")) GTEST_SKIP() << "only root may make a small file system";
  Start();
  const auto refused = Connect().CreateQueue("fast", {.durability = Durability::kMemory});
  EXPECT_EQ(ReasonOf(refused.status()), "QUEUE_FULL") << "and not that it takes an operator";
}

TEST_F(FullMemoryQueues, AreNotCreatedInADirectoryThatIsNotThere) {
  broker.emplace(BrokerProcess::Options{.flags = {"--memory-queue-dir", shared.path() + "/nowhere"}});
  ASSERT_EQ(broker->Start(), "");
  EXPECT_THAT(broker->errors(), HasSubstr("memory queues cannot be kept in"));
  const auto refused = Connect().CreateQueue("fast", {.durability = Durability::kMemory});
  EXPECT_EQ(ReasonOf(refused.status()), "MEMORY_QUEUES_UNAVAILABLE");
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("set memory_queue_dir"));
  EXPECT_EQ(ReasonOf(Connect().GetQueue("fast").status()), "QUEUE_NOT_FOUND");
}

}  // namespace
}  // namespace baton
