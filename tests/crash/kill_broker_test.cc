// batond and one of its consumers, killed with kill -9 again and again at random moments, while producers and
// consumers go on through the client library.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "baton/client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/broker_process.h"
#include "tests/support/busy_clients.h"
#include "tests/support/promise_book.h"
#include "tests/support/random_seed.h"
#include "tests/support/stored_messages.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_body.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::IsEmpty;

constexpr seconds kPatience{30};  // for anything; reached only by a failure
constexpr seconds kStopMax{5};    // promised in docs/operations.md
constexpr int kKills = 20;
constexpr std::chrono::minutes kLease{10};  // so that no lease ends by time

const std::vector<BusyQueue>& Queues() {
  static const std::vector<BusyQueue> queues = {
      {.name = "durable", .durability = Durability::kDurable, .delivery = DeliveryMode::kEager},
      {.name = "committed", .durability = Durability::kDurable, .delivery = DeliveryMode::kCommitted},
      {.name = "relaxed", .durability = Durability::kRelaxed, .delivery = DeliveryMode::kEager},
      {.name = "memory", .durability = Durability::kMemory, .delivery = DeliveryMode::kEager},
      {.name = "memory-committed", .durability = Durability::kMemory, .delivery = DeliveryMode::kCommitted},
  };
  return queues;
}

