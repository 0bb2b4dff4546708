#include "bench/support.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/failure.h"

namespace baton::bench {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;
using std::chrono::duration;

}  // namespace

void Fail(const absl::Status& status) { Fail(std::string(status.message())); }

BrokerProcess NewBroker(const ScenarioOptions& options, std::vector<std::string> flags) {
  return BrokerProcess(
      {.program = options.batond, .directory = options.directory, .flags = std::move(flags)});
}

Client Connect(const BrokerProcess& broker) {
  auto client = Client::Connect({.url = broker.url()});
  if (!client.ok()) Fail(client.status());
  return *std::move(client);
}

void CreateQueue(const BrokerProcess& broker, const std::string& name, const QueueConfig& config) {
  if (const auto created = Connect(broker).CreateQueue(name, config); !created.ok()) Fail(created.status());
}

std::unique_ptr<ChildProcess> StartRole(const ScenarioOptions& options, const BrokerProcess& broker,
                                        const Role& role, Carrier carrier) {
  return std::make_unique<ChildProcess>(std::vector<std::string>{
      options.self, role.name, "--url", broker.url(carrier), "--queue", role.queue, "--messages",
      std::to_string(role.messages), "--body-bytes", std::to_string(role.body_bytes), "--priorities",
      std::to_string(role.priorities), "--rate", std::to_string(role.rate), "--milestone",
      std::to_string(std::max<uint64_t>(role.messages / 10, 1))});
}

nlohmann::json Finish(ChildProcess& child) {
  const std::string line = child.ReadLine();
  const int code = child.Wait();
  if (code != 0 || line.empty()) Fail("a child process ended with exit code " + std::to_string(code));
  return nlohmann::json::parse(line);
}

double Rate(const json& result) { return result["messages"].get<double>() / result["seconds"].get<double>(); }

double RunPair(const ScenarioOptions& options, const BrokerProcess& broker, const Role& what,
               Carrier carrier) {
  const auto cpu_before = broker.process().ProcessorTime();
  const auto start = Clock::now();
  Role role = what;
  role.name = "consume";
  const auto consumer = StartRole(options, broker, role, carrier);
  role.name = "produce";
  const auto producer = StartRole(options, broker, role, carrier);
  const json produced = Finish(*producer);
  const json consumed = Finish(*consumer);
  const double seconds = duration<double>(Clock::now() - start).count();
  const double cpu = duration<double>(broker.process().ProcessorTime() - cpu_before).count();
  const double rate = static_cast<double>(what.messages) / seconds;
  std::printf(
      "  %-7s %-6s %6llu B   %9.0f/s   producer %9.0f/s   consumer %9.0f/s   broker cpu %5.2f us/message\n",
      what.queue.c_str(), carrier == Carrier::kRings ? "rings" : "gRPC",
      static_cast<unsigned long long>(what.body_bytes), rate, Rate(produced), Rate(consumed),
      cpu * 1e6 / static_cast<double>(what.messages));
  return rate;
}

double PacedSeconds(uint64_t messages, uint64_t rate) {
  return static_cast<double>(messages) / static_cast<double>(rate);
}

uint64_t Messages(const ScenarioOptions& options, uint64_t usual) {
  if (options.messages != 0) return options.messages;
  return options.smoke ? std::max<uint64_t>(usual / 100, 100) : usual;
}

}  // namespace baton::bench
