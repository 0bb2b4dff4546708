#include "tests/support/simulated_store.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/check.h"
#include "server/engine/queue_record.h"

namespace baton {
namespace {

// Small, so that segments are recycled and copied forward within a life of some hundred commits.
constexpr size_t kRegionBytes = 2u << 20;
constexpr size_t kSlotBytes = 8u << 10;
constexpr size_t kHeadroomBytes = 64u << 10;

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

void SimulatedStore::Open() {
  disk_ = std::make_unique<Disk>(&disk_rows_);
  auto opened = TieredStore::Open(disk_.get(),
                                  {.path = RegionPath(),
                                   .identity = "simulated",
                                   .boot_id = std::to_string(boots_),
                                   .bytes_max = kRegionBytes,
                                   .slot_bytes = kSlotBytes,
                                   .slots_in_hand = 4},
                                  MemoryQueues(), kHeadroomBytes);
  BATON_CHECK(opened.ok()) << opened.status();
  tiered_ = *std::move(opened);
  BATON_CHECK_EQ(tiered_->adopted().set_aside.empty(), !set_aside_expected_) << tiered_->adopted().set_aside;
  set_aside_expected_ = false;
}

void SimulatedStore::Load(
    RowKind kind, const std::function<absl::Status(std::string_view key, std::string_view value)>& visit) {
  const KeyRange range = AllOf(kind);
  const absl::Status scanned = tiered_->ScanNow(range.begin, range.end, visit);
  BATON_CHECK(scanned.ok()) << scanned;
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
  memory_state_.reset();
  return survived;
}

size_t SimulatedStore::CountOf(RowKind kind) {
  size_t count = 0;
  Load(kind, [&count](std::string_view /*key*/, std::string_view /*value*/) {
    ++count;
    return absl::OkStatus();
  });
  return count;
}

}  // namespace baton
