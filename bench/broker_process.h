// A batond of the benchmark's own, in a directory of its own, gone with the object.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/child_process.h"

namespace baton::bench {

enum class Carrier { kRings, kGrpc };

struct BrokerOptions {
  std::string program;    // path of batond
  std::string directory;  // an empty one is made below it
  std::vector<std::string> flags;
};

class BrokerProcess {
 public:
  explicit BrokerProcess(BrokerOptions options);
  ~BrokerProcess();

  // Returns once it serves; how long that took.
  std::chrono::milliseconds Start();
  void Kill();  // as a crash would
  int Stop();   // SIGTERM; its exit code

  const std::string& shared_dir() const { return shared_; }
  std::string url(Carrier carrier = Carrier::kRings) const;
  const ChildProcess& process() const { return *process_; }

 private:
  BrokerOptions options_;
  std::string home_;
  std::string shared_;  // memory queues
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace baton::bench
