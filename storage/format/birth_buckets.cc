#include "storage/format/birth_buckets.h"

#include <algorithm>

namespace baton {
namespace {
// Births closer together than this share a bucket from the start.
constexpr Duration kResolution = std::chrono::milliseconds(100);
// The latest instant there is.
constexpr uint64_t kMicrosMax = INT64_MAX;
}  // namespace

ptrdiff_t BirthBuckets::IndexOf(Instant born) const {
  const auto after =
      std::upper_bound(buckets_.begin(), buckets_.end(), born,
                       [](Instant instant, const Bucket& bucket) { return instant < bucket.start; });
  return after - buckets_.begin() - 1;
}

void BirthBuckets::Add(Instant born) {
  const ptrdiff_t index = IndexOf(born);
  if (index >= 0) {
    Bucket& bucket = buckets_[static_cast<size_t>(index)];
    if (born - bucket.start < kResolution || born <= bucket.last) {
      bucket.last = std::max(bucket.last, born);
      ++bucket.count;
      return;
    }
  }
  // Behind everything that the bucket before has counted: mostly the newest, but messages come from other
  // queues, too.
  buckets_.insert(buckets_.begin() + (index + 1), {.start = born, .last = born, .count = 1});
  if (buckets_.size() > kBucketsMax) MergeCheapest();
}

bool BirthBuckets::Take(Instant born) {
  const ptrdiff_t index = IndexOf(born);
  if (index < 0) return false;
  const auto bucket = buckets_.begin() + index;
  if (--bucket->count == 0) buckets_.erase(bucket);
  return true;
}

void BirthBuckets::MergeCheapest() {
  const Instant newest = buckets_.back().start;
  size_t cheapest = 0;
  double least = 0;
  // The newest bucket keeps filling and is never merged.
  for (size_t i = 0; i + 2 < buckets_.size(); ++i) {
    const auto span = static_cast<double>((buckets_[i + 1].start - buckets_[i].start).count());
    const auto age = static_cast<double>((newest - buckets_[i].start).count());
    const double cost = span / (age + 1);
    if (i == 0 || cost < least) {
      cheapest = i;
      least = cost;
    }
  }
  buckets_[cheapest].count += buckets_[cheapest + 1].count;
  buckets_[cheapest].last = std::max(buckets_[cheapest].last, buckets_[cheapest + 1].last);
  buckets_.erase(buckets_.begin() + static_cast<ptrdiff_t>(cheapest) + 1);
}

void BirthBuckets::AppendTo(std::string& out) const {
  AppendVarint(out, buckets_.size());
  Instant before;
  for (const Bucket& bucket : buckets_) {
    AppendVarint(out, static_cast<uint64_t>((bucket.start - before).count()));
    AppendVarint(out, static_cast<uint64_t>((bucket.last - bucket.start).count()));
    AppendVarint(out, bucket.count);
    before = bucket.start;
  }
}

bool BirthBuckets::ReadFrom(ByteReader& reader) {
  buckets_.clear();
  const uint64_t size = reader.Varint();
  if (size > kBucketsMax) return false;
  uint64_t last = 0;  // of the bucket before
  uint64_t start = 0;
  for (uint64_t i = 0; i < size; ++i) {
    const uint64_t distance = reader.Varint();
    const uint64_t span = reader.Varint();
    const uint64_t count = reader.Varint();
    if (!reader.ok() || count == 0 || distance > kMicrosMax - start || span > kMicrosMax - start - distance)
      return false;
    start += distance;
    if (i > 0 && start <= last) return false;
    last = start + span;
    buckets_.push_back({.start = InstantFromMicros(static_cast<int64_t>(start)),
                        .last = InstantFromMicros(static_cast<int64_t>(last)),
                        .count = count});
  }
  return reader.ok();
}

}  // namespace baton
