#include "tests/support/broker_process.h"

#include <fmt/format.h>
#include <signal.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "base/check.h"

namespace baton {
namespace {

constexpr std::chrono::seconds kPatience{30};  // reached only by a failure

}  // namespace

BrokerProcess::BrokerProcess(Options options) : options_(std::move(options)) {
  if (options_.data_dir.empty()) options_.data_dir = directory_.path() + "/data";
  if (options_.runtime_dir.empty()) options_.runtime_dir = directory_.path() + "/run";
}

void BrokerProcess::Launch() {
  // Memory queues of a killed broker go with the test.
  std::vector<std::string> arguments = {"/usr/bin/env", "BATON_MEMORY_QUEUE_DIR=" + shared_.path()};
  arguments.insert(arguments.end(), options_.environment.begin(), options_.environment.end());
  arguments.insert(arguments.end(), options_.under.begin(), options_.under.end());
  arguments.insert(arguments.end(), {BATON_BIN_DIR "/batond", "--data-dir", options_.data_dir,
                                     "--runtime-dir", options_.runtime_dir});
  arguments.insert(arguments.end(), options_.flags.begin(), options_.flags.end());
  process_ = std::make_unique<ChildProcess>(arguments, directory_.path() + "/stderr");
}

std::string BrokerProcess::Start() {
  Launch();
  const std::optional<std::string> line = process_->ReadLine(kPatience);
  if (line == "ready") return "";
  const std::optional<int> exit_code = process_->Wait(std::chrono::seconds(5));
  return fmt::format("batond said \"{}\", exit code {}\n{}", line.value_or(""),
                     exit_code.has_value() ? std::to_string(*exit_code) : "none: it runs", errors());
}

BrokerProcess::Outcome BrokerProcess::Run() {
  Launch();
  Outcome outcome;
  while (const std::optional<std::string> line = process_->ReadLine(kPatience))
    outcome.output += *line + "\n";
  outcome.exit_code = process_->Wait(kPatience);
  outcome.errors = errors();
  return outcome;
}

void BrokerProcess::Kill() {
  process_->Signal(SIGKILL);
  BATON_CHECK(process_->Wait(kPatience).has_value()) << "kill -9 does not end batond";
}

std::optional<int> BrokerProcess::Stop(int signal, std::chrono::milliseconds timeout) {
  process_->Signal(signal);
  return process_->Wait(timeout);
}

std::string BrokerProcess::errors() const {
  std::ifstream file(directory_.path() + "/stderr");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace baton
