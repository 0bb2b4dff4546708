// Clients that work without end and write down in a PromiseBook what they are told: producers and consumers
// in this process, and consumers in processes of their own, to be killed.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "baton/client.h"
#include "tests/support/child_process.h"
#include "tests/support/promise_book.h"

namespace baton {

struct BusyQueue {
  std::string name;
  Durability durability = Durability::kDurable;
  DeliveryMode delivery = DeliveryMode::kEager;
};

// A client that puts up with a broker that is killed all the time.
Client ConnectPatiently(const std::string& url, const std::string& name);

PromiseBook::Seen SeenOf(const Delivery& delivery);

// Publishes bursts of messages of all sizes, with priorities and delays, to any of the queues, as long as not
// too much waits for the consumers. THREADS: one at a time.
class BusyProducer {
 public:
  struct Options {
    std::string url;
    std::string name;
    std::vector<BusyQueue> queues;
    uint64_t seed = 0;
  };
  BusyProducer(Options options, PromiseBook* book);
  ~BusyProducer();

  // Publishes no more, and waits until everything is answered. BLOCKS.
  absl::Status Stop();

 private:
  void Run();
  void PublishOne(const BusyQueue& queue);
  uint64_t Random(uint64_t max) { return std::uniform_int_distribution<uint64_t>(0, max)(random_); }

  const Options options_;
  PromiseBook* const book_;
  Client client_;
  std::optional<Producer> producer_;
  std::mt19937_64 random_;
  uint64_t published_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// Takes from all queues; acks most, nacks some with a delay, releases some, and keeps some for a while before
// it acks. THREADS: one at a time.
class BusyConsumer {
 public:
  struct Options {
    std::string url;
    std::string name;
    std::vector<BusyQueue> queues;
    uint64_t seed = 0;
  };
  BusyConsumer(Options options, PromiseBook* book);

  // Takes no more, and waits until every settlement is answered. BLOCKS.
  absl::Status Stop();

 private:
  Outcome Handle(Delivery& delivery);

  const uint64_t seed_;
  PromiseBook* const book_;
  Client client_;
  std::vector<Consumer> consumers_;
};

// The program doomed_consumer. THREADS: one at a time.
class DoomedConsumer {
 public:
  struct Options {
    std::string url;
    std::string directory;  // for its files; its own
    std::vector<std::string> queues;
    uint64_t hold_every = 3;
  };
  explicit DoomedConsumer(const Options& options);

  // Waits until it holds a delivery that it will not settle. False: not in time, or it has ended. BLOCKS.
  bool WaitUntilHolding(std::chrono::milliseconds timeout);

  struct Held {
    LeaseToken token;
    std::string key;
  };
  // kill -9; then writes down what it had been told. What it held in its life. BLOCKS.
  std::vector<Held> Kill(PromiseBook* book);

 private:
  std::string events_path_;
  ChildProcess process_;
};

}  // namespace baton
