#include "bench/roles.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "baton/client.h"
#include "bench/failure.h"

namespace baton::bench {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The rate of each run of `milestone` messages.
class Milestones {
 public:
  explicit Milestones(uint64_t every) : every_(every) {}
  void Count() {
    if (++count_ % every_ != 0) return;
    rates_.push_back(static_cast<double>(every_) / SecondsSince(last_));
    last_ = Clock::now();
  }
  const std::vector<double>& rates() const { return rates_; }

 private:
  const uint64_t every_;
  uint64_t count_ = 0;
  Clock::time_point last_ = Clock::now();
  std::vector<double> rates_;
};

void Print(uint64_t messages, double seconds, const Milestones& milestones) {
  const nlohmann::json line = {{"messages", messages}, {"seconds", seconds}, {"rates", milestones.rates()}};
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
}

}  // namespace

int RunProducer(const RoleOptions& options) {
  auto client = Client::Connect({.url = options.url});
  if (!client.ok()) return RoleFailed("connect", client.status());
  if (options.create && !client->GetQueue(options.queue).ok()) {
    if (const auto created = client->CreateQueue(options.queue); !created.ok()) {
      return RoleFailed("create", created.status());
    }
  }
  auto producer = client->NewProducer();
  if (!producer.ok()) return RoleFailed("producer", producer.status());
  std::mt19937_64 random(options.seed);
  Message message{.body = std::string(options.body_bytes, 'x')};
  std::atomic<uint64_t> failed = 0;
  const auto start = Clock::now();
  Milestones milestones(options.milestone);
  for (uint64_t i = 0; i < options.messages; ++i) {
    if (options.priorities > 1) message.priority = static_cast<uint32_t>(random() % options.priorities);
    producer->Publish(options.queue, message, [&failed](const auto& answer) {
      if (!answer.ok()) failed.fetch_add(1, std::memory_order_relaxed);
    });
    milestones.Count();
  }
  const absl::Status flushed = producer->Flush(std::chrono::minutes(5));
  if (!flushed.ok()) return RoleFailed("flush", flushed);
  Print(options.messages - failed.load(), SecondsSince(start), milestones);
  return failed.load() == 0 ? 0 : 1;
}

int RunConsumer(const RoleOptions& options) {
  auto client = Client::Connect({.url = options.url});
  if (!client.ok()) return RoleFailed("connect", client.status());
  auto consumer = client->Subscribe({.queue = options.queue, .credit = options.credit, .auto_extend = false});
  if (!consumer.ok()) return RoleFailed("subscribe", consumer.status());
  auto start = Clock::now();
  Milestones milestones(options.milestone);
  for (uint64_t i = 0; i < options.messages; ++i) {
    auto delivery = consumer->Receive(std::chrono::seconds(60));
    if (!delivery.ok()) return RoleFailed("receive", delivery.status());
    if (!delivery->has_value())
      return RoleFailed("receive", absl::DeadlineExceededError("nothing came for 60 s"));
    if (i == 0) start = Clock::now();
    (*delivery)->Ack();
    milestones.Count();
  }
  const absl::Status flushed = consumer->Flush(std::chrono::minutes(1));
  if (!flushed.ok()) return RoleFailed("flush", flushed);
  Print(options.messages, SecondsSince(start), milestones);
  return 0;
}

}  // namespace baton::bench
