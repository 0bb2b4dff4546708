#include "storage/rocks/rocks_writer.h"

#include <string>

#include "base/check.h"
#include "base/limits.h"
#include "rocksdb/db.h"
#include "storage/format/keys.h"
#include "storage/rocks/rocks_status.h"
#include "storage/rocks/write_mark.h"

namespace baton {
namespace {

constexpr uint64_t kIdleFlushRowsMin = 1'000;

rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

}  // namespace

RocksWriter::RocksWriter(rocksdb::DB* db, const Options& options)
    : db_(db),
      secret_(options.secret),
      damage_(options.damage),
      alternation_(options.check_alternation ? std::make_unique<RocksAlternation>(db) : nullptr),
      last_number_(options.last_number),
      last_content_(options.last_number),
      synced_(options.last_number),
      claimed_(options.last_number) {}

void RocksWriter::PutMarkFirst() {
  if (batch_.Count() > 0) return;
  const WriteMark mark{.secret = secret_, .number = last_number_ + 1, .synced = synced_};
  const rocksdb::Status status = batch_.Put(ToSlice(kWriteMarkKey), EncodeWriteMark(mark));
  BATON_CHECK(status.ok()) << status.ToString();
}

void RocksWriter::Add(const Commit& commit) {
  PutMarkFirst();
  has_content_ = true;
  commit.ForEach([this](const Commit::Op& op) {
    BATON_CHECK(!op.key.empty() && op.key != kWriteMarkKey) << "the write mark is the store's own";
    if (alternation_ != nullptr) alternation_->Check(op);
    const rocksdb::Slice key = ToSlice(op.key);
    rocksdb::Status status;
    switch (op.kind) {
      case Commit::Kind::kPut:
        status = batch_.Put(key, ToSlice(op.value));
        break;
      case Commit::Kind::kDelete:
        status = batch_.Delete(key);
        break;
      case Commit::Kind::kSingleDelete:
        status = batch_.SingleDelete(key);
        break;
      case Commit::Kind::kDeleteRange:
        status = batch_.DeleteRange(key, ToSlice(op.value));
        break;
    }
    BATON_CHECK(status.ok()) << status.ToString();  // the batch is memory: only a bug can fail it
  });
}

void RocksWriter::AddMeta(std::string_view key, std::string_view value) {
  BATON_CHECK(!key.empty() && key.front() == static_cast<char>(RowKind::kMeta));
  PutMarkFirst();
  has_content_ = true;
  const rocksdb::Status status = batch_.Put(ToSlice(key), ToSlice(value));
  BATON_CHECK(status.ok()) << status.ToString();
}

absl::Status RocksWriter::Write() {
  PutMarkFirst();
  if (damage_ != nullptr) damage_->LiftLimits(*db_);
  const rocksdb::Status status = db_->Write(rocksdb::WriteOptions(), &batch_);
  if (!status.ok()) return FromRocks(status, "cannot write to the store");
  ++last_number_;
  claimed_ = synced_;
  if (has_content_) last_content_ = last_number_;
  has_content_ = false;
  if (alternation_ != nullptr) alternation_->Written();
  if (batch_.GetDataSize() > 2 * kCommitJoinBytesMax) {
    batch_ = rocksdb::WriteBatch();  // one huge commit must not keep its memory for ever
  } else {
    batch_.Clear();
  }
  return absl::OkStatus();
}

absl::Status RocksWriter::Sync() {
  const rocksdb::Status status = db_->SyncWAL();
  if (!status.ok()) return FromRocks(status, "cannot sync the store's log");
  synced_ = last_number_;
  return absl::OkStatus();
}

void RocksWriter::FlushIdle() {
  uint64_t active = 0;
  uint64_t full = 0;
  db_->GetIntProperty(rocksdb::DB::Properties::kNumEntriesActiveMemTable, &active);
  db_->GetIntProperty(rocksdb::DB::Properties::kNumEntriesImmMemTables, &full);
  if (active + full < kIdleFlushRowsMin) return;
  rocksdb::FlushOptions options;
  options.wait = false;
  options.allow_write_stall = true;
  db_->Flush(options).PermitUncheckedError();  // a failure is met again by the next write
}

}  // namespace baton
