#include "server/engine/latency_histogram.h"

#include <gtest/gtest.h>

namespace baton {
namespace {

using namespace std::chrono_literals;

// The bucket that one duration falls into.
int BucketOf(Duration duration) {
  LatencyHistogram histogram;
  histogram.Add(duration);
  for (int bucket = 0; bucket < LatencyHistogram::kBuckets; ++bucket) {
    if (histogram.count(bucket) != 0) return bucket;
  }
  return -1;
}

TEST(LatencyHistogram, PutsADurationBelowOrAtTheBoundOfItsBucket) {
  for (int64_t micros : {0, 1, 2, 3, 4, 5, 1'000, 1'023, 1'024, 1'025, 1'000'000, 60'000'000}) {
    const int bucket = BucketOf(Duration(micros));
    EXPECT_LE(micros, static_cast<int64_t>(LatencyHistogram::UpperBoundMicros(bucket))) << micros;
    if (bucket > 0) {
      EXPECT_GT(micros, static_cast<int64_t>(LatencyHistogram::UpperBoundMicros(bucket - 1))) << micros;
    }
  }
}

TEST(LatencyHistogram, HasAPlaceForTheVeryLongAndTheImpossible) {
  EXPECT_EQ(BucketOf(24h * 365), LatencyHistogram::kBuckets - 1);
  EXPECT_EQ(BucketOf(Duration::max()), LatencyHistogram::kBuckets - 1);
  EXPECT_EQ(BucketOf(-1s), 0);
}

TEST(LatencyHistogram, CountsAndSums) {
  LatencyHistogram histogram;
  histogram.Add(1ms);
  histogram.Add(3ms);
  histogram.Add(-1s);

  EXPECT_EQ(histogram.count(), 3u);
  EXPECT_EQ(histogram.sum_micros(), 4'000u);
  uint64_t counted = 0;
  for (int bucket = 0; bucket < LatencyHistogram::kBuckets; ++bucket) counted += histogram.count(bucket);
  EXPECT_EQ(counted, 3u);
}

}  // namespace
}  // namespace baton
