// baton_bench: measures a broker from outside, with real processes. `baton_bench --help`.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <filesystem>

#include "base/limits.h"
#include "bench/failure.h"
#include "bench/hostile.h"
#include "bench/intruder.h"
#include "bench/open_loop.h"
#include "bench/roles.h"
#include "bench/scenarios.h"

namespace {

using baton::bench::RoleOptions;
using baton::bench::ScenarioOptions;

constexpr uint64_t kMessagesMax = uint64_t{1} << 62;  // for as long as somebody likes

void AddScenario(CLI::App& app, const std::string& name, const std::string& help, ScenarioOptions& options,
                 int (*run)(const ScenarioOptions&), int& result) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("--messages", options.messages, "Number of messages; 0 = the scenario's own")
      ->check(CLI::Range(uint64_t{0}, kMessagesMax));
  command->add_option("--body-bytes", options.body_bytes, "Of each message (throughput)")
      ->check(CLI::Range(uint64_t{0}, uint64_t{baton::kBodyBytesDefaultMax}));
  command->add_option("--rounds", options.rounds, "Repetitions, for those that quote a median")
      ->check(CLI::Range(1, 1'000));
  command->add_option("--dir", options.directory, "Where brokers keep their data meanwhile");
  command->add_option("--batond", options.batond, "The broker to measure");
  command->add_flag("--smoke", options.smoke, "A hundredth of everything");
  command->callback([&options, run, &result] {
    if (options.smoke)
      std::printf(
          "smoke run: a hundredth of the scenario or so; it shows that it works, and measures nothing\n");
    result = run(options);
  });
}

void AddRole(CLI::App& app, const std::string& name, const std::string& help, RoleOptions& options,
             int (*run)(const RoleOptions&), int& result, uint64_t body_bytes_min = 0) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("--url", options.url, "The broker's address");
  command->add_option("--queue", options.queue, "The queue");
  command->add_flag("--create", options.create, "Create the queue when it is not there (produce)");
  command->add_option("--messages", options.messages, "How many")
      ->check(CLI::Range(uint64_t{1}, kMessagesMax));
  command->add_option("--body-bytes", options.body_bytes, "Of each message")
      ->check(CLI::Range(body_bytes_min, uint64_t{baton::kBodyBytesCeiling}));
  command->add_option("--priorities", options.priorities, "Random ones below this")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 32));
  command->add_option("--rate", options.rate, "Messages per second (pace)")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000}));
  command->add_option("--handlers", options.handler_threads, "Threads; 0 = the client's own (collect)")
      ->check(CLI::Range(0, 1'000));
  command->add_option("--credit", options.credit, "Unsettled deliveries at a time")
      ->check(CLI::Range(uint32_t{1}, baton::kCreditMessagesMax));
  command->add_option("--kind", options.kind, "Of mischief (intrude)");
  command->add_option("--milestone", options.milestone, "A rate for each so many messages")
      ->check(CLI::Range(uint64_t{1}, kMessagesMax));
  command->callback([&options, run, &result] { result = run(options); });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Measures a Baton broker: throughput, latency, backlog, priorities, idleness."};
  app.require_subcommand(1);
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  ScenarioOptions scenario{.self = self,
                           .batond = self.parent_path() / "batond",
                           .directory = std::filesystem::temp_directory_path()};
  RoleOptions role;
  int result = 0;
  AddScenario(app, "throughput", "1 producer + 1 consumer process", scenario, baton::bench::Throughput,
              result);
  AddScenario(app, "latency", "One unary durable publish after another", scenario, baton::bench::UnaryLatency,
              result);
  AddScenario(app, "backlog", "10 million messages queued, a crash, drained", scenario, baton::bench::Backlog,
              result);
  AddScenario(app, "priorities", "A million distinct priorities beside one", scenario,
              baton::bench::Priorities, result);
  AddScenario(app, "idle", "What a broker costs that has nothing to do", scenario, baton::bench::Idle,
              result);
  AddScenario(app, "open-loop", "Latency at given rates, beside a bare relay", scenario,
              baton::bench::OpenLoop, result);
  AddScenario(app, "clients", "500 local clients: connecting, and idle", scenario, baton::bench::Clients,
              result);
  AddScenario(app, "take-over", "A memory queue of a million messages, after kill -9", scenario,
              baton::bench::TakeOver, result);
  AddScenario(app, "raw-ring", "A ring between two processes, and no broker", scenario, baton::bench::RawRing,
              result);
  AddScenario(app, "hostile", "A pair's latency beside hostile clients", scenario, baton::bench::Hostile,
              result);
  AddRole(app, "intrude", "A hostile client's process, until it is killed", role, baton::bench::RunIntruder,
          result);
  // Their bodies begin with the intended time.
  AddRole(app, "pace", "A producer process at a steady rate", role, baton::bench::RunPacer, result,
          sizeof(int64_t));
  AddRole(app, "collect", "Its consumer process", role, baton::bench::RunCollector, result, sizeof(int64_t));
  AddRole(app, "produce", "One producer process, against any broker", role, baton::bench::RunProducer,
          result);
  AddRole(app, "consume", "One consumer process, against any broker", role, baton::bench::RunConsumer,
          result);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const baton::bench::Failure&) {
    return 1;
  }
  return result;
}
