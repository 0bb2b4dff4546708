// How old the oldest message of a queue is, without looking at the messages: counts by time of birth, in at
// most 64 buckets. When there are too many, the two neighbours whose merger loses least (their span relative
// to their age) become one. So the age that Oldest tells is never less than the true one, and more by about a
// tenth of it where births are spread over days (tests/unit/birth_buckets_test.cc). Deterministic: a birth is
// found in the bucket it was counted in, or in the merger that took it in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/coding.h"
#include "base/time.h"

namespace baton {

class BirthBuckets {
 public:
  static constexpr size_t kBucketsMax = 64;

  void Add(Instant born);
  // Removes one. False, and nothing changed: no birth is counted where this one would be.
  bool Take(Instant born);
  void Clear() { buckets_.clear(); }

  bool empty() const { return buckets_.empty(); }
  // Not later than the birth of the oldest message; kNever when empty.
  Instant Oldest() const { return buckets_.empty() ? kNever : buckets_.front().start; }

  // count:v, then per bucket: start:v (from the start before), last:v (from its start), count:v.
  void AppendTo(std::string& out) const;
  // False: not what AppendTo writes.
  bool ReadFrom(ByteReader& reader);

  friend bool operator==(const BirthBuckets&, const BirthBuckets&) = default;

 private:
  struct Bucket {
    Instant start;  // births from here to the next bucket's start
    Instant last;   // the latest ever counted: a new bucket starts only after it, so none is ever in the
                    // wrong one
    uint64_t count = 0;
    friend bool operator==(const Bucket&, const Bucket&) = default;
  };

  // Of the last bucket that starts at or before `born`; -1 when there is none.
  ptrdiff_t IndexOf(Instant born) const;
  void MergeCheapest();

  std::vector<Bucket> buckets_;  // by start; no empty ones
};

}  // namespace baton