std::vector<std::string> QueueNames() {
  std::vector<std::string> names;
  for (const BusyQueue& queue : Queues()) names.push_back(queue.name);
  return names;
}

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = steady_clock::now() + kPatience;
  while (!condition()) {
    if (steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

class KilledProcesses : public testing::Test {
 protected:
  // A small log, so that tables are written and logs end between the kills too.
  KilledProcesses() : broker_({.flags = {"--memory-budget", "64MiB", "--wal-bytes-max", "8MiB"}}) {}

  void SetUp() override {
    ASSERT_EQ(broker_.Start(), "");
    Client client = ConnectPatiently(broker_.url(), "operator");
    for (const BusyQueue& queue : Queues()) {
      const auto created = client.CreateQueue(
          queue.name,
          {.durability = queue.durability, .delivery = queue.delivery, .lease = kLease, .attempts_max = 0});
      ASSERT_TRUE(created.ok()) << created.status();
    }
  }

  uint64_t Random(uint64_t max) { return std::uniform_int_distribution<uint64_t>(0, max)(random_); }
  void ShortWait(milliseconds max) { std::this_thread::sleep_for(milliseconds(Random(max.count()))); }

  void KillBroker() {
    broker_.Kill();
    book_.BrokerDied();
  }

  void StartDoomedConsumer(uint64_t hold_every) {
    doomed_.emplace(
        DoomedConsumer::Options{.url = broker_.url(),
                                .directory = fmt::format("{}/{}", directory_.path(), ++doomed_count_),
                                .queues = QueueNames(),
                                .hold_every = hold_every});
  }

  uint64_t Sum(Client& client, uint64_t QueueCounts::*count) {
    uint64_t sum = 0;
    for (const BusyQueue& queue : Queues()) sum += CountsOf(client, queue.name).*count;
    return sum;
  }

  bool ClientsGetOn();
  std::string DescribeStall();
  std::vector<PromiseBook::Listed> CheckStored(Client& client);
  void DrainAndJudge(Client& client, const std::vector<PromiseBook::Listed>& stored);

  const uint64_t seed_ = RandomSeed();
  std::mt19937_64 random_{seed_};
  PromiseBook book_;
  TemporaryDirectory directory_;
  BrokerProcess broker_;
  std::optional<DoomedConsumer> doomed_;
  int doomed_count_ = 0;
  std::vector<std::function<std::string()>> describe_;  // what the test's clients wait for
};

// Waits until a moment that is random in what has been done, and then in time. False: they do not get on.
bool KilledProcesses::ClientsGetOn() {
  const PromiseBook::Totals before = book_.totals();
  const uint64_t confirms = Random(500);
  const uint64_t acks = Random(500);
  const bool got_on = Eventually([&] {
    const PromiseBook::Totals now = book_.totals();
    return now.confirmed > before.confirmed + confirms && now.acked > before.acked + acks;
  });
  ShortWait(milliseconds(150));
  if (!got_on || Random(2) == 0) return got_on;
  // Mostly while publishes are on their way.
  const uint64_t unanswered = Random(30);
  return Eventually([&] {
    const PromiseBook::Totals now = book_.totals();
    return now.published > now.confirmed + unanswered;
  });
}

std::string KilledProcesses::DescribeStall() {
  const PromiseBook::Totals totals = book_.totals();
  std::string text =
      fmt::format("the book: published {}, confirmed {}, delivered {}, acked {}, refused {}, unanswered {}\n",
                  totals.published, totals.confirmed, totals.delivered, totals.acked, totals.acks_refused,
                  totals.acks_unanswered);
  for (const auto& describe : describe_) text += describe();
  if (doomed_.has_value()) text += doomed_->Describe();
  return text + "the broker says:\n" + broker_.errors();
}

// What is stored, once no delay is left: as the broker counts it, as it lists it, and as it has promised.
std::vector<PromiseBook::Listed> KilledProcesses::CheckStored(Client& client) {
  EXPECT_TRUE(Eventually([&] { return Sum(client, &QueueCounts::delayed) == 0; })) << "delays do not end";
  const std::vector<PromiseBook::Listed> stored = ListStored(client, QueueNames());
  book_.CheckInventory(stored);
  for (const BusyQueue& queue : Queues()) {
    const auto listed = std::count_if(stored.begin(), stored.end(),
                                      [&](const auto& message) { return message.queue == queue.name; });
    const QueueCounts counts = CountsOf(client, queue.name);
    EXPECT_EQ(counts.ready, static_cast<uint64_t>(listed)) << queue.name;
    EXPECT_EQ(counts.leased + counts.delayed + counts.parked, 0u) << queue.name;
  }
  return stored;
}

void KilledProcesses::DrainAndJudge(Client& client, const std::vector<PromiseBook::Listed>& stored) {
  for (const BusyQueue& queue : Queues()) {
    const auto listed = std::count_if(stored.begin(), stored.end(),
                                      [&](const auto& message) { return message.queue == queue.name; });
    Drain(client, queue.name, static_cast<uint64_t>(listed), book_);
  }
  EXPECT_THAT(book_.Judge(), IsEmpty());
  const PromiseBook::Totals totals = book_.totals();
  fmt::print(
      "published {}, found stored when sent again {}, delivered {}, redelivered {}, delivered and lost "
      "before their confirm {}, acks refused {}, acks never answered {}, left at the end {}\n",
      totals.published, totals.duplicates, totals.delivered, totals.redelivered, totals.lost_copies,
      totals.acks_refused, totals.acks_unanswered, stored.size());
}

// The lease that ended with its consumer counts as an attempt, and the message is there.
void ExpectReturned(const DoomedConsumer::Held& held, const std::vector<PromiseBook::Listed>& inventory) {
  const std::string id = held.token.id.ToText();
  const auto found = std::find_if(inventory.begin(), inventory.end(),
                                  [&](const PromiseBook::Listed& listed) { return listed.message_id == id; });
  ASSERT_NE(found, inventory.end()) << held.key << ", which a killed consumer held, is gone";
  EXPECT_EQ(found->attempts, held.token.attempt) << held.key;
}

TEST_F(KilledProcesses, LoseNothingConfirmedAndDeliverNothingAfterAConfirmedAck) {
  std::vector<std::unique_ptr<BusyProducer>> producers;
  for (const char* name : {"north", "south"}) {
    producers.push_back(std::make_unique<BusyProducer>(
        BusyProducer::Options{.url = broker_.url(), .name = name, .queues = Queues(), .seed = random_()},
        &book_));
  }
  BusyConsumer consumer({.url = broker_.url(), .name = "consumer", .queues = Queues(), .seed = random_()},
                        &book_);
  StartDoomedConsumer(3);
  for (const auto& producer : producers) describe_.push_back([&producer] { return producer->Describe(); });
  describe_.push_back([&consumer] { return consumer.Describe(); });

  for (int kill = 1; kill <= kKills; ++kill) {
    SCOPED_TRACE(fmt::format("kill {}", kill));
    ASSERT_TRUE(ClientsGetOn()) << DescribeStall();
    doomed_->Report(&book_);
    if (Random(2) == 0) {
      doomed_->Kill(&book_);
      StartDoomedConsumer(3);
      ShortWait(milliseconds(50));
    }
    KillBroker();
    if (Random(3) == 0) {  // while it recovers from the kill before
      broker_.Launch();
      ShortWait(milliseconds(60));
      KillBroker();
    }
    ASSERT_EQ(broker_.Start(), "");
  }

  // At the end only the doomed consumer is left, and dies with leases of the queues' first messages.
  ASSERT_TRUE(doomed_->WaitUntilHolding(kPatience)) << "the consumer to be killed got nothing to hold";
  EXPECT_TRUE(consumer.Stop().ok());
  Client client = ConnectPatiently(broker_.url(), "operator");
  ASSERT_TRUE(Eventually([&] { return Sum(client, &QueueCounts::ready) >= 300; })) << "no backlog builds up";
  for (const auto& producer : producers) {
    const absl::Status stopped = producer->Stop();
    EXPECT_TRUE(stopped.ok()) << stopped;
  }
  ASSERT_TRUE(Eventually([&] { return Sum(client, &QueueCounts::leased) > 0; })) << "nobody holds a lease";
  const uint32_t last_epoch = client.Status()->epoch;
  const std::vector<DoomedConsumer::Held> held = doomed_->Kill(&book_);
  ASSERT_TRUE(Eventually([&] { return Sum(client, &QueueCounts::leased) == 0; }))
      << "the leases of a killed consumer do not come back";

  EXPECT_EQ(broker_.Stop(SIGTERM, kStopMax), 0) << broker_.errors();
  ASSERT_EQ(broker_.Start(), "");
  client = ConnectPatiently(broker_.url(), "operator");  // a unary call may fail once after a restart

  const std::vector<PromiseBook::Listed> stored = CheckStored(client);
  for (const DoomedConsumer::Held& delivery : held) {
    if (delivery.token.epoch.value() == last_epoch) ExpectReturned(delivery, stored);
  }
  DrainAndJudge(client, stored);
}

// The producers wait until the book has heard of acks: of those of a consumer that nobody kills, too.
TEST_F(KilledProcesses, GoOnHoweverLongAConsumerOfAnotherProcessLives) {
  BusyProducer producer(
      {.url = broker_.url(), .name = "producer", .queues = Queues(), .seed = random_(), .waiting_max = 500},
      &book_);
  StartDoomedConsumer(3);
  describe_ = {[&producer] { return producer.Describe(); }};
  for (int life = 1; life <= 4; ++life) {  // it acks about 300 in each
    SCOPED_TRACE(fmt::format("life {}", life));
    const uint64_t before = book_.totals().confirmed;
    ASSERT_TRUE(Eventually([&] {
      doomed_->Report(&book_);
      return book_.totals().confirmed >= before + 200;
    })) << DescribeStall();
    KillBroker();
    ASSERT_EQ(broker_.Start(), "");
  }
  EXPECT_TRUE(producer.Stop().ok());
  doomed_->Kill(&book_);
  Client client = ConnectPatiently(broker_.url(), "operator");
  DrainAndJudge(client, CheckStored(client));
}

TEST_F(KilledProcesses, AreNotNeededToStopABrokerInTimeWhoseClientsWork) {
  BusyProducer producer({.url = broker_.url(), .name = "producer", .queues = Queues(), .seed = random_()},
                        &book_);
  BusyConsumer consumer({.url = broker_.url(), .name = "consumer", .queues = Queues(), .seed = random_()},
                        &book_);
  describe_ = {[&producer] { return producer.Describe(); }, [&consumer] { return consumer.Describe(); }};
  for (int stop = 1; stop <= 3; ++stop) {
    SCOPED_TRACE(fmt::format("stop {}", stop));
    ASSERT_TRUE(ClientsGetOn()) << DescribeStall();
    ASSERT_EQ(broker_.Stop(SIGTERM, kStopMax), 0) << broker_.errors();
    book_.BrokerDied();
    ASSERT_EQ(broker_.Start(), "");
  }
  EXPECT_TRUE(consumer.Stop().ok());
  EXPECT_TRUE(producer.Stop().ok());
  Client client = ConnectPatiently(broker_.url(), "operator");
  DrainAndJudge(client, CheckStored(client));
}

TEST_F(KilledProcesses, GiveTheirLeasesBackAtOnceAsTheNextAttempt) {
  constexpr uint64_t kMessages = 20;
  Client client = ConnectPatiently(broker_.url(), "operator");
  std::vector<Message> messages;
  for (uint64_t i = 0; i < kMessages; ++i)
    messages.push_back({.body = MakeTestBody(fmt::format("m{}", i), 50)});
  const auto published = client.Publish("durable", messages);
  ASSERT_TRUE(published.ok()) << published.status();
  StartDoomedConsumer(/*hold_every=*/1);
  ASSERT_TRUE(Eventually([&] { return CountsOf(client, "durable").leased == kMessages; }))
      << "the consumer to be killed did not take the messages";
  auto next = client.Subscribe({.queue = "durable", .credit = kMessages});
  ASSERT_TRUE(next.ok()) << next.status();

  PromiseBook unused;
  doomed_->Kill(&unused);

  for (uint64_t i = 0; i < kMessages; ++i) {
    auto received = next->Receive(kPatience);  // the lease would last 10 minutes
    ASSERT_TRUE(received.ok()) << received.status();
    ASSERT_TRUE(received->has_value()) << "only " << i << " messages came back";
    EXPECT_EQ(KeyOfTestBody((*received)->body()), fmt::format("m{}", i));
    EXPECT_EQ((*received)->attempt(), 2u);
    EXPECT_TRUE((*received)->redelivered());
    (*received)->Ack();
  }
  ASSERT_TRUE(next->Flush(kPatience).ok());
  EXPECT_EQ(CountsOf(client, "durable").acked, kMessages);
}

}  // namespace
}  // namespace baton
