#include "storage/rocks/rocks_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <utility>

#include "base/check.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"
#include "storage/format/epoch_row.h"
#include "storage/posix_file.h"
#include "storage/rocks/ballast.h"
#include "storage/rocks/data_directory.h"
#include "storage/rocks/disk_usage.h"
#include "storage/rocks/disk_watch.h"
#include "storage/rocks/rocks_committer.h"
#include "storage/rocks/rocks_damage_listener.h"
#include "storage/rocks/rocks_descriptor_guard.h"
#include "storage/rocks/rocks_log_ahead.h"
#include "storage/rocks/rocks_open.h"
#include "storage/rocks/rocks_options.h"
#include "storage/rocks/rocks_reader.h"
#include "storage/rocks/rocks_space_guard.h"
#include "storage/rocks/rocks_status.h"
#include "storage/rocks/rocks_writer.h"
#include "storage/rocks/write_frontier.h"

namespace baton {
namespace {

constexpr size_t kScanReadaheadBytes = 1u << 20;

// The value of one of the store's own rows; "" when it is not there (none of them is empty).
absl::StatusOr<std::string> GetMeta(rocksdb::DB* db, std::string_view key) {
  std::string value;
  const rocksdb::Status status =
      db->Get(rocksdb::ReadOptions(), rocksdb::Slice(key.data(), key.size()), &value);
  if (status.ok() || status.IsNotFound()) return value;
  return FromRocks(status, "cannot read from the store");
}

absl::StatusOr<Epoch> RaiseEpoch(rocksdb::DB* db, RocksWriter* writer) {
  const absl::StatusOr<std::string> value = GetMeta(db, kEpochKey);
  if (!value.ok()) return value.status();
  uint32_t last = 0;
  if (!value->empty()) {
    const auto epoch = DecodeEpoch(*value);
    if (!epoch.has_value()) return absl::DataLossError("the store's epoch does not decode");
    last = epoch->value();
  }
  if (last >= kEpochMax) {
    return absl::FailedPreconditionError(fmt::format(
        "the store was started {} times and has no epoch left; move its messages to a new data directory",
        last));
  }
  writer->AddMeta(kEpochKey, EncodeEpoch(Epoch(last + 1)));
  if (absl::Status status = writer->Write(); !status.ok()) return status;
  if (absl::Status status = writer->Sync(); !status.ok()) return status;
  return Epoch(last + 1);
}

}  // namespace

// In the order of construction; destroyed backwards.
struct RocksStore::Parts {
  std::unique_ptr<DataDirectory> directory;
  std::unique_ptr<Ballast> ballast;
  std::unique_ptr<DescriptorReserve> descriptors;
  DiskUsage disk_usage;
  std::unique_ptr<DiskWatch> disk_watch;
  std::unique_ptr<rocksdb::Env> env;
  std::shared_ptr<RocksDamageListener> damage = std::make_shared<RocksDamageListener>();
  rocksdb::Options rocks_options;
  std::unique_ptr<rocksdb::DB> db;
  std::unique_ptr<RocksWriter> writer;
  RecoveryReport report;
  Epoch epoch;

