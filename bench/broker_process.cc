#include "bench/broker_process.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "baton/client.h"
#include "bench/failure.h"

namespace baton::bench {

BrokerProcess::BrokerProcess(BrokerOptions options) : options_(std::move(options)) {
  std::string pattern = options_.directory + "/baton-bench-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr)
    Fail("cannot make a directory in " + options_.directory + ": " + std::strerror(errno));
  home_ = pattern;
  std::string shared = "/dev/shm/baton-bench-XXXXXX";  // gone with the broker, however that ends
  shared_ = mkdtemp(shared.data()) == nullptr ? home_ : shared;
}

BrokerProcess::~BrokerProcess() {
  process_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(home_, ignored);
  std::filesystem::remove_all(shared_, ignored);
}

std::string BrokerProcess::url(Carrier carrier) const {
  return carrier == Carrier::kRings ? "unix:" + home_ + "/run/baton.sock"
                                    : "grpc+unix:" + home_ + "/run/grpc.sock";
}

std::chrono::milliseconds BrokerProcess::Start() {
  std::vector<std::string> arguments = {options_.program, "--data-dir",         home_ + "/data",
                                        "--runtime-dir",  home_ + "/run",       "--log-level",
                                        "warning",        "--memory-queue-dir", shared_};
  arguments.insert(arguments.end(), options_.flags.begin(), options_.flags.end());
  const auto start = std::chrono::steady_clock::now();
  process_ = std::make_unique<ChildProcess>(arguments);
  const auto client = Client::Connect({.url = url(), .connect_timeout = std::chrono::seconds(30)});
  if (!client.ok()) Fail("the broker does not answer: " + std::string(client.status().message()));
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
}

void BrokerProcess::Kill() {
  process_->Signal(SIGKILL);
  process_->Wait();
}

int BrokerProcess::Stop() {
  process_->Signal(SIGTERM);
  return process_->Wait();
}

}  // namespace baton::bench
