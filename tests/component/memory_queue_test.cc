// Memory queues: what a kill -9 of the broker, or an upgrade in place, leaves of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "baton/client.h"
#include "server/exit_code.h"
#include "storage/format/keys.h"
#include "storage/rocks/rocks_store.h"
#include "tests/support/broker_process.h"
#include "tests/support/recording_listener.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class MemoryQueues : public testing::Test {
 protected:
  MemoryQueues() : MemoryQueues(TemporaryDirectory::InMemory()) {}
  explicit MemoryQueues(const std::string& parent)
      : shared(parent), broker({.flags = {"--memory-queue-dir", shared.path()}}) {
    EXPECT_EQ(broker.Start(), "");
  }

  Client Connect() {
    auto client = Client::Connect({.url = broker.url()});
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }
  void Create(const std::string& name, QueueConfig config = {}) {
    config.durability = Durability::kMemory;
    const auto created = Connect().CreateQueue(name, config);
    ASSERT_TRUE(created.ok()) << created.status();
  }
  absl::StatusOr<Confirmation> Publish(const std::string& queue, Message message) {
    const auto answers = Connect().Publish(queue, std::span(&message, 1));
    if (!answers.ok()) return answers.status();
    return answers->front();
  }
  std::vector<ReceivedMessage> Receive(const std::string& queue, uint32_t count = 100) {
    auto received = Connect().Receive({.queue = queue, .messages_max = count});
    EXPECT_TRUE(received.ok()) << received.status();
    return *std::move(received);
  }
  std::vector<std::string> Bodies(const std::string& queue) {
    std::vector<std::string> bodies;
    for (const ReceivedMessage& message : Receive(queue)) bodies.push_back(message.body);
    return bodies;
  }
  void KillAndStart() {
    broker.Kill();
    ASSERT_EQ(broker.Start(), "");
  }
  // Changes a queue's definition behind the broker's back; absent: it is removed. What it was.
  std::string Redefine(const std::string& name, const std::optional<std::string>& definition) {
    RecordingListener listener;
    auto opened = RocksStore::Open({.path = broker.data_dir()});
    EXPECT_TRUE(opened.ok()) << opened.status();
    RocksStore& store = **opened;
    std::string before;
    const std::string key = QueueKey(name);
    const auto keep = [&before](std::string_view, std::string_view value) {
      before = value;
      return absl::OkStatus();
    };
    EXPECT_TRUE(store.ScanNow(key, key + '\0', keep).ok());
    store.Start(&listener);
    Commit commit;
    definition.has_value() ? commit.Put(key, *definition) : commit.Delete(key);
    EXPECT_TRUE(store.Submit(CommitNumber(1), std::move(commit), Promise::kSynced).ok());
    EXPECT_TRUE(listener.WaitForSynced(CommitNumber(1)));
    store.Stop();
    return before;
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(shared.path()))
      names.push_back(entry.path().filename());
    return names;
  }

  TemporaryDirectory shared;
  BrokerProcess broker;
};

TEST_F(MemoryQueues, ConfirmSaysWhatItPromises) {
  Create("fast");
  const auto confirmed = Publish("fast", {.body = "a"});
  ASSERT_TRUE(confirmed.ok()) << confirmed.status();
  EXPECT_EQ(confirmed->durability, Durability::kMemory);
}

TEST_F(MemoryQueues, KeepOrderPrioritiesAndWhatWasAckedOverAKill) {
  Create("fast");
  for (const uint32_t priority : {1u, 5u, 3u, 5u}) {
    static int number = 0;
    ASSERT_TRUE(Publish("fast", {.body = std::to_string(priority) + "-" + std::to_string(number++),
                                 .priority = priority})
                    .ok());
  }
  const auto first = Receive("fast", 1);
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_EQ(first[0].body, "5-1");
  ASSERT_TRUE(Connect().Ack(std::span(&first[0].token, 1))->front().ok());
  KillAndStart();
  EXPECT_THAT(Bodies("fast"), ElementsAre("5-3", "3-2", "1-0"));
}

TEST_F(MemoryQueues, KeepDelaysDeadlinesAndAttemptsOverAKill) {
  Create("fast");
  ASSERT_TRUE(Publish("fast", {.body = "delayed", .delay = 1h}).ok());
  ASSERT_TRUE(Publish("fast", {.body = "short-lived", .ttl = 1ms}).ok());
  ASSERT_TRUE(Publish("fast", {.body = "returned"}).ok());
  auto received = Receive("fast");
  ASSERT_FALSE(received.empty());
  ASSERT_EQ(received.back().body, "returned");
  ASSERT_TRUE(Connect().Nack(std::span(&received.back().token, 1), {})->front().ok());
  KillAndStart();
  received = Receive("fast");
  ASSERT_THAT(received, SizeIs(1));
  EXPECT_EQ(received[0].body, "returned");
  EXPECT_EQ(received[0].attempt, 2u);
  EXPECT_EQ(Connect().GetQueue("fast")->counts.delayed, 1u);
}

