#include "storage/rocks/rocks_tombstone_collector.h"

#include <bitset>
#include <cstdint>
#include <string>

namespace baton {
namespace {

class TombstoneCollector : public rocksdb::TablePropertiesCollector {
 public:
  const char* Name() const override { return "baton.TombstoneCollector"; }

  rocksdb::Status AddUserKey(const rocksdb::Slice& /*key*/, const rocksdb::Slice& /*value*/,
                             rocksdb::EntryType type, rocksdb::SequenceNumber /*sequence*/,
                             uint64_t /*file_size*/) override {
    const bool deletion = type == rocksdb::kEntryDelete || type == rocksdb::kEntrySingleDelete;
    const size_t slot = entries_++ % kTombstoneWindow;
    in_window_ += deletion ? 1 : 0;
    in_window_ -= window_[slot] ? 1 : 0;
    window_[slot] = deletion;
    deletions_ += deletion ? 1 : 0;
    if (in_window_ >= kTombstoneWindow / 2 || type == rocksdb::kEntryRangeDeletion) marked_ = true;
    return rocksdb::Status::OK();
  }
  rocksdb::Status Finish(rocksdb::UserCollectedProperties* properties) override {
    *properties = GetReadableProperties();
    return rocksdb::Status::OK();
  }
  rocksdb::UserCollectedProperties GetReadableProperties() const override {
    return {{"baton.deletions", std::to_string(deletions_)}};
  }
  bool NeedCompact() const override { return marked_; }

 private:
  std::bitset<kTombstoneWindow> window_;  // of the last entries: which were deletions
  size_t in_window_ = 0;
  uint64_t entries_ = 0;
  uint64_t deletions_ = 0;
  bool marked_ = false;
};

class TombstoneCollectorFactory : public rocksdb::TablePropertiesCollectorFactory {
 public:
  const char* Name() const override { return "baton.TombstoneCollectorFactory"; }
  rocksdb::TablePropertiesCollector* CreateTablePropertiesCollector(Context /*context*/) override {
    return new TombstoneCollector();  // RocksDB takes it
  }
};

}  // namespace

std::shared_ptr<rocksdb::TablePropertiesCollectorFactory> MakeRocksTombstoneCollectorFactory() {
  return std::make_shared<TombstoneCollectorFactory>();
}

}  // namespace baton
