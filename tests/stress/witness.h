// A well-behaved client that publishes and consumes all the while, and notices whatever somebody else's
// misbehaviour does to it: a lost connection, a message lost, changed, delivered again or out of order, a
// standstill.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "baton/client.h"

namespace baton {

class Witness {
 public:
  // `queue` is there, empty, and used by nobody else.
  Witness(const std::string& url, std::string queue);
  ~Witness();
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  // That messages published from now on arrive. BLOCKS until they do, or for far too long.
  bool SeesLife();
  // Ends; what was wrong, one line each.
  std::vector<std::string> Finish();
  uint64_t published() const { return published_; }

 private:
  void PublishOn();
  Outcome OnDelivery(const Delivery& delivery);
  void Complain(const std::string& complaint);

  const std::string queue_;
  std::optional<Client> client_;
  std::optional<Producer> producer_;
  std::optional<Consumer> consumer_;
  std::thread publisher_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> published_{0};  // numbers 1 … are their bodies

  std::mutex mutex_;
  std::condition_variable moved_;
  uint64_t consumed_ = 0;                // guarded by mutex_: numbers 1 … in order
  std::vector<std::string> complaints_;  // guarded by mutex_
};

}  // namespace baton
