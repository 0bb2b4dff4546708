#include "storage/format/birth_buckets.h"

#include <algorithm>

#include "base/check.h"

namespace baton {
namespace {
// Births closer together than this share a bucket from the start.
constexpr Duration kResolution = std::chrono::milliseconds(100);
}  // namespace

// The last bucket that starts at or before `born`.
size_t BirthBuckets::IndexOf(Instant born) const {
  const auto after =
      std::upper_bound(buckets_.begin(), buckets_.end(), born,
                       [](Instant instant, const Bucket& bucket) { return instant < bucket.start; });
  return static_cast<size_t>(after - buckets_.begin()) - 1;  // wraps to npos-like when there is none
}

void BirthBuckets::Add(Instant born) {
  if (buckets_.empty() || (born - buckets_.back().start >= kResolution && born > buckets_.back().last)) {
    buckets_.push_back({.start = born, .last = born, .count = 1});
    if (buckets_.size() > kBucketsMax) MergeCheapest();
    return;
  }
  if (born < buckets_.front().start) {  // a message that came here from another queue
    buckets_.front().start = born;
    ++buckets_.front().count;
    return;
  }
  Bucket& bucket = buckets_[IndexOf(born)];
  bucket.last = std::max(bucket.last, born);
  ++bucket.count;
}

void BirthBuckets::Remove(Instant born) {
  BATON_CHECK(!buckets_.empty() && born >= buckets_.front().start) << ToMicros(born);
  const size_t index = IndexOf(born);
  BATON_CHECK_GT(buckets_[index].count, 0u);
  if (--buckets_[index].count == 0) buckets_.erase(buckets_.begin() + static_cast<ptrdiff_t>(index));
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
  for (const Bucket& bucket : buckets_) {
    AppendVarint(out, static_cast<uint64_t>(ToMicros(bucket.start)));
    AppendVarint(out, static_cast<uint64_t>((bucket.last - bucket.start).count()));
    AppendVarint(out, bucket.count);
  }
}

bool BirthBuckets::ReadFrom(ByteReader& reader) {
  buckets_.clear();
  const uint64_t size = reader.Varint();
  if (size > kBucketsMax) return false;
  for (uint64_t i = 0; i < size; ++i) {
    const Instant start = InstantFromMicros(static_cast<int64_t>(reader.Varint()));
    const Instant last = start + Duration(static_cast<int64_t>(reader.Varint()));
    const uint64_t count = reader.Varint();
    if (!reader.ok() || count == 0 || last < start || (!buckets_.empty() && start <= buckets_.back().start))
      return false;
    buckets_.push_back({.start = start, .last = last, .count = count});
  }
  return reader.ok();
}

}  // namespace baton
