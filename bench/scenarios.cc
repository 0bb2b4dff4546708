#include "bench/scenarios.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "baton/client.h"
#include "bench/broker_process.h"
#include "bench/pace.h"
#include "bench/support.h"

namespace baton::bench {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;
using std::chrono::duration;

constexpr double kMiB = 1024.0 * 1024.0;

}  // namespace

int Throughput(const ScenarioOptions& options) {
  // Small ones are gone in no time.
  const uint64_t messages = Messages(options, options.body_bytes < 512 ? 2'000'000 : 500'000);
  std::printf("throughput: %llu messages, 1 producer + 1 consumer process, everything confirmed and acked\n",
              static_cast<unsigned long long>(messages));
  std::map<std::pair<std::string, Carrier>, std::vector<double>> rates;
  for (int round = 0; round < options.rounds; ++round) {
    BrokerProcess broker = NewBroker(options);
    broker.Start();
    CreateQueue(broker, "durable");
    CreateQueue(broker, "relaxed", {.durability = Durability::kRelaxed});
    CreateQueue(broker, "memory", {.durability = Durability::kMemory});
    for (const Carrier carrier : {Carrier::kRings, Carrier::kGrpc}) {
      for (const std::string queue : {"memory", "durable", "relaxed"}) {
        const Role role{.queue = queue, .messages = messages, .body_bytes = options.body_bytes};
        rates[{queue, carrier}].push_back(RunPair(options, broker, role, carrier));
      }
    }
  }
  for (const auto& [what, measured] : rates) {
    std::printf("  median: %s over %s %.0f/s\n", what.first.c_str(),
                what.second == Carrier::kRings ? "rings" : "gRPC", Quantile(measured, 0.5));
  }
  return 0;
}

int UnaryLatency(const ScenarioOptions& options) {
  const uint64_t messages = Messages(options, 10'000);
  BrokerProcess broker = NewBroker(options);
  broker.Start();
  CreateQueue(broker, "bench");
  Client client = Connect(broker);
  const Message message{.body = std::string(1'024, 'x')};
  std::vector<double> micros;
  for (uint64_t i = 0; i < messages; ++i) {
    const auto start = Clock::now();
    const auto answers = client.Publish("bench", std::span(&message, 1));
    if (!answers.ok()) Fail(answers.status());
    if (!answers->front().ok()) Fail(answers->front().status());
    micros.push_back(duration<double, std::micro>(Clock::now() - start).count());
  }
  std::printf(
      "unary durable publish, 1 KiB, one client: p50 %.0f us, p90 %.0f us, p99 %.0f us, max %.0f us (%llu "
      "calls)\n",
      Quantile(micros, 0.5), Quantile(micros, 0.9), Quantile(micros, 0.99), Quantile(micros, 1.0),
      static_cast<unsigned long long>(messages));
  return 0;
}

namespace {

// Publishes one urgent message at a time over what is queued, and takes it.
void Urgent(const BrokerProcess& broker, int count) {
  Client client = Connect(broker);
  auto producer = client.NewProducer();
  auto consumer =
      client.Subscribe({.queue = "bench", .credit = 1, .lease = std::chrono::hours(1), .auto_extend = false});
  if (!producer.ok()) Fail(producer.status());
  if (!consumer.ok()) Fail(consumer.status());
  std::vector<double> millis;
  // Holds one message of the backlog, so that the next delivery is the urgent one.
  for (int i = 0; i < count; ++i) {
    auto held = consumer->Receive(std::chrono::seconds(30));
    if (!held.ok()) Fail(held.status());
    auto answer = producer->Publish("bench", {.body = "urgent", .priority = 1'000'000});
    // The urgent one must be stored before the credit is free, or another one of the backlog would be taken.
    if (const auto stored = answer.get(); !stored.ok()) Fail(stored.status());
    const auto published = Clock::now();
    (*held)->Release();
    auto urgent = consumer->Receive(std::chrono::seconds(30));
    if (!urgent.ok()) Fail(urgent.status());
    millis.push_back(duration<double, std::milli>(Clock::now() - published).count());
    if ((*urgent)->body() != "urgent")
      Fail(absl::InternalError("another message came before the urgent one"));
    (*urgent)->Ack();
  }
  std::printf(
      "  urgent over the backlog, from its turn to its delivery: p50 %.2f ms, p99 %.2f ms, max %.2f ms (%d "
      "times)\n",
      Quantile(millis, 0.5), Quantile(millis, 0.99), Quantile(millis, 1.0), count);
}

}  // namespace

int Backlog(const ScenarioOptions& options) {
  const uint64_t messages = Messages(options, 10'000'000);
  BrokerProcess broker = NewBroker(options, {"--memory-budget", "256MiB"});
  broker.Start();
  CreateQueue(broker, "bench");
  std::printf("backlog: %llu messages of 100 bytes, memory budget 256 MiB\n",
              static_cast<unsigned long long>(messages));
  const auto producer =
      StartRole(options, broker, {.name = "produce", .messages = messages, .body_bytes = 100});
  const json produced = Finish(*producer);
  const auto rates = produced["rates"].get<std::vector<double>>();
  std::printf("  published %.0f/s; first tenth %.0f/s, last tenth %.0f/s = %.0f %%; resident %.0f MiB\n",
              Rate(produced), rates.front(), rates.back(), 100 * rates.back() / rates.front(),
              static_cast<double>(broker.process().ResidentBytes()) / kMiB);
  Urgent(broker, options.smoke ? 20 : 500);
  broker.Kill();
  std::printf("  after kill -9: serving again in %lld ms\n", static_cast<long long>(broker.Start().count()));
  Urgent(broker, options.smoke ? 20 : 500);
  const auto consumer =
      StartRole(options, broker, {.name = "consume", .messages = messages, .body_bytes = 100});
  const json consumed = Finish(*consumer);
  const auto left = Connect(broker).GetQueue("bench");
  if (!left.ok()) Fail(left.status());
  std::printf("  drained %.0f/s; left %llu; resident %.0f MiB\n", Rate(consumed),
              static_cast<unsigned long long>(left->counts.ready + left->counts.leased),
              static_cast<double>(broker.process().ResidentBytes()) / kMiB);
  return left->counts.ready + left->counts.leased == 0 ? 0 : 1;
}

int Priorities(const ScenarioOptions& options) {
  const uint64_t messages = Messages(options, 1'000'000);
  std::printf("priorities: %llu messages of 100 bytes, 256 MiB, published, then drained\n",
              static_cast<unsigned long long>(messages));
  double one = 0;
  for (const uint64_t priorities : {uint64_t{1}, uint64_t{1'000'000}}) {
    BrokerProcess broker = NewBroker(options, {"--memory-budget", "256MiB"});
    broker.Start();
    CreateQueue(broker, "bench");
    const Role role{.name = "produce", .messages = messages, .body_bytes = 100, .priorities = priorities};
    const json produced = Finish(*StartRole(options, broker, role));
    const double resident = static_cast<double>(broker.process().ResidentBytes()) / kMiB;
    Role drain = role;
    drain.name = "consume";
    const json consumed = Finish(*StartRole(options, broker, drain));
    const double total = static_cast<double>(messages) /
                         (produced["seconds"].get<double>() + consumed["seconds"].get<double>());
    if (priorities == 1) one = total;
    std::printf(
        "  %9llu priorities: published %.0f/s, drained %.0f/s, both %.0f/s (%.0f %% of one priority), "
        "resident %.0f MiB\n",
        static_cast<unsigned long long>(priorities), Rate(produced), Rate(consumed), total, 100 * total / one,
        resident);
  }
  return 0;
}

int Idle(const ScenarioOptions& options) {
  BrokerProcess broker = NewBroker(options);
  broker.Start();
  for (int i = 0; i < 100; ++i) CreateQueue(broker, "queue-" + std::to_string(i));
  const auto silence = std::chrono::seconds(options.smoke ? 1 : 10);
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const auto before = broker.process().ProcessorTime();
  std::this_thread::sleep_for(silence);
  const double share = duration<double>(broker.process().ProcessorTime() - before) / silence;
  std::printf("idle, 100 queues: %.2f %% of a core\n", 100 * share);

  Client client = Connect(broker);
  auto producer = client.NewProducer();
  auto consumer = client.Subscribe({.queue = "queue-0"});
  if (!producer.ok()) Fail(producer.status());
  if (!consumer.ok()) Fail(consumer.status());
  std::vector<double> millis;
  const std::chrono::milliseconds quiet(options.smoke ? 200 : 2'000);
  for (int i = 0; i < (options.smoke ? 2 : 10); ++i) {
    std::this_thread::sleep_for(quiet);
    const auto start = Clock::now();
    auto answer = producer->Publish("queue-0", {.body = "hello"});
    auto delivery = consumer->Receive(std::chrono::seconds(10));
    millis.push_back(duration<double, std::milli>(Clock::now() - start).count());
    if (!delivery.ok() || !delivery->has_value()) Fail(absl::InternalError("the message did not come"));
    (*delivery)->Ack();
    answer.wait();
  }
  std::printf(
      "a message after %g s of silence, published to delivered: median %.2f ms, max %.2f ms (%zu times)\n",
      duration<double>(quiet).count(), Quantile(millis, 0.5), Quantile(millis, 1.0), millis.size());
  return 0;
}

}  // namespace baton::bench
