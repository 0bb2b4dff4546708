#include "bench/hostile.h"

#include <signal.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "bench/intruder.h"
#include "bench/open_loop.h"
#include "bench/support.h"

namespace baton::bench {
namespace {

using Children = std::vector<std::unique_ptr<ChildProcess>>;

constexpr uint64_t kRate = 1'000;
constexpr int kStopped = 5;

// A backlog for those that take and do not give back.
void FillUp(const ScenarioOptions& options, const BrokerProcess& broker) {
  Finish(*StartRole(options, broker,
                    {.name = "produce", .queue = "backlog", .messages = Messages(options, 50'000)}));
}

Children StoppedConsumers(const ScenarioOptions& options, const BrokerProcess& broker) {
  Children consumers;
  for (int i = 0; i < kStopped; ++i) {
    consumers.push_back(
        StartRole(options, broker, {.name = "consume", .queue = "backlog", .messages = uint64_t{1} << 60}));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // in the midst of it
  for (const auto& consumer : consumers) consumer->Signal(SIGSTOP);
  return consumers;
}

class Table {
 public:
  Table(const ScenarioOptions& options, const BrokerProcess& broker) : options_(options), broker_(broker) {}

  void Measure(const std::string& beside) {
    for (const std::string queue : {"memory", "durable"}) {
      const Role role{.queue = queue, .messages = Messages(options_, 10 * kRate), .rate = kRate};
      const auto before = broker_.process().ProcessorTime();
      const PairLatency measured = MeasurePair(options_, broker_, role, Carrier::kRings);
      const double seconds = PacedSeconds(role.messages, role.rate);
      const double cpu =
          std::chrono::duration<double>(broker_.process().ProcessorTime() - before).count() / seconds;
      if (alone_.size() < 2) alone_.push_back(measured);
      const PairLatency& alone = alone_[queue == "memory" ? 0 : 1];
      std::printf("  %-22s %-8s broker %3.0f %%   delivered %s   confirmed %s\n", beside.c_str(),
                  queue.c_str(), 100 * cpu, Text(measured.delivered, alone.delivered).c_str(),
                  Text(measured.confirmed, alone.confirmed).c_str());
      std::fflush(stdout);
    }
  }

 private:
  static std::string Text(const nlohmann::json& now, const nlohmann::json& alone) {
    const auto at = [&](const char* quantile) {
      char text[64];
      const double micros = now[quantile].get<double>();
      std::snprintf(text, sizeof(text), "%s %6.0f us (x %4.1f)", quantile, micros,
                    micros / alone[quantile].get<double>());
      return std::string(text);
    };
    return at("p50") + " " + at("p99");
  }

  const ScenarioOptions& options_;
  const BrokerProcess& broker_;
  std::vector<PairLatency> alone_;  // memory, durable
};

}  // namespace

int Hostile(const ScenarioOptions& options) {
  BrokerProcess broker = NewBroker(options);
  broker.Start();
  CreateQueue(broker, "memory", {.durability = Durability::kMemory});
  CreateQueue(broker, "durable");
  CreateQueue(broker, "backlog", {.durability = Durability::kMemory, .attempts_max = 0});
  FillUp(options, broker);
  std::printf("a pair over rings, %llu messages/s of 1 KiB for %g s, from the intended time, beside:\n",
              static_cast<unsigned long long>(kRate), PacedSeconds(Messages(options, 10 * kRate), kRate));
  Table table(options, broker);
  table.Measure("nobody");
  for (const Mischief& mischief : Mischiefs()) {
    ChildProcess intruder(
        {options.self, "intrude", "--kind", mischief.name, "--url", broker.url(), "--queue", "backlog"});
    table.Measure(mischief.name);
  }
  {
    const Children stopped = StoppedConsumers(options, broker);
    table.Measure("stopped consumers");
  }
  table.Measure("nobody again");
  return 0;
}

}  // namespace baton::bench