  WriteFrontier frontier;
  CommitNumber submitted;  // the owner thread's
  std::chrono::milliseconds idle_flush{0};
  bool stopped = false;  // the owner thread's
  std::unique_ptr<RocksCommitter> committer;
  std::unique_ptr<RocksReader> reader;
};

// Before RocksDB is opened, so that a full disk gives up its ballast for the opening.
absl::Status RocksStore::WatchDisk(const Options& options, const RocksMemoryPlan& plan, Parts& parts) {
  const std::string path = parts.directory->path();
  const absl::StatusOr<DiskSpace> space = SpaceOf(path);
  if (!space.ok()) return space.status();
  DiskLimits limits = PlanDiskLimits(options.wal_bytes_max + 2 * plan.memtable_bytes + plan.compaction_bytes,
                                     space->total_bytes);
  limits.ballast_bytes = options.ballast_bytes.value_or(limits.ballast_bytes);
  limits.low_bytes = options.disk_low_bytes.value_or(limits.low_bytes);
  limits.give_bytes = std::min(limits.give_bytes, limits.low_bytes / 8);
  limits.ok_bytes = limits.low_bytes + limits.low_bytes / 4;
  parts.ballast = std::make_unique<Ballast>(parts.directory->ballast_path(), limits.ballast_bytes);
  parts.disk_watch = std::make_unique<DiskWatch>(
      limits, parts.ballast.get(), [path, usage = &parts.disk_usage]() -> std::optional<uint64_t> {
        usage->LookAgain(path);
        const absl::StatusOr<DiskSpace> now = SpaceOf(path);
        return now.ok() ? std::optional(now->free_bytes) : std::nullopt;
      });
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<RocksStore>> RocksStore::Open(const Options& options) {
  auto parts = std::make_unique<Parts>();
  absl::StatusOr<std::unique_ptr<DataDirectory>> directory = DataDirectory::Open(options.path);
  if (!directory.ok()) return directory.status();
  parts->directory = *std::move(directory);

  const RocksMemoryPlan plan = PlanRocksMemory(options.memory_budget_bytes, options.wal_bytes_max);
  if (absl::Status status = WatchDisk(options, plan, *parts); !status.ok()) return status;
  parts->idle_flush = options.idle_flush;
  parts->descriptors = std::make_unique<DescriptorReserve>(options.descriptors_reserved);
  const auto below = MakeRocksDescriptorGuard(
      options.file_system != nullptr ? options.file_system : rocksdb::FileSystem::Default(),
      parts->descriptors.get());
  parts->env = rocksdb::NewCompositeEnv(MakeRocksSpaceGuard(MakeRocksLogAhead(below), parts->ballast.get()));
  parts->rocks_options =
      MakeRocksOptions({.plan = plan, .wal_bytes_max = options.wal_bytes_max, .env = parts->env.get()});
  parts->rocks_options.listeners = {parts->damage};
  if (options.adjust != nullptr) options.adjust(parts->rocks_options);

  absl::StatusOr<OpenedRocks> opened = OpenRocks(parts->rocks_options, *parts->directory);
  if (!opened.ok()) return opened.status();
  if (absl::Status status = parts->directory->MakeStorePrivate(); !status.ok()) return status;
  parts->db = std::move(opened->db);
  parts->report = std::move(opened->report);

  parts->writer = std::make_unique<RocksWriter>(
      parts->db.get(), RocksWriter::Options{.secret = parts->directory->identity().secret,
                                            .last_number = parts->report.last_write_number,
                                            .check_alternation = options.check_alternation,
                                            .damage = parts->damage.get()});
  const absl::StatusOr<Epoch> epoch = RaiseEpoch(parts->db.get(), parts->writer.get());
  if (!epoch.ok()) return epoch.status();
  parts->epoch = *epoch;
  if (absl::Status status = parts->directory->MarkStoreCreated(); !status.ok()) return status;
  return std::unique_ptr<RocksStore>(new RocksStore(std::move(parts)));
}

RocksStore::RocksStore(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

RocksStore::~RocksStore() { Stop(); }

Epoch RocksStore::epoch() const { return parts_->epoch; }

const std::string& RocksStore::uuid() const { return parts_->directory->identity().uuid; }

const RecoveryReport& RocksStore::recovery_report() const { return parts_->report; }

void RocksStore::Start(Listener* listener) {
  BATON_CHECK(parts_->committer == nullptr);
  parts_->committer = std::make_unique<RocksCommitter>(
      parts_->writer.get(), &parts_->frontier, parts_->disk_watch.get(), listener, parts_->idle_flush);
  parts_->reader = std::make_unique<RocksReader>(parts_->db.get(), &parts_->frontier, listener);
  parts_->disk_watch->Start([listener](DiskState state) { listener->OnDiskState(state); });
}

void RocksStore::Stop() {
  if (parts_->committer == nullptr || parts_->stopped) return;
  parts_->stopped = true;
  parts_->committer->Stop();
  parts_->reader->Stop();
  parts_->disk_watch->Stop();
}

absl::Status RocksStore::failure() const { return parts_->frontier.failure(); }

absl::Status RocksStore::Submit(CommitNumber number, Commit commit, Promise promise) {
  parts_->submitted = number;
  parts_->committer->Submit(number, std::move(commit), promise);
  return absl::OkStatus();
}

void RocksStore::Read(ReadRequest request) { parts_->reader->Read(std::move(request), parts_->submitted); }

absl::Status RocksStore::ScanNow(
    const std::string& begin, const std::string& end,
    const std::function<absl::Status(std::string_view key, std::string_view value)>& visit) {
  BATON_CHECK(parts_->committer == nullptr);
  const rocksdb::Slice lower(begin);
  const rocksdb::Slice upper(end);
  rocksdb::ReadOptions options;
  options.total_order_seek = true;
  options.fill_cache = false;
  options.readahead_size = kScanReadaheadBytes;
  options.iterate_lower_bound = &lower;
  options.iterate_upper_bound = &upper;
  const std::unique_ptr<rocksdb::Iterator> it(parts_->db->NewIterator(options));
  for (it->Seek(lower); it->Valid(); it->Next()) {
    absl::Status status = visit(it->key().ToStringView(), it->value().ToStringView());
    if (!status.ok()) return status;
  }
  return FromRocks(it->status(), "cannot read from the store");
}

Store::Stats RocksStore::stats() const {
  Stats stats;
  if (parts_->committer != nullptr) {
    const RocksCommitter::Figures& written = parts_->committer->figures();
    stats.commits = written.commits.load(std::memory_order_relaxed);
    stats.writes = written.writes.load(std::memory_order_relaxed);
    stats.syncs = written.syncs.load(std::memory_order_relaxed);
    stats.written_bytes = written.written_bytes.load(std::memory_order_relaxed);
    const RocksReader::Figures& read = parts_->reader->figures();
    stats.reads = read.reads.load(std::memory_order_relaxed);
    stats.rows_read = read.rows.load(std::memory_order_relaxed);
  }
  uint64_t table_readers = 0;
  parts_->db->GetIntProperty(rocksdb::DB::Properties::kEstimateTableReadersMem, &table_readers);
  stats.memory_bytes = CacheUsage(parts_->rocks_options) + table_readers;
  stats.disk_bytes = parts_->disk_usage.bytes();
  stats.disk_free_bytes = parts_->disk_watch->free_bytes();
  return stats;
}

}  // namespace baton
