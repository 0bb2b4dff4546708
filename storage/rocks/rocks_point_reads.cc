#include "storage/rocks/rocks_point_reads.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "rocksdb/db.h"
#include "storage/rocks/rocks_status.h"

namespace baton {
namespace {

constexpr size_t kWalkKeysMin = 32;  // fewer are not worth an iterator
constexpr int kStepsMax = 8;         // over rows that nobody asked for, before it jumps
constexpr size_t kJumpsFree = 4;     // then one for each so many keys:
constexpr size_t kKeysPerJump = 8;
constexpr uint64_t kDeadRowsMax = 256;  // passed at one step

class PointReads {
 public:
  PointReads(rocksdb::DB* db, const rocksdb::Snapshot* snapshot, const std::vector<std::string>& keys,
             size_t bytes_max)
      : db_(db), snapshot_(snapshot), keys_(keys), bytes_max_(bytes_max) {
    found_.reserve(keys.size());
  }

  void Walk();
  void LookFor();
  bool MustGoOn() const {
    return found_.size() < keys_.size() && (bytes_max_ == 0 || found_.size() < 2 || bytes_ < bytes_max_);
  }
  std::vector<PointRead> Take() && { return std::move(found_); }

 private:
  rocksdb::ReadOptions Options() const {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_;
    options.total_order_seek = true;  // the prefix extractor serves the filter only (rocks_options.cc)
    return options;
  }

  rocksdb::DB* const db_;
  const rocksdb::Snapshot* const snapshot_;
  const std::vector<std::string>& keys_;
  const size_t bytes_max_;
  std::vector<PointRead> found_;  // of the first keys
  size_t bytes_ = 0;              // of values
};

// As far as it is worth it, and nothing is damaged.
void PointReads::Walk() {
  const std::string behind = keys_.back() + '\0';
  const rocksdb::Slice lower(keys_.front());
  const rocksdb::Slice upper(behind);
  rocksdb::ReadOptions options = Options();
  options.iterate_lower_bound = &lower;
  options.iterate_upper_bound = &upper;
  options.max_skippable_internal_keys = kDeadRowsMax;
  options.fill_cache = false;  // who asks for so many does so once
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
  it->Seek(lower);
  size_t jumps = 0;
  while (MustGoOn()) {
    const rocksdb::Slice key(keys_[found_.size()]);
    for (int steps = 0; it->Valid() && it->key().compare(key) < 0; ++steps) {
      if (steps < kStepsMax) {
        it->Next();
      } else if (++jumps > kJumpsFree + found_.size() / kKeysPerJump) {
        return;
      } else {
        it->Seek(key);
      }
    }
    if (!it->Valid() && !it->status().ok()) return;
    PointRead& one = found_.emplace_back();
    if (!it->Valid() || it->key() != key) continue;
    one.value = it->value().ToString();
    bytes_ += one.value->size();
  }
}

void PointReads::LookFor() {
  constexpr size_t kAtOnce = 128;  // values are pinned while they are looked up
  size_t at_once = bytes_max_ == 0 ? keys_.size() : kAtOnce;
  while (MustGoOn()) {
    const size_t first = found_.size();
    const size_t count = std::min(at_once, keys_.size() - first);
    const std::vector<rocksdb::Slice> slices(keys_.begin() + static_cast<ptrdiff_t>(first),
                                             keys_.begin() + static_cast<ptrdiff_t>(first + count));
    std::vector<rocksdb::PinnableSlice> values(count);
    std::vector<rocksdb::Status> statuses(count);
    rocksdb::ReadOptions options = Options();
    if (bytes_max_ != 0 && count > 1)
      options.value_size_soft_limit = std::max<size_t>(bytes_max_ - std::min(bytes_, bytes_max_), 1);
    db_->MultiGet(options, db_->DefaultColumnFamily(), count, slices.data(), values.data(), statuses.data());
    for (size_t i = 0; i < count && !statuses[i].IsAborted(); ++i) {
      PointRead& one = found_.emplace_back();
      if (statuses[i].ok()) {
        one.value = values[i].ToString();
      } else if (!statuses[i].IsNotFound()) {
        one.status = FromRocks(statuses[i], "cannot read a row");
      }
      bytes_ += values[i].size();
    }
    at_once = found_.size() == first ? 1 : kAtOnce;  // the very first was beyond the limit: alone it is read
  }
}

}  // namespace

std::vector<PointRead> ReadByKey(rocksdb::DB* db, const rocksdb::Snapshot* snapshot,
                                 const std::vector<std::string>& keys, size_t bytes_max) {
  PointReads reads(db, snapshot, keys, bytes_max);
  if (keys.size() >= kWalkKeysMin && std::is_sorted(keys.begin(), keys.end())) reads.Walk();
  if (reads.MustGoOn()) reads.LookFor();
  return std::move(reads).Take();
}

}  // namespace baton
