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
      Loosen(static_cast<size_t>(index));
      bucket.last = std::max(bucket.last, born);
      ++bucket.count;
      return;
    }
  }
  // Behind everything that the bucket before has counted: mostly the newest, but messages come from other
  // queues, too.
  Insert(static_cast<size_t>(index + 1), {.start = born, .last = born, .count = 1});
  if (buckets_.size() <= kBucketsMax + kUnmergedMax) return;
  while (buckets_.size() > kBucketsMax) MergeCheapest();
}

bool BirthBuckets::Take(Instant born) {
  const ptrdiff_t index = IndexOf(born);
  if (index < 0) return false;
  const auto at = static_cast<size_t>(index);
  Loosen(at);
  if (--buckets_[at].count == 0) Erase(at);
  return true;
}

void BirthBuckets::Clear() {
  buckets_.clear();
  kept_ = 0;
}

void BirthBuckets::Loosen(size_t index) {
  if (index < kept_at_ || index >= kept_at_ + kept_) return;
  const size_t before = index - kept_at_;
  const size_t after = kept_ - before - 1;
  kept_ = std::max(before, after);
  if (before >= after) return;
  kept_from_ += before + 1;
  kept_at_ = index + 1;
}

void BirthBuckets::Insert(size_t index, const Bucket& bucket) {
  const bool splits = index > kept_at_ && index < kept_at_ + kept_;
  if (splits) {
    const size_t before = index - kept_at_;
    const size_t after = kept_ - before;
    kept_ = std::max(before, after);
    if (before < after) {
      kept_from_ += before;
      kept_at_ = index;
    }
  }
  if (index <= kept_at_) ++kept_at_;
  buckets_.insert(buckets_.begin() + static_cast<ptrdiff_t>(index), bucket);
}

void BirthBuckets::Erase(size_t index) {
  Loosen(index);
  if (index < kept_at_) --kept_at_;
  buckets_.erase(buckets_.begin() + static_cast<ptrdiff_t>(index));
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
  Loosen(cheapest);
  buckets_[cheapest].count += buckets_[cheapest + 1].count;
  buckets_[cheapest].last = std::max(buckets_[cheapest].last, buckets_[cheapest + 1].last);
  Erase(cheapest + 1);
}

std::optional<std::string> BirthBuckets::TakeRow() {
  if (buckets_.size() - kept_ > kLooseMax) {
    kept_at_ = kept_from_ = 0;
    kept_ = buckets_.size();
    has_row_ = true;
    std::string row;
    AppendBuckets(row, 0, kept_);
    return row;
  }
  if (kept_ > 0 || !has_row_) return std::nullopt;
  has_row_ = false;
  return "";
}

void BirthBuckets::AppendTo(std::string& out) const {
  AppendVarint(out, kept_);
  size_t after = 0;
  if (kept_ > 0) {
    AppendVarint(out, kept_from_);
    AppendVarint(out, kept_at_);
    AppendBuckets(out, 0, kept_at_);
    after = kept_at_ + kept_;
  }
  AppendVarint(out, buckets_.size() - after);
  AppendBuckets(out, after, buckets_.size());
}

void BirthBuckets::AppendBuckets(std::string& out, size_t begin, size_t end) const {
  for (size_t i = begin; i < end; ++i) {
    const Bucket& bucket = buckets_[i];
    AppendVarint(out, static_cast<uint64_t>((bucket.start - StartBefore(i)).count()));
    AppendVarint(out, static_cast<uint64_t>((bucket.last - bucket.start).count()));
    AppendVarint(out, bucket.count);
  }
}

std::optional<BirthBuckets> BirthBuckets::FromRow(std::string_view value) {
  BirthBuckets row;
  ByteReader reader(value);
  while (!reader.AtEnd()) {
    if (!row.ReadBucket(reader)) return std::nullopt;
  }
  if (row.empty()) return std::nullopt;
  row.has_row_ = true;
  return row;
}

bool BirthBuckets::ReadFrom(ByteReader& reader, const BirthBuckets& row) {
  buckets_.clear();
  has_row_ = row.has_row_;
  kept_at_ = kept_from_ = 0;
  kept_ = reader.Varint();
  if (kept_ > 0) {
    kept_from_ = reader.Varint();
    const size_t size = row.buckets_.size();
    if (!ReadBuckets(reader) || kept_from_ > size || kept_ > size - kept_from_) return false;
    kept_at_ = buckets_.size();
    const auto first = row.buckets_.begin() + static_cast<ptrdiff_t>(kept_from_);
    const bool in_order = buckets_.empty() || buckets_.back().last < first->start;
    if (!in_order || kept_ + kept_at_ > kBucketsMax + kUnmergedMax) return false;
    buckets_.insert(buckets_.end(), first, first + static_cast<ptrdiff_t>(kept_));
  }
  return ReadBuckets(reader);
}

bool BirthBuckets::ReadWhole(ByteReader& reader) { return ReadBuckets(reader); }

bool BirthBuckets::ReadBuckets(ByteReader& reader) {
  const uint64_t count = reader.Varint();
  for (uint64_t i = 0; i < count; ++i) {
    if (!ReadBucket(reader)) return false;
  }
  return reader.ok();
}

bool BirthBuckets::ReadBucket(ByteReader& reader) {
  const auto before = static_cast<uint64_t>(ToMicros(StartBefore(buckets_.size())));
  const uint64_t distance = reader.Varint();
  const uint64_t span = reader.Varint();
  const uint64_t count = reader.Varint();
  if (!reader.ok() || buckets_.size() == kBucketsMax + kUnmergedMax) return false;
  if (count == 0 || distance > kMicrosMax - before || span > kMicrosMax - before - distance) return false;
  const Bucket bucket{.start = InstantFromMicros(static_cast<int64_t>(before + distance)),
                      .last = InstantFromMicros(static_cast<int64_t>(before + distance + span)),
                      .count = count};
  if (!buckets_.empty() && bucket.start <= buckets_.back().last) return false;
  buckets_.push_back(bucket);
  return true;
}

}  // namespace baton
