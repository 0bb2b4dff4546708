#include "tests/support/crash_broker.h"

#include <utility>

#include "base/check.h"
#include "storage/format/keys.h"

namespace baton {

absl::Status CrashBroker::Start(Instant now) {
  BATON_CHECK(store_ == nullptr);
  now_ = now;
  failure_ = absl::OkStatus();
  submitted_ = to_be_synced_ = written_ = synced_ = CommitNumber();
  reads_in_flight_ = 0;
  {
    const MutexLock lock(mutex_);
    events_ = Events();
  }
  auto opened = RocksStore::Open({.path = options_.path,
                                  .memory_budget_bytes = 2u << 20,
                                  .wal_bytes_max = 256u << 10,
                                  .ballast_bytes = 0,
                                  .disk_low_bytes = 0,
                                  .check_alternation = true,
                                  .file_system = options_.disk});
  if (!opened.ok()) return opened.status();
  store_ = *std::move(opened);
  EngineOptions engine_options;
  engine_options.epoch = store_->epoch();
  engine_options.window_bytes = options_.window_bytes;
  engine_options.chunk_rows = options_.chunk_rows;
  engine_ = std::make_unique<Engine>(engine_options, outputs_);
  if (absl::Status status = Load(); !status.ok()) return status;
  engine_->Start(now_);
  store_->Start(this);
  return absl::OkStatus();
}

// As the broker does (server/broker.cc).
absl::Status CrashBroker::Load() {
  return engine_->Load([this](RowKind kind, const Engine::Visit& visit) {
    const KeyRange range = AllOf(kind);
    return store_->ScanNow(range.begin, range.end, visit);
  });
}

void CrashBroker::Stop() {
  if (store_ != nullptr) store_->Stop();
  engine_.reset();
  store_.reset();
}

void CrashBroker::EndTurn() {
  TakeEvents(Wait::kNo, to_be_synced_);
  FinishTurn();
}

void CrashBroker::FinishTurn() {
  if (!failure_.ok()) return;
  Engine::Turn turn = engine_->EndTurn(now_);
  ++turn_;
  failure_.Update(turn.failure);
  moved_ = static_cast<bool>(turn.number) || !turn.reads.empty() || turn.next_due <= now_;
  if (!failure_.ok()) return;
  if (turn.number) {
    submitted_ = turn.number;
    if (turn.promise == Promise::kSynced) to_be_synced_ = turn.number;
    const absl::Status taken = store_->Submit(turn.number, std::move(turn.commit), turn.promise);
    BATON_CHECK(taken.ok()) << taken;
    engine_->OnHandedOver(turn.number);
  }
  reads_in_flight_ += turn.reads.size();
  for (ReadRequest& read : turn.reads) store_->Read(std::move(read));
}

bool CrashBroker::Outstanding(CommitNumber to_be_synced) const {
  return written_ < submitted_ || synced_ < to_be_synced || reads_in_flight_ > 0;
}

bool CrashBroker::TakeEvents(Wait wait, CommitNumber to_be_synced) {
  Events events;
  {
    const MutexLock lock(mutex_);
    while (wait == Wait::kForOne && Outstanding(to_be_synced) && !events_.any()) came_.Wait(mutex_);
    std::swap(events, events_);
  }
  if (events.failure.has_value()) failure_.Update(*events.failure);
  if (events.progress.has_value()) {
    std::tie(written_, synced_) = *events.progress;
    engine_->OnProgress(written_, synced_, now_);
  }
  reads_in_flight_ -= events.reads.size();
  for (ReadResult& read : events.reads) engine_->OnRead(std::move(read), now_);
  return events.any();
}

bool CrashBroker::RunUntil(const std::function<bool()>& done) { return RunUntil(done, submitted_); }

// `to_be_synced` is one of our counters: it moves.
bool CrashBroker::RunUntil(const std::function<bool()>& done, const CommitNumber& to_be_synced) {
  moved_ = true;  // by what was handled since the last turn
  for (int turns = 0; failure_.ok(); ++turns) {
    BATON_CHECK_LT(turns, 100'000) << "the engine always wants another turn";
    const bool came = TakeEvents(moved_ ? Wait::kNo : Wait::kForOne, to_be_synced);
    if (!failure_.ok()) return false;
    FinishTurn();
    if (done()) return true;
    if (!came && !moved_ && !Outstanding(to_be_synced)) return false;
  }
  return false;
}

bool CrashBroker::RunUntilStill() {
  RunUntil([] { return false; }, to_be_synced_);
  return failure_.ok();
}

void CrashBroker::OnProgress(CommitNumber written, CommitNumber synced) {
  const MutexLock lock(mutex_);
  events_.progress.emplace(written, synced);
  came_.NotifyOne();
}

void CrashBroker::OnRead(ReadResult result) {
  const MutexLock lock(mutex_);
  events_.reads.push_back(std::move(result));
  came_.NotifyOne();
}

void CrashBroker::OnFailed(absl::Status status) {
  const MutexLock lock(mutex_);
  events_.failure = std::move(status);
  came_.NotifyOne();
}

}  // namespace baton
