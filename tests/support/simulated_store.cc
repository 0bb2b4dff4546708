#include "tests/support/simulated_store.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/check.h"
#include "server/engine/queue_record.h"
#include "storage/format/row_audit.h"

namespace baton {
namespace {

// Small, so that segments are recycled and copied forward within a life of some hundred commits.
constexpr size_t kRegionBytes = 2u << 20;
constexpr size_t kSlotBytes = 8u << 10;

}  // namespace

// The fake store as a Store.
class SimulatedStore::Disk final : public Store {
 public:
  explicit Disk(FakeStore* rows) : rows_(rows) {}

  void Start(Listener* listener) override { listener_ = listener; }
  void Stop() override {}
  absl::Status Submit(CommitNumber number, Commit commit, Promise promise) override {
    BATON_CHECK(promise != Promise::kApplied) << "nothing on disk is done when Submit returns";
    rows_->Submit(number, std::move(commit), promise);
    return absl::OkStatus();
  }
  void Read(ReadRequest request) override { rows_->Read(std::move(request)); }
  absl::Status ScanNow(
      const std::string& begin, const std::string& end,
      const std::function<absl::Status(std::string_view, std::string_view)>& visit) override {
    const FakeStore::Rows& rows = rows_->rows();
    for (auto at = rows.lower_bound(begin); at != rows.end() && at->first < end; ++at) {
      if (absl::Status status = visit(at->first, at->second); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  Stats stats() const override { return {}; }

  void TellProgress() { listener_->OnProgress(rows_->written(), rows_->synced()); }
  void TellRead(ReadResult result) { listener_->OnRead(std::move(result)); }

 private:
  FakeStore* const rows_;
  Listener* listener_ = nullptr;
};

SimulatedStore::SimulatedStore() = default;
SimulatedStore::~SimulatedStore() = default;

// ---- A broker begins.

std::set<QueueId> SimulatedStore::MemoryQueues() const {
  std::set<QueueId> queues;
  const KeyRange range = AllOf(RowKind::kQueue);
  const FakeStore::Rows& rows = disk_rows_.rows();
  for (auto at = rows.lower_bound(range.begin); at != rows.end() && at->first < range.end; ++at) {
    const auto record = DecodeQueue(at->second);
    BATON_CHECK(record.has_value());
    if (IsMemoryQueue(record->number)) queues.insert(record->number);
  }
  return queues;
}

// What any life leaves on disk, however it ends, is what the audit takes for the work of an engine. (Of what
// it leaves in memory the store says so itself, when it is opened.)
void SimulatedStore::AuditDisk() const {
  const auto& rows = disk_rows_.rows();
  std::set<QueueId> queues;
  const KeyRange definitions = AllOf(RowKind::kQueue);
  for (auto at = rows.lower_bound(definitions.begin); at != rows.end() && at->first < definitions.end; ++at)
    queues.insert(DecodeQueue(at->second).value().number);
  RowAudit audit(queues, [&rows](std::string_view key) -> std::optional<std::string_view> {
    const auto found = rows.find(std::string(key));
    return found == rows.end() ? std::nullopt : std::optional<std::string_view>(found->second);
  });
  const auto is_kind = [](const std::string& key, RowKind kind) { return key[0] == static_cast<char>(kind); };
  const std::string last_number = LedgerKey(QueueId());
  for (const auto& [key, value] : rows) {
    if (is_kind(key, RowKind::kLedger) && key != last_number) BATON_CHECK(audit.AddLedger(key, value).ok());
  }
  for (const auto& [key, value] : rows) {
    if (is_kind(key, RowKind::kQueue) || is_kind(key, RowKind::kMeta) || key == last_number) continue;
    const absl::Status added = audit.Add(key, value);
    BATON_CHECK(added.ok()) << added;
  }
  const absl::Status whole = audit.Finish();
  BATON_CHECK(whole.ok()) << whole;
}

void SimulatedStore::Open() {
  AuditDisk();
  is_full_ = false;
  disk_ = std::make_unique<Disk>(&disk_rows_);
  auto opened = TieredStore::Open(disk_.get(),
                                  {.path = RegionPath(),
                                   .identity = "simulated",
                                   .boot_id = std::to_string(boots_),
                                   .bytes_max = kRegionBytes,
                                   .slot_bytes = kSlotBytes},
                                  MemoryQueues());
  BATON_CHECK(opened.ok()) << opened.status();
  tiered_ = *std::move(opened);
  BATON_CHECK_EQ(tiered_->adopted().set_aside.empty(), !set_aside_expected_) << tiered_->adopted().set_aside;
  set_aside_expected_ = false;
}

absl::Status SimulatedStore::Scan(
    RowKind kind, const std::function<absl::Status(std::string_view key, std::string_view value)>& visit) {
  const KeyRange range = AllOf(kind);
  return tiered_->ScanNow(range.begin, range.end, visit);
}

void SimulatedStore::Start() { tiered_->Start(this); }

// ---- At work.

void SimulatedStore::Submit(CommitNumber number, Commit commit, Promise promise) {
  BATON_CHECK_EQ(number.value(), submitted_.value() + 1);
  submitted_ = number;
  const absl::Status taken = tiered_->Submit(number, std::move(commit), promise);
  BATON_CHECK(taken.ok()) << taken;
  handed_over_.emplace_back(number, disk_rows_.submitted());
}

void SimulatedStore::WriteOne() {
  disk_rows_.WriteOne();
  disk_->TellProgress();
}

void SimulatedStore::Sync() {
  disk_rows_.Sync();
  disk_->TellProgress();
}

bool SimulatedStore::LookOne() {
  if (!disk_rows_.LookOne()) return false;
  disk_->TellRead(*disk_rows_.TakeAnswer());
  return true;
}

std::optional<ReadResult> SimulatedStore::TakeAnswer() {
  if (answers_.empty()) return std::nullopt;
  ReadResult result = std::move(answers_.front());
  answers_.pop_front();
  return result;
}

void SimulatedStore::OnProgress(CommitNumber written, CommitNumber synced) {
  BATON_CHECK(written >= written_ && synced >= synced_ && written >= synced && written <= submitted_);
  written_ = written;
  synced_ = synced;
}

void SimulatedStore::OnFailed(absl::Status status) { BATON_CHECK(false) << status; }

std::string SimulatedStore::AnyRowOfAMessage(uint64_t choice) const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : disk_rows_.rows()) {
    for (const RowKind kind :
         {RowKind::kReady, RowKind::kDelayed, RowKind::kParked, RowKind::kAttempts, RowKind::kLocator}) {
      if (key.front() == static_cast<char>(kind)) keys.push_back(key);
    }
  }
  return keys.empty() ? "" : keys[choice % keys.size()];
}

// ---- Shared memory.

MemoryRoom SimulatedStore::memory_room() const {
  MemoryRoom room = tiered_->memory_room();
  if (is_full_) room.grow = 0;
  return room;
}

absl::Status SimulatedStore::MakeMemoryRoom(size_t bytes, size_t message_bytes, MemoryRoom& room) {
  if (is_full_) return absl::ResourceExhaustedError("others fill shared memory");
  absl::Status made = tiered_->MakeMemoryRoom(bytes, message_bytes);
  room = memory_room();
  return made;
}

// ---- It dies.

SimulatedStore::Survived SimulatedStore::Crash(size_t keep_unsynced, Memory memory) {
  tiered_.reset();
  disk_.reset();
  const CommitNumber disk_survived = disk_rows_.Crash(keep_unsynced);
  Survived survived;
  for (const auto& [number, disk] : handed_over_) {
    if (disk <= disk_survived) survived.on_disk = number;
  }
  if (memory == Memory::kKept) survived.in_memory = submitted_;
  const bool has_region = std::filesystem::exists(RegionPath());
  if (memory == Memory::kLost) ++boots_;
  if (memory == Memory::kUnusable && has_region) std::filesystem::resize_file(RegionPath(), 1);
  set_aside_expected_ = memory != Memory::kKept && has_region;

  handed_over_.clear();
  submitted_ = written_ = synced_ = CommitNumber();
  answers_.clear();
  return survived;
}

size_t SimulatedStore::CountOf(RowKind kind) {
  size_t count = 0;
  const absl::Status scanned = Scan(kind, [&count](std::string_view /*key*/, std::string_view /*value*/) {
    ++count;
    return absl::OkStatus();
  });
  BATON_CHECK(scanned.ok()) << scanned;
  return count;
}

}  // namespace baton
