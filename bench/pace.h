// Times at which messages should be sent.
#pragma once

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace baton::bench {

// Of CLOCK_MONOTONIC, which all processes share.
inline int64_t NowNanos() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class Pace {
 public:
  explicit Pace(uint64_t rate) : start_(NowNanos() + 10'000'000), rate_(static_cast<int64_t>(rate)) {}
  int64_t IntendedNanos(uint64_t message) const {
    return start_ + static_cast<int64_t>(message) * 1'000'000'000 / rate_;
  }
  // Sleeps, and spins the last 300 us: a sleep that ends late would count as latency.
  static void WaitUntil(int64_t nanos) {
    constexpr int64_t kSpin = 300'000;
    const int64_t left = nanos - NowNanos();
    if (left > kSpin) std::this_thread::sleep_for(std::chrono::nanoseconds(left - kSpin));
    while (NowNanos() < nanos) {
    }
  }

 private:
  const int64_t start_;
  const int64_t rate_;
};

template <class T>
T Quantile(std::vector<T> values, double q) {
  if (values.empty()) return T();
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

}  // namespace baton::bench
