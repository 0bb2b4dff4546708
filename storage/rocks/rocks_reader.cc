#include "storage/rocks/rocks_reader.h"

#include <pthread.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/check.h"
#include "rocksdb/db.h"
#include "rocksdb/perf_level.h"
#include "rocksdb/snapshot.h"
#include "storage/rocks/rocks_damage_seek.h"
#include "storage/rocks/rocks_point_reads.h"
#include "storage/rocks/rocks_status.h"

namespace baton {
namespace {

constexpr size_t kLongScanRows = 64;

rocksdb::ReadOptions BaseOptions(const rocksdb::Snapshot* snapshot) {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  options.total_order_seek = true;  // the prefix extractor serves the filter only (rocks_options.cc)
  return options;
}

void ReadPoints(rocksdb::DB* db, const rocksdb::Snapshot* snapshot, const ReadRequest& request,
                ReadResult& result) {
  std::vector<PointRead> found = ReadByKey(db, snapshot, request.keys, request.bytes_max);
  for (size_t i = 0; i < found.size(); ++i) {
    result.rows.push_back({.key = request.keys[i],
                           .value = std::move(found[i].value),
                           .companion = std::nullopt,
                           .status = std::move(found[i].status)});
  }
}

absl::Status ReadRange(rocksdb::DB* db, const rocksdb::Snapshot* snapshot, const ReadRequest& request,
                       ReadResult& result) {
  BATON_CHECK(request.begin <= request.end);
  const rocksdb::Slice begin(request.begin);
  const rocksdb::Slice end(request.end);
  rocksdb::ReadOptions options = BaseOptions(snapshot);
  options.iterate_lower_bound = &begin;
  options.iterate_upper_bound = &end;
  // A chunk of a backlog is read once: it would only push out what is read again (index, filters, single
  // rows).
  options.fill_cache = request.rows_max < kLongScanRows;
  const auto make = [&] { return std::unique_ptr<rocksdb::Iterator>(db->NewIterator(options)); };
  std::unique_ptr<rocksdb::Iterator> it = make();
  request.reverse ? it->SeekToLast() : it->Seek(begin);
  size_t bytes = 0;
  while (true) {
    if (!it->Valid()) {
      if (it->status().ok()) break;
      // What was read is good as far as it goes; the next read begins with what could not be.
      if (!request.skip_damage && !result.rows.empty()) return absl::OkStatus();
      if (!request.skip_damage) return FromRocks(it->status(), "cannot read rows");
      ++result.skipped;
      it = SeekBehindDamage(make, result.rows.empty() ? request.begin : result.rows.back().key, request.end);
      if (it != nullptr) continue;
      break;
    }
    const bool full =
        result.rows.size() >= request.rows_max || bytes + it->value().size() > request.bytes_max;
    if (full && !result.rows.empty()) return absl::OkStatus();
    bytes += it->value().size();
    result.rows.push_back({.key = it->key().ToString(),
                           .value = it->value().ToString(),
                           .companion = std::nullopt,
                           .status = absl::OkStatus()});
    request.reverse ? it->Prev() : it->Next();
  }
  result.end_reached = true;
  return absl::OkStatus();
}

void AddCompanions(rocksdb::DB* db, const rocksdb::Snapshot* snapshot, const ReadRequest& request,
                   ReadResult& result) {
  std::vector<size_t> rows;
  std::vector<std::string> keys;
  for (size_t i = 0; i < result.rows.size(); ++i) {
    if (!result.rows[i].value.has_value()) continue;
    rows.push_back(i);
    keys.push_back(request.companion(result.rows[i].key));
  }
  if (keys.empty()) return;
  std::vector<PointRead> found = ReadByKey(db, snapshot, keys, 0);
  for (size_t i = 0; i < rows.size(); ++i) {
    Row& row = result.rows[rows[i]];
    row.companion = std::move(found[i].value);
    row.status = std::move(found[i].status);
  }
}

}  // namespace

ReadResult ReadNow(rocksdb::DB* db, const ReadRequest& request) {
  ReadResult result;
  result.id = request.id;
  // Two reads of one moment need a snapshot; one read is consistent in itself.
  std::optional<rocksdb::ManagedSnapshot> moment;
  if (request.companion != nullptr) moment.emplace(db);
  const rocksdb::Snapshot* snapshot = moment.has_value() ? moment->snapshot() : nullptr;
  if (!request.keys.empty()) {
    ReadPoints(db, snapshot, request, result);
  } else {
    result.status = ReadRange(db, snapshot, request, result);
  }
  if (request.companion != nullptr) AddCompanions(db, snapshot, request, result);
  return result;
}

RocksReader::RocksReader(rocksdb::DB* db, WriteFrontier* frontier, Store::Listener* listener)
    : db_(db), frontier_(frontier), listener_(listener), thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), "baton-read");
}

RocksReader::~RocksReader() { Stop(); }

void RocksReader::Read(ReadRequest request, CommitNumber after) {
  const MutexLock lock(mutex_);
  BATON_CHECK(!stopping_);
  queue_.push_back({.request = std::move(request), .after = after});
  work_.NotifyOne();
}

void RocksReader::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    work_.NotifyOne();
  }
  if (thread_.joinable()) thread_.join();
}

void RocksReader::Run() {
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);  // it counts every comparison, for nobody
  while (true) {
    Queued queued;
    {
      const MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) work_.Wait(mutex_);
      if (queue_.empty()) return;
      queued = std::move(queue_.front());
      queue_.pop_front();
    }
    ReadResult result;
    if (absl::Status status = frontier_->WaitFor(queued.after); !status.ok()) {
      result.id = queued.request.id;
      result.status = std::move(status);
      result.store_failed = true;
    } else {
      result = Answer(queued.request);
    }
    listener_->OnRead(std::move(result));
  }
}

ReadResult RocksReader::Answer(const ReadRequest& request) {
  ReadResult result = ReadNow(db_, request);
  figures_.reads.fetch_add(1, std::memory_order_relaxed);
  figures_.rows.fetch_add(result.rows.size(), std::memory_order_relaxed);
  return result;
}

}  // namespace baton
