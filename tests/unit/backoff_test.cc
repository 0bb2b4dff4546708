#include "client/transport/backoff.h"

#include <gtest/gtest.h>

namespace baton::client {
namespace {

using std::chrono::milliseconds;

TEST(Backoff, StartsShortAndDoublesUpToItsLimitWithJitter) {
  Backoff backoff(milliseconds(2'000), /*seed=*/7);
  milliseconds limit(20);
  for (int attempt = 0; attempt < 20; ++attempt) {
    const milliseconds pause = backoff.Next();
    EXPECT_GE(pause, limit / 2) << attempt;
    EXPECT_LE(pause, limit) << attempt;
    limit = std::min(limit * 2, milliseconds(2'000));
  }
}

TEST(Backoff, IsShortAgainAfterAReset) {
  Backoff backoff(milliseconds(2'000), /*seed=*/7);
  for (int attempt = 0; attempt < 10; ++attempt) backoff.Next();
  backoff.Reset();
  EXPECT_LE(backoff.Next(), milliseconds(20));
}

TEST(Backoff, OfTwoClientsDiffers) {
  Backoff one(milliseconds(2'000), /*seed=*/1);
  Backoff other(milliseconds(2'000), /*seed=*/2);
  int different = 0;
  for (int attempt = 0; attempt < 20; ++attempt) different += one.Next() != other.Next() ? 1 : 0;
  EXPECT_GT(different, 10);
}

}  // namespace
}  // namespace baton::client
