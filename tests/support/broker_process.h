// batond as a process of its own, on directories of its own, to be killed and started again.
//
//   BrokerProcess broker;
//   ASSERT_EQ(broker.Start(), "");
//   auto client = Client::Connect({.url = broker.url()});
//   broker.Kill();
//   ASSERT_EQ(broker.Start(), "");
//
// THREADS: one at a time.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "tests/support/child_process.h"
#include "tests/support/temporary_directory.h"

namespace baton {

class BrokerProcess {
 public:
  struct Options {
    std::vector<std::string> under = {};  // the program that starts it, as in prlimit --nofile=100
    std::vector<std::string> flags = {};
    std::vector<std::string> environment = {};  // NAME=VALUE, besides the test's own
    std::string data_dir = {};                  // "" = one of its own
    std::string runtime_dir = {};               // "" = one of its own
  };
  // How a process that was not to serve has ended.
  struct Outcome {
    std::optional<int> exit_code;  // nullopt: it runs on
    std::string output;
    std::string errors;

    friend std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
      return out << "exit code " << outcome.exit_code.value_or(-1) << ", output \"" << outcome.output
                 << "\", errors \"" << outcome.errors << "\"";
    }
  };

  BrokerProcess() : BrokerProcess(Options()) {}
  explicit BrokerProcess(Options options);

  const std::string& data_dir() const { return options_.data_dir; }
  const std::string& runtime_dir() const { return options_.runtime_dir; }
  std::string url() const { return "unix:" + options_.runtime_dir + "/baton.sock"; }
  std::string grpc_url() const { return "grpc+unix:" + options_.runtime_dir + "/grpc.sock"; }

  // Starts it and waits until it serves; "", or what went wrong: its exit code and what it said. BLOCKS.
  std::string Start();
  // Starts it and does not wait.
  void Launch();
  // Starts it and waits until it has ended, which it is expected to do by itself. BLOCKS.
  Outcome Run();
  // kill -9, and waits until it is gone. BLOCKS.
  void Kill();
  // Sends the signal. nullopt: it runs on. BLOCKS up to `timeout`.
  std::optional<int> Stop(int signal, std::chrono::milliseconds timeout);

  ChildProcess& process() { return *process_; }
  // Everything it has written to stderr, in all its lives.
  std::string errors() const;

 private:
  TemporaryDirectory directory_;
  TemporaryDirectory shared_{TemporaryDirectory::InMemory()};
  Options options_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace baton
