// What only local clients and memory queues have: many sessions over rings, and a restart that takes a memory
// queue over.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "baton/client.h"
#include "bench/pace.h"
#include "bench/scenarios.h"
#include "bench/support.h"

namespace baton::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration;

constexpr double kMiB = 1024.0 * 1024.0;

// Clients that have each published a message, and then do nothing.
struct IdleClients {
  std::vector<Client> clients;
  std::vector<Producer> producers;
};

IdleClients ConnectIdle(const BrokerProcess& broker, size_t count) {
  IdleClients idle;
  std::vector<double> millis;
  for (size_t i = 0; i < count; ++i) {
    const auto start = Clock::now();
    idle.clients.push_back(Connect(broker));
    auto producer = idle.clients.back().NewProducer();
    if (!producer.ok()) Fail(producer.status());
    const auto stored = producer->Publish("bench", {.body = "hello"}).get();
    if (!stored.ok()) Fail(stored.status());
    millis.push_back(duration<double, std::milli>(Clock::now() - start).count());
    idle.producers.push_back(*std::move(producer));
  }
  std::printf("%zu local clients: connect and first publish, confirmed: p50 %.2f ms, p99 %.2f ms\n", count,
              Quantile(millis, 0.5), Quantile(millis, 0.99));
  return idle;
}

void PrintIdleCost(const ScenarioOptions& options, const BrokerProcess& broker) {
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const auto silence = std::chrono::seconds(options.smoke ? 1 : 10);
  const auto before = broker.process().ProcessorTime();
  std::this_thread::sleep_for(silence);
  const double share = duration<double>(broker.process().ProcessorTime() - before) / silence;
  std::printf("  connected and idle: %.2f %% of a core, broker resident %.0f MiB\n", 100 * share,
              static_cast<double>(broker.process().ResidentBytes()) / kMiB);
}

}  // namespace

int Clients(const ScenarioOptions& options) {
  const size_t count = options.smoke ? 20 : 500;
  BrokerProcess broker = NewBroker(options);
  broker.Start();
  CreateQueue(broker, "bench", {.durability = Durability::kMemory});
  CreateQueue(broker, "busy", {.durability = Durability::kMemory});
  const Role busy{.queue = "busy", .messages = Messages(options, 500'000)};
  RunPair(options, broker, busy);  // what is done for the first time
  std::vector<double> alone;
  std::vector<double> beside;
  for (int round = 0; round < options.rounds; ++round) {
    alone.push_back(RunPair(options, broker, busy));
    const IdleClients idle = ConnectIdle(broker, count);
    beside.push_back(RunPair(options, broker, busy));
    if (round == 0) PrintIdleCost(options, broker);
  }
  const double ratio = Quantile(beside, 0.5) / Quantile(alone, 0.5);
  std::printf("  a busy pair beside them: %.1f %% of its rate alone (medians of %d)\n", 100 * ratio,
              options.rounds);
  return 0;
}

int TakeOver(const ScenarioOptions& options) {
  const uint64_t messages = Messages(options, 1'000'000);
  BrokerProcess broker = NewBroker(options, {"--memory-queue-bytes", "1GiB"});
  broker.Start();
  CreateQueue(broker, "bench", {.durability = Durability::kMemory});
  Finish(*StartRole(options, broker, {.name = "produce", .messages = messages, .body_bytes = 100}));
  uint64_t region = 0;
  for (const auto& entry : std::filesystem::directory_iterator(broker.shared_dir())) {
    region = std::max(region, static_cast<uint64_t>(entry.file_size()));
  }
  broker.Kill();
  const auto serving = broker.Start();
  const auto queue = Connect(broker).GetQueue("bench");
  if (!queue.ok()) Fail(queue.status());
  std::printf(
      "memory queue of %llu messages of 100 bytes: serving %lld ms after kill -9, %llu are there; %.0f bytes "
      "of "
      "shared memory a message beyond its body\n",
      static_cast<unsigned long long>(messages), static_cast<long long>(serving.count()),
      static_cast<unsigned long long>(queue->counts.ready),
      static_cast<double>(region) / static_cast<double>(messages) - 100);
  if (const auto deleted = Connect(broker).DeleteQueue("bench", Client::DeleteMode::kWithMessages);
      !deleted.ok())
    Fail(deleted.status());
  return queue->counts.ready == messages ? 0 : 1;
}

}  // namespace baton::bench
