#include "storage/tiered_store.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/coding.h"
#include "base/error.h"
#include "storage/format/keys.h"
#include "storage/format/records.h"
#include "storage/format/row_audit.h"
#include "storage/memory_rescue.h"

namespace baton {
namespace {

bool IsKind(std::string_view key, RowKind kind) { return !key.empty() && key[0] == static_cast<char>(kind); }

bool PutsMessages(const Commit& commit) {
  bool any = false;
  commit.ForEach([&any](const Commit::Op& op) {
    any |= op.kind == Commit::Kind::kPut && ParseMessageKey(op.key).has_value();
  });
  return any;
}

// Over all queues: both stores have some.
bool IsOverAllQueues(const ReadRequest& request) {
  return request.keys.empty() && IsKind(request.begin, RowKind::kExpiry);
}

}  // namespace

// ---- Opening.

absl::StatusOr<std::unique_ptr<TieredStore>> TieredStore::Open(Store* disk,
                                                               const MemoryRegion::Options& region,
                                                               const std::set<QueueId>& queues) {
  std::unique_ptr<TieredStore> store(new TieredStore(disk, region));
  auto memory =
      MemoryStore::Adopt(region, [&](const MemoryStore& rows) { return store->Judge(rows, queues); });
  if (!memory.ok()) return memory.status();
  store->adopted_ = std::move(memory->adopted);
  store->memory_wanted_ = !queues.empty();
  store->memory_ = std::move(memory->store);
  if (memory->damaged != nullptr) store->Rescue(*memory->damaged, queues);
  if (store->memory_ != nullptr) {
    for (const std::string& key : store->idle_.keys())
      store->adopted_.messages_dropped += ParseMessageKey(key) ? 1 : 0;
    store->idle_.Remove(*store->memory_, IdleRows::kAllPieces);
    store->adopted_.rows = store->memory_->rows();
    store->CloseMemoryIfEmpty();
  }
  return store;
}

// Of what was set aside, the queues that are whole.
void TieredStore::Rescue(const MemoryStore& damaged, const std::set<QueueId>& queues) {
  if (queues.empty() || !OpenMemory().ok()) return;
  std::set<QueueId> lost = RescueQueues(damaged, queues, *memory_);
  adopted_.adopted = lost.size() < queues.size();
  if (adopted_.adopted) {
    adopted_.queues_lost = std::move(lost);
    return;
  }
  memory_.reset();
  MemoryStore::Remove(region_.path);
}

// What was left is either the work of an engine, or is not used but for the queues that are whole.
absl::Status TieredStore::Judge(const MemoryStore& rows, const std::set<QueueId>& queues) {
  RowAudit audit(queues, [&rows](std::string_view key) { return rows.Find(key); });
  const KeyRange ledgers = AllOf(RowKind::kLedger);
  absl::Status judged =
      rows.Scan(ledgers.begin, ledgers.end,
                [&](std::string_view key, std::string_view value) { return audit.AddLedger(key, value); });
  if (judged.ok()) {
    judged = rows.Scan("", "\xff", [&](std::string_view key, std::string_view value) {
      const bool here = IsMemoryRow(key) || IsKind(key, RowKind::kLocator);
      return here ? audit.Add(key, value) : absl::DataLossError("it holds rows that belong on disk");
    });
  }
  if (judged.ok()) judged = audit.Finish();
  if (judged.ok()) {
    for (const std::string& key : audit.idle()) idle_.Add(key);
  }
  return judged;
}

// What lies there now nobody has judged: what was there at the opening is adopted, or set aside, or removed.
absl::Status TieredStore::OpenMemory() {
  auto created = MemoryStore::Create(region_);
  if (!created.ok()) return created.status();
  memory_ = *std::move(created);
  const std::string& set_aside = memory_->adopted().set_aside;
  if (!set_aside.empty() && tell_set_aside_) tell_set_aside_(set_aside);
  return absl::OkStatus();
}

// Only what producers have published is left: the disk will know of the rest when there is more.
void TieredStore::CloseMemoryIfEmpty() {
  if (memory_ == nullptr || memory_->HasRowsOutside(static_cast<char>(RowKind::kMemoryProducer))) return;
  memory_.reset();
  idle_.Clear();
  MemoryStore::Remove(region_.path);
  memory_wanted_ = false;
}

void TieredStore::Start(Store::Listener* listener) {
  listener_ = listener;
  disk_->Start(this);
  LookAgain();
}

// ---- Room in memory.

void TieredStore::LookAgain() {
  refused_ = absl::OkStatus();
  if (memory_ != nullptr) {
    memory_->Refill();
    if (!idle_.empty()) {
      idle_.Remove(*memory_, IdleRows::kPiecesPerLook);
      CloseMemoryIfEmpty();
    }
  } else if (memory_wanted_) {
    refused_ = OpenMemory();
  }
}

MemoryRoom TieredStore::memory_room() { return memory_ == nullptr ? MemoryRoom() : memory_->Room(); }

// Where there is to be a region, and cannot be one, there is nothing to be had.
MemoryUse TieredStore::memory_use() {
  if (memory_ != nullptr) return memory_->Use();
  const bool cannot_be = memory_wanted_ && !refused_.ok();
  const bool has_no_room = ReasonOf(refused_) == reason::kQueueFull;
  return {.shared_bytes_max = cannot_be ? 0 : region_.bytes_max,
          .file_system_has_less = cannot_be && has_no_room,
          .unavailable = cannot_be && !has_no_room,
          .index_bytes_max = region_.index_bytes_max};
}

absl::Status TieredStore::MakeMemoryRoom(size_t bytes, size_t message_bytes) {
  // Asked again for as much before something has changed, or LookAgain.
  const bool is_known = bytes >= refused_bytes_ && message_bytes >= refused_message_bytes_;
  if (!refused_.ok() && is_known) return refused_;
  refused_bytes_ = bytes;
  refused_message_bytes_ = message_bytes;
  const bool is_new = memory_ == nullptr;
  refused_ = is_new ? OpenMemory() : absl::OkStatus();
  if (refused_.ok()) refused_ = memory_->MakeRoom(bytes, message_bytes);
  if (!refused_.ok() && !idle_.empty()) {  // what means nothing may go first
    idle_.Remove(*memory_, IdleRows::kAllPieces);
    refused_ = memory_->MakeRoom(bytes, message_bytes);
  }
  // One that was there may have been promised to what this turn will commit.
  if (!refused_.ok() && is_new) CloseMemoryIfEmpty();
  return refused_;
}

absl::Status TieredStore::ScanNow(
    const std::string& begin, const std::string& end,
    const std::function<absl::Status(std::string_view key, std::string_view value)>& visit) {
  absl::Status status = disk_->ScanNow(begin, end, visit);
  if (!status.ok() || memory_ == nullptr) return status;
  const std::set<std::string_view> idle(idle_.keys().begin(), idle_.keys().end());
  return memory_->Scan(begin, end, [&](std::string_view key, std::string_view value) {
    return idle.contains(key) || idle_.IsLedger(key) ? absl::OkStatus() : visit(key, value);
  });
}

// ---- Commits.

absl::Status TieredStore::Submit(CommitNumber number, Commit commit, Promise promise) {
  const Commit memory = commit.TakeMemory();
  if (!memory.empty()) {
    if (absl::Status applied = ApplyToMemory(memory); !applied.ok()) return applied;
  }
  const bool to_disk = !commit.empty();
  if (to_disk) disk_submitted_ = CommitNumber(disk_submitted_.value() + 1);
  {
    std::unique_lock lock(progress_mutex_);
    submitted_.emplace_back(number, disk_submitted_);
    if (!to_disk) TellProgress(std::move(lock));
  }
  if (!to_disk) return absl::OkStatus();
  return disk_->Submit(disk_submitted_, std::move(commit), std::max(promise, Promise::kWritten));
}

absl::Status TieredStore::ApplyToMemory(const Commit& commit) {
  memory_wanted_ = true;
  refused_ = absl::OkStatus();
  if (memory_ == nullptr) {
    const absl::Status opened = OpenMemory();
    // Nothing was published: the engine asks for room first. What is left out is the ledger of a queue that
    // has no rows, which is as good as none.
    if (!opened.ok()) return PutsMessages(commit) ? opened : absl::OkStatus();
  }
  if (!idle_.empty()) {
    commit.ForEach([this](const Commit::Op& op) {
      if (op.kind == Commit::Kind::kPut) idle_.Revive(op.key);
    });
  }
  std::vector<std::string> leftovers = Leftovers(commit);
  if (absl::Status applied = memory_->Apply(commit); !applied.ok()) return applied;
  // One that the commit moved elsewhere before the purge is found there by its locator.
  for (std::string& key : leftovers) {
    if (!LeadsToARow(key)) idle_.Add(std::move(key));
  }
  idle_.Remove(*memory_, IdleRows::kPiecesPerCommit);
  CloseMemoryIfEmpty();
  return absl::OkStatus();
}

bool TieredStore::LeadsToARow(std::string_view key) const {
  if (!IsKind(key, RowKind::kLocator)) return false;
  const auto locator = memory_->Find(key);
  const auto row = locator.has_value() ? DecodeLocator(*locator) : std::nullopt;
  return row.has_value() && memory_->Find(*row).has_value();
}

// What a purged queue leaves outside its ranges, told by its messages: hints at their deadlines, and
// locators. On disk they go when they are due, or take little room; here room is dear.
std::vector<std::string> TieredStore::Leftovers(const Commit& commit) const {
  std::vector<std::string> keys;
  std::vector<std::pair<QueueId, std::string>> fresh;  // put by this commit, before the purge
  const auto collect = [this, &keys](std::string_view key, std::string_view value) {
    const auto message = DecodeMessage(value);
    if (!message.has_value()) return absl::OkStatus();
    if (message->id.has_value()) keys.push_back(LocatorKey(message->id->seq));
    const auto row = ParseMessageKey(key);
    if (!row.has_value()) return absl::OkStatus();
    const auto attempts = memory_->Find(AttemptsKey(row->queue, row->seq));
    const auto known = attempts.has_value() ? DecodeAttempts(*attempts) : std::nullopt;
    const Instant hint = known.has_value() ? known->hint.value_or(message->deadline) : message->deadline;
    if (hint != kNever) keys.push_back(ExpiryKey({hint, row->queue, row->seq}));
    return absl::OkStatus();
  };
  bool purges = false;
  commit.ForEach([&](const Commit::Op& op) { purges |= op.kind == Commit::Kind::kDeleteRange; });
  if (!purges) return keys;
  commit.ForEach([&](const Commit::Op& op) {
    const bool is_locator = IsKind(op.key, RowKind::kLocator);
    if (op.kind == Commit::Kind::kPut && (is_locator || IsKind(op.key, RowKind::kExpiry))) {
      const std::string_view row = is_locator ? DecodeLocator(op.value).value_or(std::string_view()) : op.key;
      fresh.emplace_back(QueueOfRow(row), op.key);
    }
    if (op.kind != Commit::Kind::kDeleteRange || IsKind(op.key, RowKind::kAttempts)) return;
    const absl::Status scanned = memory_->Scan(op.key, op.value, collect);
    BATON_CHECK(scanned.ok()) << scanned;
    for (auto& [queue, key] : fresh) {
      if (queue == QueueOfRow(op.key)) keys.push_back(std::exchange(key, {}));
    }
    std::erase_if(fresh, [](const auto& put) { return put.second.empty(); });
  });
  return keys;
}

// ---- Progress.

void TieredStore::OnProgress(CommitNumber written, CommitNumber synced) {
  std::unique_lock lock(progress_mutex_);
  disk_written_ = written;
  disk_synced_ = synced;
  TellProgress(std::move(lock));
}

// Lets go of the mutex before it tells: who hears it may submit the next commit.
void TieredStore::TellProgress(std::unique_lock<std::mutex> lock) {
  const CommitNumber written_before = written_;
  const CommitNumber synced_before = synced_;
  for (; written_count_ < submitted_.size(); ++written_count_) {
    const auto& [number, disk] = submitted_[written_count_];
    if (disk > disk_written_) break;
    written_ = number;
  }
  while (!submitted_.empty() && submitted_.front().second <= disk_synced_) {
    synced_ = submitted_.front().first;
    submitted_.pop_front();
    --written_count_;
  }
  if (written_ == written_before && synced_ == synced_before) return;
  const CommitNumber written = written_;
  const CommitNumber synced = synced_;
  lock.unlock();
  listener_->OnProgress(written, synced);
}

// ---- Reads.

void TieredStore::Read(ReadRequest request) {
  if (memory_ != nullptr && IsOverAllQueues(request)) return ReadBoth(std::move(request));
  const std::string& first = request.keys.empty() ? request.begin : request.keys.front();
  if (!IsMemoryQueue(QueueOfRow(first)) && !request.born_in_memory) return disk_->Read(std::move(request));
  if (memory_ != nullptr) return listener_->OnRead(memory_->Read(request));
  // Of a queue that has no rows yet, or none any more.
  ReadResult nothing{
      .id = request.id, .status = absl::OkStatus(), .rows = {}, .end_reached = request.keys.empty()};
  for (const std::string& key : request.keys)
    nothing.rows.push_back({.key = key, .value = {}, .companion = {}});
  listener_->OnRead(std::move(nothing));
}

void TieredStore::ReadBoth(ReadRequest request) {
  {
    const std::lock_guard lock(reads_mutex_);
    half_read_.emplace(request.id, std::pair(memory_->Read(request), request.rows_max));
  }
  disk_->Read(std::move(request));
}

void TieredStore::OnRead(ReadResult result) {
  std::optional<std::pair<ReadResult, size_t>> half;
  {
    const std::lock_guard lock(reads_mutex_);
    auto found = half_read_.extract(result.id);
    if (!found.empty()) half = std::move(found.mapped());
  }
  if (half.has_value()) result = Merge(std::move(result), std::move(half->first), half->second);
  listener_->OnRead(std::move(result));
}

// In key order, as far as both can tell: past the last row of a half that did not reach its end there may be
// more.
ReadResult TieredStore::Merge(ReadResult disk, ReadResult memory, size_t rows_max) {
  if (!disk.status.ok()) return disk;
  std::optional<std::string> limit;
  for (const ReadResult* half : {&disk, &memory}) {
    if (half->end_reached || half->rows.empty()) continue;
    const std::string& last = half->rows.back().key;
    if (!limit.has_value() || last < *limit) limit = last;
  }
  ReadResult merged{.id = disk.id, .status = absl::OkStatus(), .rows = {}, .end_reached = !limit.has_value()};
  std::merge(std::make_move_iterator(disk.rows.begin()), std::make_move_iterator(disk.rows.end()),
             std::make_move_iterator(memory.rows.begin()), std::make_move_iterator(memory.rows.end()),
             std::back_inserter(merged.rows), [](const Row& a, const Row& b) { return a.key < b.key; });
  std::erase_if(merged.rows, [&](const Row& row) { return limit.has_value() && *limit < row.key; });
  if (merged.rows.size() > rows_max) {
    merged.rows.resize(rows_max);
    merged.end_reached = false;
  }
  return merged;
}

}  // namespace baton
