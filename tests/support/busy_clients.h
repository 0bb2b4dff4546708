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
    uint64_t waiting_max = 3'000;  // messages published and, as far as the book knows, not acked
  };
  BusyProducer(Options options, PromiseBook* book);
  ~BusyProducer();

  // Publishes no more, and waits until everything is answered. BLOCKS.
  absl::Status Stop();
  std::string Describe() const { return client_.Describe(); }

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
  std::string Describe() const { return client_.Describe(); }

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
  // Writes down what it has been told since the last time. It acks some hundreds of messages in each life of
  // the broker: producers that wait for the book to hear of acks would wait for ever for those of one that
  // lives long.
  void Report(PromiseBook* book);
  // What it says of itself. BLOCKS until it has, a second at most.
  std::string Describe();
  // kill -9; then reports. What it held in its life. BLOCKS.
  std::vector<Held> Kill(PromiseBook* book);

 private:
  void ReportEvent(const std::string& line, PromiseBook* book);

  std::string events_path_;
  std::string errors_path_;
  std::streamoff reported_ = 0;  // of that file
  std::vector<Held> held_;
  ChildProcess process_;
};

}  // namespace baton