TEST_F(MemoryQueues, SurviveAStopAndAStartAsInAnUpgrade) {
  Create("fast");
  for (int i = 0; i < 1'000; ++i) ASSERT_TRUE(Publish("fast", {.body = std::to_string(i)}).ok());
  ASSERT_EQ(broker.Stop(SIGTERM, 30s), 0);
  ASSERT_EQ(broker.Start(), "");
  EXPECT_EQ(Connect().GetQueue("fast")->counts.ready, 1'000u);
  EXPECT_THAT(broker.errors(), HasSubstr("taken over from shared memory"));
}

TEST_F(MemoryQueues, RepeatedPublishesAreKnownOverAKill) {
  Create("fast");
  ASSERT_TRUE(Connect().CreateQueue("durable", {}).ok());
  Client client = Connect();
  auto producer = client.NewProducer().value();
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 300; ++i) {
      producer.Publish("fast", {.body = "x"}, [](const auto&) {});
      producer.Publish("durable", {.body = "x"}, [](const auto&) {});
    }
    KillAndStart();
  }
  const absl::Status flushed = producer.Flush(30s);
  EXPECT_TRUE(flushed.ok()) << flushed;
  EXPECT_EQ(client.GetQueue("fast")->counts.ready, 900u);
  EXPECT_EQ(client.GetQueue("durable")->counts.ready, 900u);
}

TEST_F(MemoryQueues, ThatAreDeletedLeaveNothingBehind) {
  EXPECT_THAT(Files(), IsEmpty());
  Create("fast");
  Create("second");
  ASSERT_TRUE(Publish("fast", {.body = "a"}).ok());
  EXPECT_THAT(Files(), SizeIs(1));
  ASSERT_TRUE(Connect().DeleteQueue("fast", Client::DeleteMode::kWithMessages).ok());
  ASSERT_TRUE(Connect().DeleteQueue("second", Client::DeleteMode::kOnlyIfEmpty).ok());
  EXPECT_THAT(Files(), IsEmpty());
  Create("fast");
  ASSERT_TRUE(Publish("fast", {.body = "b"}).ok());
  EXPECT_THAT(Bodies("fast"), ElementsAre("b"));
}

TEST_F(MemoryQueues, LeaveNothingBehindOfDelayedParkedAndExpiringMessagesToo) {
  Create("fast", {.attempts_max = 1});
  ASSERT_TRUE(Publish("fast", {.body = "expires", .ttl = 1h}).ok());
  ASSERT_TRUE(Publish("fast", {.body = "delayed", .delay = 1h}).ok());
  ASSERT_TRUE(Publish("fast", {.body = "parked", .priority = 9}).ok());
  const auto received = Receive("fast", 1);
  ASSERT_TRUE(Connect().Nack(std::span(&received.at(0).token, 1), {})->front().ok());
  EXPECT_EQ(Connect().GetQueue("fast")->counts.parked, 1u);
  KillAndStart();
  ASSERT_TRUE(Connect().DeleteQueue("fast", Client::DeleteMode::kWithMessages).ok());
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(MemoryQueues, OfARegionThatCannotBeTrustedBeginEmptyAndItIsReported) {
  Create("fast");
  ASSERT_TRUE(Publish("fast", {.body = "a"}).ok());
  broker.Kill();
  std::fstream file(shared.path() + "/" + Files().at(0), std::ios::in | std::ios::out | std::ios::binary);
  file.write("overwritten", 11);
  file.close();
  ASSERT_EQ(broker.Start(), "");
  EXPECT_THAT(broker.errors(), HasSubstr("memory queues begin empty"));
  EXPECT_THAT(broker.errors(), HasSubstr(".aside-"));
  EXPECT_EQ(Connect().GetQueue("fast")->counts.ready, 0u);
  ASSERT_TRUE(Publish("fast", {.body = "b"}).ok());
  KillAndStart();
  EXPECT_THAT(Bodies("fast"), ElementsAre("b"));
}

TEST_F(MemoryQueues, OfARegionThatIsGoneBeginEmptyAndItIsReported) {
  Create("fast");
  ASSERT_TRUE(Publish("fast", {.body = "a"}).ok());
  broker.Kill();
  std::filesystem::remove(shared.path() + "/" + Files().at(0));  // as a restart of the machine does
  ASSERT_EQ(broker.Start(), "");
  EXPECT_THAT(broker.errors(), HasSubstr("memory queues begin empty: nothing of them"));
  EXPECT_EQ(Connect().GetQueue("fast")->counts.ready, 0u);
}

TEST_F(MemoryQueues, WithOneBitOfAMessageChangedBeginEmptyAndOthersAreUntouched) {
  Create("fast");
  Create("other");
  ASSERT_TRUE(Connect().CreateQueue("durable", {}).ok());
  for (const char* queue : {"fast", "durable"}) ASSERT_TRUE(Publish(queue, {.body = "unmistakable"}).ok());
  for (const char* body : {"a", "b"}) ASSERT_TRUE(Publish("other", {.body = body}).ok());
  broker.Kill();
  const std::string path = shared.path() + "/" + Files().at(0);
  std::stringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  const size_t at = bytes.str().find("unmistakable");
  ASSERT_NE(at, std::string::npos);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at)).put('u' ^ 1);
  file.close();
  ASSERT_EQ(broker.Start(), "");
  EXPECT_THAT(broker.errors(), HasSubstr("a memory queue begins empty"));
  EXPECT_THAT(broker.errors(), HasSubstr("fast"));
  EXPECT_THAT(Bodies("fast"), IsEmpty());
  EXPECT_THAT(Bodies("durable"), ElementsAre("unmistakable"));
  ASSERT_TRUE(Publish("fast", {.body = "c"}).ok());
  KillAndStart();
  EXPECT_THAT(Bodies("fast"), ElementsAre("c"));
  EXPECT_THAT(Bodies("other"), ElementsAre("a", "b"));
}

