// How old the oldest message of a queue is, without looking at the messages: counts by time of birth, in at
// most 64 buckets and a few more. When there are too many, the two neighbours whose merger loses least (their
// span relative to their age) become one. So the age that Oldest tells is never less than the true one, and
// more by about a tenth of it where births are spread over days (tests/unit/birth_buckets_test.cc).
// Deterministic: a birth is found in the bucket it was counted in, or in the merger that took it in.
//
// A commit changes the first bucket or the last one, seldom others. So most are in a row of their own (B),
// written when more than a few differ from it, and the ledger has those that do. Both are written in one
// commit, or neither:
//
//   row    := bucket…                                              all there were when it was written
//   ledger := kept:v [from:v count:v bucket…] count:v bucket…      `kept` buckets of the row from its
//             `from`-th on (no row: 0, without what is in brackets), those before them and those after
//   bucket := start:v (from the start before) last:v (from its start) count:v
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/coding.h"
#include "base/time.h"

namespace baton {

class BirthBuckets {
 public:
  static constexpr size_t kBucketsMax = 64;
  static constexpr size_t kUnmergedMax = 8;  // merged at once: a merger changes the row
  static constexpr size_t kLooseMax = 6;     // that differ from the row

  void Add(Instant born);
  // Removes one. False, and nothing changed: no birth is counted where this one would be.
  bool Take(Instant born);
  void Clear();

  bool empty() const { return buckets_.empty(); }
  // Not later than the birth of the oldest message; kNever when empty.
  Instant Oldest() const { return buckets_.empty() ? kNever : buckets_.front().start; }

  // Before AppendTo: what is to become of the row. nullopt: it stays; "": it goes; else its value.
  std::optional<std::string> TakeRow();
  // What the ledger has.
  void AppendTo(std::string& out) const;

  // nullopt: not what TakeRow gives.
  static std::optional<BirthBuckets> FromRow(std::string_view value);
  // Of the ledger; `row`: as FromRow gave it, or none. False: not what AppendTo writes over that row.
  bool ReadFrom(ByteReader& reader, const BirthBuckets& row);
  // As ledgers had it before there were rows: count:v bucket….
  bool ReadWhole(ByteReader& reader);

  // However they are stored.
  friend bool operator==(const BirthBuckets& a, const BirthBuckets& b) { return a.buckets_ == b.buckets_; }

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

  // The bucket is about to differ from the row's; the larger part of those beside it is kept.
  void Loosen(size_t index);
  void Insert(size_t index, const Bucket& bucket);
  void Erase(size_t index);

  Instant StartBefore(size_t index) const { return index == 0 ? Instant() : buckets_[index - 1].start; }
  void AppendBuckets(std::string& out, size_t begin, size_t end) const;
  bool ReadBucket(ByteReader& reader);
  bool ReadBuckets(ByteReader& reader);

  std::vector<Bucket> buckets_;  // by start; no empty ones
  // [kept_at_, kept_at_ + kept_) are those of the row from kept_from_ on.
  size_t kept_ = 0;
  size_t kept_at_ = 0;
  size_t kept_from_ = 0;
  bool has_row_ = false;
};

}  // namespace baton
