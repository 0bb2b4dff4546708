// A broker, a witness over rings that publishes and consumes all the while, and what must be true once
// hostile clients have gone: nothing is left of them but messages.
#pragma once

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "base/runtime_dir.h"
#include "tests/stress/hostile_client.h"
#include "tests/stress/ring_intruder.h"
#include "tests/stress/witness.h"
#include "tests/support/random_seed.h"

namespace baton {

class HostileRing : public testing::Test {
 protected:
  static constexpr uint64_t kSessionsMax = 400;
  static constexpr size_t kMemoryBudget = 64u << 20;
  static constexpr std::chrono::seconds kPatience{20};
  // It takes a few milliseconds; more only on a machine that is busy with something else.
  static constexpr std::chrono::seconds kAtOnce{3};

  HostileRing() : broker(SmallConfig(), CarrierKind::kRings), random(RandomSeed()) {
    v1::QueueConfig config;
    config.set_attempts_max(0);
    broker.CreateQueue("playground", config);
    config.set_durability(v1::RELAXED);
    broker.CreateQueue("relaxed", config);
    broker.CreateQueue("witness");
    witness.emplace("unix:" + socket_path(), "witness");
  }

  void TearDown() override {
    EXPECT_TRUE(witness->SeesLife());
    EXPECT_THAT(witness->Finish(), testing::IsEmpty());
    EXPECT_GT(witness->published(), 0u);
    Await([this] { return Sessions() == 0; }, "sessions are left");
    for (const char* name : {"playground", "relaxed"}) {
      Await(
          [&] {
            const v1::QueueCounts held = broker.GetQueue(name).counts();
            return held.leased() == 0 && held.subscriptions() == 0;
          },
          "leases or consumers are left");
    }
    if (slowest_end_.count() > 0) {
      std::printf("ended within %lld ms\n", static_cast<long long>(slowest_end_.count()));
    }
  }

  static Config SmallConfig() {
    Config config;
    config.memory_budget = kMemoryBudget;
    config.sessions_max = kSessionsMax;
    return config;
  }
  std::string socket_path() const { return LocalSocketPath(broker.runtime_dir()); }

  uint64_t Sessions() {
    v1::BrokerStatus status;
    const grpc::Status asked =
        broker.admin().GetStatus(PatientContext().get(), v1::GetStatusRequest(), &status);
    EXPECT_TRUE(asked.ok()) << asked.error_message();
    return status.sessions();
  }
  void Await(const std::function<bool()>& condition, const char* otherwise) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << otherwise;
      std::this_thread::yield();
    }
  }
  void ExpectEndedAtOnce(const RingIntruder& intruder) {
    const auto took = intruder.AwaitEnd(kAtOnce);
    ASSERT_TRUE(took.has_value()) << "the session goes on";
    slowest_end_ = std::max(slowest_end_, *took);
  }

  google::protobuf::LogSilencer silencer_;  // of bytes that are no UTF-8
  LocalBroker broker;
  Random random;
  std::optional<Witness> witness;

 private:
  std::chrono::milliseconds slowest_end_{0};
};

}  // namespace baton
