#include "bench/open_loop.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "baton/client.h"
#include "bench/failure.h"
#include "bench/pace.h"
#include "bench/relay.h"

namespace baton::bench {
namespace {

using nlohmann::json;

json Quantiles(const std::vector<double>& micros) {
  return {{"p50", Quantile(micros, 0.5)},
          {"p90", Quantile(micros, 0.9)},
          {"p99", Quantile(micros, 0.99)},
          {"max", Quantile(micros, 1.0)}};
}

void PrintQuantiles(const char* what, const json& micros) {
  std::printf("    %-24s p50 %7.1f us   p90 %7.1f us   p99 %7.1f us   max %8.1f us\n", what,
              micros["p50"].get<double>(), micros["p90"].get<double>(), micros["p99"].get<double>(),
              micros["max"].get<double>());
}

}  // namespace

int RunPacer(const RoleOptions& options) {
  auto client = Client::Connect({.url = options.url});
  if (!client.ok()) return RoleFailed("connect", client.status());
  auto producer = client->NewProducer();
  if (!producer.ok()) return RoleFailed("producer", producer.status());
  std::vector<double> micros(options.messages);
  std::atomic<uint64_t> failed = 0;
  Message message{.body = std::string(options.body_bytes, 'x')};
  const Pace pace(options.rate);
  for (uint64_t i = 0; i < options.messages; ++i) {
    const int64_t intended = pace.IntendedNanos(i);
    Pace::WaitUntil(intended);
    std::memcpy(message.body.data(), &intended, sizeof(intended));
    producer->Publish(options.queue, message, [&, i, intended](const auto& answer) {
      if (!answer.ok()) failed.fetch_add(1);
      micros[i] = static_cast<double>(NowNanos() - intended) / 1'000;
    });
  }
  const absl::Status flushed = producer->Flush(std::chrono::minutes(1));
  if (!flushed.ok()) return RoleFailed("flush", flushed);
  std::printf("%s\n", Quantiles(micros).dump().c_str());
  return failed.load() == 0 ? 0 : 1;
}

int RunCollector(const RoleOptions& options) {
  auto client = Client::Connect({.url = options.url});
  if (!client.ok()) return RoleFailed("connect", client.status());
  std::vector<double> micros;
  micros.reserve(options.messages);
  std::atomic<bool> complete = false;
  auto consumer = client->Subscribe(
      {.queue = options.queue, .handler_threads = options.handler_threads, .credit = options.credit},
      [&](Delivery& delivery) {
        int64_t intended = 0;
        std::memcpy(&intended, delivery.body().data(), sizeof(intended));
        micros.push_back(static_cast<double>(NowNanos() - intended) / 1'000);
        if (micros.size() == options.messages) {
          complete = true;
          complete.notify_one();
        }
        return Outcome::Ack();
      });
  if (!consumer.ok()) return RoleFailed("subscribe", consumer.status());
  std::printf("ready\n");
  std::fflush(stdout);
  complete.wait(false);
  const absl::Status stopped = consumer->Stop(std::chrono::seconds(10));
  if (!stopped.ok()) return RoleFailed("stop", stopped);
  std::printf("%s\n", Quantiles(micros).dump().c_str());
  return 0;
}

PairLatency MeasurePair(const ScenarioOptions& options, const BrokerProcess& broker, Role role,
                        Carrier carrier) {
  role.name = "collect";
  const auto collector = StartRole(options, broker, role, carrier);
  collector->ReadLine();  // ready
  role.name = "pace";
  const auto pacer = StartRole(options, broker, role, carrier);
  PairLatency latency;
  latency.confirmed = Finish(*pacer);
  latency.delivered = Finish(*collector);
  return latency;
}

int OpenLoop(const ScenarioOptions& options) {
  struct Case {
    const char* name;
    const char* queue;
    Carrier carrier;
  };
  const Case cases[] = {
      {"memory, rings", "memory", Carrier::kRings},   {"durable, rings", "durable", Carrier::kRings},
      {"relaxed, rings", "relaxed", Carrier::kRings}, {"memory, gRPC", "memory", Carrier::kGrpc},
      {"durable, gRPC", "durable", Carrier::kGrpc},   {"relaxed, gRPC", "relaxed", Carrier::kGrpc},
  };
  BrokerProcess broker = NewBroker(options);
  broker.Start();
  CreateQueue(broker, "durable");
  CreateQueue(broker, "relaxed", {.durability = Durability::kRelaxed});
  CreateQueue(broker, "memory", {.durability = Durability::kMemory});
  for (const uint64_t rate : {uint64_t{1'000}, uint64_t{10'000}}) {
    const uint64_t messages = Messages(options, 10 * rate);
    std::printf("open loop, %llu messages/s of 1 KiB, %g s, from the intended time:\n",
                static_cast<unsigned long long>(rate), PacedSeconds(messages, rate));
    RelayOptions relay{.messages = messages, .rate = rate, .body_bytes = 1'024, .log_directory = {}};
    const auto bare = RunRelay(relay);
    if (!bare.ok()) return RoleFailed("bare relay", bare.status());
    PrintQuantiles("bare relay", Quantiles(*bare));
    relay.log_directory = options.directory;
    const auto synced = RunRelay(relay);
    if (!synced.ok()) return RoleFailed("relay that syncs a file", synced.status());
    PrintQuantiles("relay that syncs a file", Quantiles(*synced));
    for (const Case& what : cases) {
      const PairLatency latency = MeasurePair(
          options, broker, {.queue = what.queue, .messages = messages, .rate = rate}, what.carrier);
      std::printf("  %s\n", what.name);
      PrintQuantiles("published to delivered", latency.delivered);
      PrintQuantiles("published to confirmed", latency.confirmed);
    }
  }
  return 0;
}

int RawRing(const ScenarioOptions& options) {
  for (const uint64_t bytes : {uint64_t{64}, uint64_t{1'024}}) {
    const uint64_t messages = Messages(options, bytes == 64 ? 100'000'000 : 20'000'000);
    std::vector<double> rates;
    for (int round = 0; round < options.rounds; ++round) {
      const auto rate = RawRingRate(messages, bytes);
      if (!rate.ok()) return RoleFailed("raw ring", rate.status());
      rates.push_back(*rate);
    }
    std::printf("raw ring between two processes, %llu bytes: %.1f million/s\n",
                static_cast<unsigned long long>(bytes), Quantile(rates, 0.5) / 1e6);
  }
  return 0;
}

}  // namespace baton::bench
