// What every Store must do, as a suite of parameterised tests: run it over each implementation.
//
//   INSTANTIATE_TEST_SUITE_P(Rocks, StoreContract, testing::Values(StoreFactory([] { return ...; })));
//
// The tests are in store_contract.cc (link baton_store_contract).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "storage/store.h"
#include "tests/support/recording_listener.h"

namespace baton {

// One store that can be opened again and again.
class StoreHarness {
 public:
  virtual ~StoreHarness() = default;
  // REQUIRES: the store opened before is destroyed.
  virtual std::unique_ptr<Store> Open() = 0;
  // For stores that have no threads of their own: lets some of the work handed over happen, and says true.
  virtual bool LetItWork() { return false; }
};
using StoreFactory = std::function<std::unique_ptr<StoreHarness>()>;

// Opens the harness's store, numbers commits, waits for answers.
class StoreContract : public testing::TestWithParam<StoreFactory> {
 protected:
  StoreContract();
  ~StoreContract() override;

  // Stops and destroys the store, and opens it again.
  void Reopen();
  // The same, with a scan before it is started.
  using Visitor = std::function<absl::Status(std::string_view key, std::string_view value)>;
  absl::Status ScanAfterReopening(const std::string& begin, const std::string& end, const Visitor& visit);
  CommitNumber Submit(Commit commit, Promise promise = Promise::kSynced);
  ReadResult Read(ReadRequest request);
  // All rows of [begin, end), by Read.
  std::map<std::string, std::string> Rows(const std::string& begin, const std::string& end);
  // All rows but the store's own (M …).
  std::map<std::string, std::string> AllRows();

  Store& store() { return *store_; }
  RecordingListener& listener() { return *listener_; }

  uint64_t last_read_ = 0;
  CommitNumber last_commit_;

 private:
  void Start();
  void Close();

  std::unique_ptr<StoreHarness> harness_;
  std::unique_ptr<RecordingListener> listener_;
  std::unique_ptr<Store> store_;
};

}  // namespace baton
