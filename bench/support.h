// What scenarios share: a broker, queues, and child processes with a role.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "baton/client.h"
#include "bench/broker_process.h"
#include "bench/child_process.h"
#include "bench/scenarios.h"

namespace baton::bench {

[[noreturn]] void Fail(const absl::Status& status);

BrokerProcess NewBroker(const ScenarioOptions& options, std::vector<std::string> flags = {});
Client Connect(const BrokerProcess& broker);
void CreateQueue(const BrokerProcess& broker, const std::string& name, const QueueConfig& config = {});

struct Role {
  std::string name;  // a role of main.cc
  std::string queue = "bench";
  uint64_t messages = 0;
  uint64_t body_bytes = 1'024;
  uint64_t priorities = 1;
  uint64_t rate = 1'000;
};
std::unique_ptr<ChildProcess> StartRole(const ScenarioOptions& options, const BrokerProcess& broker,
                                        const Role& role, Carrier carrier = Carrier::kRings);
// The line of JSON it prints at its end. Ends the benchmark when it failed.
nlohmann::json Finish(ChildProcess& child);

double Rate(const nlohmann::json& result);  // messages per second of what a child printed
// Producer and consumer at once, of role.queue; messages per second from the first publish to the last
// confirmed ack, which it prints with what each of them measured.
double RunPair(const ScenarioOptions& options, const BrokerProcess& broker, const Role& role,
               Carrier carrier = Carrier::kRings);

// How long so many messages take at a steady rate.
double PacedSeconds(uint64_t messages, uint64_t rate);
uint64_t Messages(const ScenarioOptions& options, uint64_t usual);

}  // namespace baton::bench
