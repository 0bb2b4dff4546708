// The simulator's store keeps the same contract as the real one.
#include "tests/support/fake_store.h"

#include <memory>
#include <random>
#include <string>

#include "base/check.h"
#include "gtest/gtest.h"
#include "tests/support/store_contract.h"

namespace baton {
namespace {

// A Store whose work happens when the test lets it.
class DrivenStore : public Store {
 public:
  explicit DrivenStore(FakeStore* rows) : rows_(rows) {}

  void Start(Listener* listener) override { listener_ = listener; }
  void Stop() override {
    if (listener_ == nullptr) return;
    while (rows_->unwritten() > 0 || rows_->HasReads() || rows_->unsynced() > 0) Work(~0u);
    listener_ = nullptr;
  }
  absl::Status Submit(CommitNumber number, Commit commit, Promise promise) override {
    rows_->Submit(number, std::move(commit), promise);
    return absl::OkStatus();
  }
  void Read(ReadRequest request) override { rows_->Read(std::move(request)); }
  absl::Status ScanNow(
      const std::string& begin, const std::string& end,
      const std::function<absl::Status(std::string_view, std::string_view)>& visit) override {
    for (auto row = rows_->rows().lower_bound(begin); row != rows_->rows().end() && row->first < end; ++row) {
      if (absl::Status status = visit(row->first, row->second); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  Stats stats() const override { return {}; }

  // Some of what waits, chosen by the bits of `choice`.
  void Work(uint64_t choice) {
    if ((choice & 1) != 0 && rows_->unwritten() > 0) rows_->WriteOne();
    if ((choice & 2) != 0) rows_->Sync();
    if ((choice & 4) != 0) rows_->LookOne();
    if (listener_ == nullptr) return;
    listener_->OnProgress(rows_->written(), rows_->synced());
    if ((choice & 8) == 0) return;
    if (std::optional<ReadResult> answer = rows_->TakeAnswer(); answer.has_value()) {
      listener_->OnRead(*std::move(answer));
    }
  }

 private:
  FakeStore* const rows_;
  Listener* listener_ = nullptr;
};

class FakeHarness : public StoreHarness {
 public:
  std::unique_ptr<Store> Open() override {
    rows_.Crash(rows_.unsynced());  // the numbers start again; nothing is lost, it was stopped in order
    auto store = std::make_unique<DrivenStore>(&rows_);
    open_ = store.get();
    return store;
  }
  bool LetItWork() override {
    open_->Work(random_());
    return true;
  }

 private:
  FakeStore rows_;
  DrivenStore* open_ = nullptr;
  std::minstd_rand random_;
};

INSTANTIATE_TEST_SUITE_P(Fake, StoreContract,
                         testing::Values(StoreFactory([] { return std::make_unique<FakeHarness>(); })),
                         [](const auto&) { return "Store"; });

}  // namespace
}  // namespace baton