TEST_F(MemoryQueues, WhoseDefinitionCannotBeReadLoseNothing) {
  Create("fast");
  ASSERT_TRUE(Publish("fast", {.body = "a"}).ok());
  broker.Kill();
  const std::string definition = Redefine("fast", "of a newer version");
  ASSERT_NE(definition, "");
  const auto outcome = broker.Run();
  EXPECT_EQ(outcome.exit_code, kExitDataUnusable);
  EXPECT_THAT(outcome.errors, HasSubstr("the definition of queue fast cannot be read"));
  Redefine("fast", definition);
  ASSERT_EQ(broker.Start(), "");
  EXPECT_THAT(Bodies("fast"), ElementsAre("a"));
}

TEST_F(MemoryQueues, ThatTheDiskDoesNotKnowAreRemovedAndItIsReported) {
  Create("fast");
  ASSERT_TRUE(Publish("fast", {.body = "a"}).ok());
  broker.Kill();
  Redefine("fast", std::nullopt);
  ASSERT_EQ(broker.Start(), "");
  EXPECT_THAT(broker.errors(), HasSubstr("of queues that do not exist"));
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(MemoryQueues, AndOthersDoNotBecomeEachOther) {
  Create("fast");
  ASSERT_TRUE(Connect().CreateQueue("durable", {}).ok());
  EXPECT_EQ(ReasonOf(Connect().UpdateQueue("fast", {.durability = Durability::kDurable}).status()),
            "QUEUE_CONFIG_INVALID");
  EXPECT_EQ(ReasonOf(Connect().UpdateQueue("durable", {.durability = Durability::kMemory}).status()),
            "QUEUE_CONFIG_INVALID");
  EXPECT_EQ(ReasonOf(Connect().UpdateQueue("fast", {.dead_letter_queue = "durable"}).status()),
            "QUEUE_CONFIG_INVALID");
}

TEST_F(MemoryQueues, DeadLettersStayInMemory) {
  Create("dead");
  Create("fast", {.attempts_max = 1, .dead_letter_queue = "dead"});
  ASSERT_TRUE(Publish("fast", {.body = "a"}).ok());
  const auto received = Receive("fast", 1);
  ASSERT_TRUE(Connect().Nack(std::span(&received.at(0).token, 1), {})->front().ok());
  KillAndStart();
  EXPECT_THAT(Bodies("dead"), ElementsAre("a"));
}

TEST_F(MemoryQueues, AreNotServedByTwoBrokersOfACopiedDirectory) {
  Create("fast");
  ASSERT_TRUE(Publish("fast", {.body = "a"}).ok());
  TemporaryDirectory other;
  std::filesystem::copy(broker.data_dir(), other.path() + "/data", std::filesystem::copy_options::recursive);
  BrokerProcess copy({.flags = {"--memory-queue-dir", shared.path()}, .data_dir = other.path() + "/data"});
  const auto outcome = copy.Run();
  EXPECT_NE(outcome.exit_code, 0) << outcome;
  EXPECT_THAT(outcome.errors, HasSubstr("in use by another broker")) << outcome;
  EXPECT_THAT(Bodies("fast"), ElementsAre("a"));
}

}  // namespace
}  // namespace baton
