// Counts of durations in buckets that double: fixed size, exact counts, no allocation. Bounds in the terms of
// Prometheus.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/time.h"

namespace baton {

class LatencyHistogram {
 public:
  // Bucket i counts durations <= 2^i microseconds (and above the bucket before); the last one everything
  // longer.
  static constexpr int kBuckets = 28;  // up to 2^26 us = 67 s, then "longer"

  void Add(Duration duration) {
    const int64_t micros = duration.count() < 0 ? 0 : duration.count();
    const int bucket = micros <= 1 ? 0 : std::bit_width(static_cast<uint64_t>(micros - 1));
    ++counts_[bucket < kBuckets ? bucket : kBuckets - 1];
    sum_micros_ += static_cast<uint64_t>(micros);
    ++count_;
  }

  static constexpr uint64_t UpperBoundMicros(int bucket) { return uint64_t{1} << bucket; }
  uint64_t count(int bucket) const { return counts_[static_cast<size_t>(bucket)]; }
  uint64_t count() const { return count_; }
  uint64_t sum_micros() const { return sum_micros_; }

 private:
  std::array<uint64_t, kBuckets> counts_{};
  uint64_t sum_micros_ = 0;
  uint64_t count_ = 0;
};

}  // namespace baton
