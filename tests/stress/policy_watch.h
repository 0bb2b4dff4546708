// A client that leans on what queues do by themselves: dead-lettering, TTLs, limits. It notes what was
// confirmed, and judges where everything is at the end. Whatever happens to the broker meanwhile.
#pragma once

#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "baton/client.h"

namespace baton {

class PolicyWatch {
 public:
  static absl::Status CreateQueues(Client& client);

  PolicyWatch(std::string url, uint64_t seed);
  ~PolicyWatch();

  void Stop();
  // What is wrong. REQUIRES: it was stopped. BLOCKS until what is due has happened.
  std::vector<std::string> Judge(Client& client);
  uint64_t confirmed() const { return confirmed_; }

 private:
  enum class Fate { kConfirmed, kPerhaps, kRefused };
  struct Sent {
    uint64_t order = 0;  // in which they were sent
    std::string queue;
    Fate fate = Fate::kPerhaps;
    bool perhaps_acked = false;
    bool acked = false;
  };
  using Places = std::map<std::string, std::vector<std::string>>;  // where each key is

  void Run();
  void PublishSome(Client& client);
  void FailSome(Client& client);
  void AckSome(Client& client);
  void CheckLimit(Client& client);
  void JudgeOne(const std::string& key, const Sent& sent, const Places& places);
  void JudgeDropped(const std::string& key, const Sent& sent);
  void Complain(const std::string& key, const std::string& what);

  const std::string url_;
  std::mt19937_64 random_;
  std::map<std::string, Sent> sent_;
  uint64_t last_ = 0;
  std::vector<std::string> complaints_;
  std::atomic<uint64_t> confirmed_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace baton
