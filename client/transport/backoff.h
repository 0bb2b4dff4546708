// Pauses between attempts at something that failed, to reconnect above all: the first one short, then
// doubling up to a limit, each with jitter, so that the clients of a broker that was restarted do not come
// back in step.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

namespace baton::client {

class Backoff {
 public:
  explicit Backoff(std::chrono::milliseconds pause_max, uint64_t seed = RandomSeed())
      : pause_max_(pause_max), random_(seed) {}

  // Between half and all of: 20 ms, 40 ms, 80 ms … pause_max.
  std::chrono::milliseconds Next() {
    const std::chrono::milliseconds limit = pause_ < pause_max_ ? pause_ : pause_max_;
    if (pause_ < pause_max_) pause_ *= 2;
    std::uniform_int_distribution<int64_t> jitter(limit.count() / 2, limit.count());
    return std::chrono::milliseconds(jitter(random_));
  }

  void Reset() { pause_ = kFirst; }

 private:
  static constexpr std::chrono::milliseconds kFirst{20};

  static uint64_t RandomSeed() {
    std::random_device device;
    return (uint64_t{device()} << 32) | device();
  }

  std::chrono::milliseconds pause_max_;
  std::chrono::milliseconds pause_ = kFirst;
  std::mt19937_64 random_;
};

}  // namespace baton::client
