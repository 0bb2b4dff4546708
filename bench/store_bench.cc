// Measures RocksStore by itself, on a real directory.
//
//   store_bench flow    [--dir D] [--messages N] [--batch B] [--body BYTES] [--lag BATCHES] [--relaxed]
//       messages come and are acked `lag` batches later: the life of most messages
//   store_bench backlog [--dir D] [--messages N] [--batch B] [--body BYTES] [--budget BYTES]
//       N messages are queued, the process "crashes", reopens, and drains them in order
//   store_bench open    [--dir D]
//       how long it takes to open what another one, killed, has left there
//
// Every commit holds a batch of puts (and removals) and the queue's ledger, and is synced; four are under way
// at a time.
#include <fmt/format.h>
#include <tuple>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/check.h"
#include "base/mutex.h"
#include "storage/format/keys.h"
#include "storage/rocks/rocks_store.h"

namespace baton {
namespace {

using Clock = std::chrono::steady_clock;

struct Arguments {
  std::string scenario;
  std::string directory = "/tmp/baton-store-bench";
  uint64_t messages = 1'000'000;
  uint64_t batch = 64;
  uint64_t body_bytes = 1024;
  uint64_t lag = 64;
  uint64_t budget_bytes = 128u << 20;
  Promise promise = Promise::kSynced;
};

constexpr uint64_t kCommitsUnderWay = 4;
constexpr uint64_t kBodyVariants = 1u << 20;
const QueueId kQueue(1);

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

uint64_t ResidentMebibytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::strtoull(line.c_str() + 6, nullptr, 10) / 1024;
  }
  return 0;
}

// Lets the bench wait for its commits and reads.
class Waiter : public Store::Listener {
 public:
  void OnProgress(CommitNumber written, CommitNumber synced) override {
    const MutexLock lock(mutex_);
    written_ = written;
    synced_ = synced;
    changed_.NotifyAll();
  }
  void OnRead(ReadResult result) override {
    const MutexLock lock(mutex_);
    BATON_CHECK(result.status.ok()) << result.status;
    read_ = std::move(result);
    changed_.NotifyAll();
  }
  void OnDiskState(DiskState state) override {
    std::cout << "disk state " << static_cast<int>(state) << "\n";
  }
  void OnFailed(absl::Status status) override { BATON_CHECK(false) << status; }

  void WaitFor(Promise promise, uint64_t number) {
    const MutexLock lock(mutex_);
    while ((promise == Promise::kSynced ? synced_ : written_).value() < number) changed_.Wait(mutex_);
  }
  ReadResult WaitForRead(ReadId id) {
    const MutexLock lock(mutex_);
    while (read_.id != id) changed_.Wait(mutex_);
    return std::move(read_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  CommitNumber written_ ABSL_GUARDED_BY(mutex_);
  CommitNumber synced_ ABSL_GUARDED_BY(mutex_);
  ReadResult read_ ABSL_GUARDED_BY(mutex_);
};

class Bench {
 public:
  explicit Bench(Arguments arguments)
      : arguments_(std::move(arguments)), bodies_(arguments_.body_bytes + kBodyVariants, '\0') {
    uint64_t state = 88172645463325252u;
    for (char& byte : bodies_) {  // half compressible
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      byte = static_cast<char>(' ' + state % 16);
    }
  }

  void Open() {
    const Clock::time_point start = Clock::now();
    absl::StatusOr<std::unique_ptr<RocksStore>> store =
        RocksStore::Open({.path = arguments_.directory,
                          .memory_budget_bytes = arguments_.budget_bytes,
                          .check_alternation = false});
    BATON_CHECK(store.ok()) << store.status();
    std::cout << fmt::format("opened in {:.3f} s\n", SecondsSince(start));
    store_ = *std::move(store);
    waiter_ = std::make_unique<Waiter>();
    commits_ = 0;
    store_->Start(waiter_.get());
  }
  void Close() {
    store_->Stop();
    store_.reset();
  }

  void Flow() {
    Open();
    const uint64_t batches = arguments_.messages / arguments_.batch;
    const Clock::time_point start = Clock::now();
    Clock::time_point slice = start;
    for (uint64_t batch = 0; batch < batches + arguments_.lag; ++batch) {
      Commit commit;
      for (uint64_t i = 0; i < arguments_.batch; ++i) {
        if (batch < batches)
          commit.Put(Key(batch * arguments_.batch + i), Body(batch * arguments_.batch + i));
        if (batch >= arguments_.lag)
          commit.SingleDelete(Key((batch - arguments_.lag) * arguments_.batch + i));
      }
      Submit(std::move(commit));
      if ((batch + 1) % (1 + batches / 5) == 0)
        slice = Report("", batch * arguments_.batch, batches / 5, slice);
    }
    waiter_->WaitFor(arguments_.promise, commits_);
    const double seconds = SecondsSince(start);
    std::cout << fmt::format("flow: {} messages of {} B in {:.2f} s: {:.0f}/s\n", batches * arguments_.batch,
                             arguments_.body_bytes, seconds,
                             static_cast<double>(batches * arguments_.batch) / seconds);
    PrintStats();
    Close();
  }

  void Backlog() {
    Open();
    const Clock::time_point start = Clock::now();
    Clock::time_point slice = start;
    const uint64_t batches = arguments_.messages / arguments_.batch;
    const uint64_t per_slice = std::max<uint64_t>(1, batches / 10);
    for (uint64_t batch = 0; batch < batches; ++batch) {
      Commit commit;
      for (uint64_t i = 0; i < arguments_.batch; ++i)
        commit.Put(Key(batch * arguments_.batch + i), Body(batch * arguments_.batch + i));
      Submit(std::move(commit));
      if ((batch + 1) % per_slice == 0)
        slice = Report("filled", (batch + 1) * arguments_.batch, per_slice, slice);
    }
    waiter_->WaitFor(arguments_.promise, commits_);
    PrintStats();
    Close();
    Open();
    Drain(batches * arguments_.batch);
    PrintStats();
    Close();
  }

 private:
  static std::string Key(uint64_t number) {
    return ReadyKey(kQueue, {.rank = RankOfPriority(0), .seq = MakeSeq(Epoch(1), number)});
  }
  std::string_view Body(uint64_t number) const {
    return std::string_view(bodies_).substr(number * 7919 % kBodyVariants, arguments_.body_bytes);
  }
  static std::string Companion(std::string_view key) {
    return AttemptsKey(kQueue, ParseReadyKey(key)->position.seq);
  }

  void Submit(Commit commit) {
    commit.Put(LedgerKey(kQueue), std::string(100, 'l'));
    std::ignore = store_->Submit(CommitNumber(++commits_), std::move(commit), arguments_.promise);
    if (commits_ > kCommitsUnderWay) waiter_->WaitFor(arguments_.promise, commits_ - kCommitsUnderWay);
  }

  // Reads in chunks from a moving head, as the engine does, and removes what it read.
  void Drain(uint64_t expected) {
    const KeyRange all = AllOf(RowKind::kReady, kQueue);
    std::string head = all.begin;
    const Clock::time_point start = Clock::now();
    Clock::time_point slice = start;
    uint64_t drained = 0;
    uint64_t slices = 0;
    std::vector<double> read_ms;
    for (uint64_t read = 1;; ++read) {
      const Clock::time_point asked = Clock::now();
      store_->Read({.id = ReadId(read),
                    .begin = head,
                    .end = all.end,
                    .rows_max = 1024,
                    .bytes_max = 4u << 20,
                    .companion = &Companion});
      const ReadResult result = waiter_->WaitForRead(ReadId(read));
      read_ms.push_back(SecondsSince(asked) * 1000);
      for (size_t at = 0; at < result.rows.size(); at += arguments_.batch) {
        Commit commit;
        for (size_t i = at; i < std::min(result.rows.size(), at + arguments_.batch); ++i) {
          commit.SingleDelete(result.rows[i].key);
          ++drained;
        }
        Submit(std::move(commit));
      }
      if (!result.rows.empty()) head = result.rows.back().key + '\0';
      if (drained * 10 / expected > slices) {
        slice = Report("drained", drained, expected / 10 / arguments_.batch, slice);
        slices = drained * 10 / expected;
      }
      if (result.end_reached) break;
    }
    BATON_CHECK_EQ(drained, expected);
    const double seconds = SecondsSince(start);
    std::sort(read_ms.begin(), read_ms.end());
    std::cout << fmt::format(
        "drained {} in {:.2f} s: {:.0f}/s; read p50 {:.2f} ms p99 {:.2f} ms longest {:.2f} ms\n", drained,
        seconds, static_cast<double>(drained) / seconds, read_ms[read_ms.size() / 2],
        read_ms[read_ms.size() * 99 / 100], read_ms.back());
  }

  Clock::time_point Report(std::string_view what, uint64_t messages, uint64_t batches,
                           Clock::time_point since) const {
    const Store::Stats stats = store_->stats();
    std::cout << fmt::format("  {} {:>10}: {:>8.0f}/s  resident {} MiB  rocksdb {} MiB  tables {} MiB\n",
                             what, messages,
                             static_cast<double>(batches * arguments_.batch) / SecondsSince(since),
                             ResidentMebibytes(), stats.memory_bytes >> 20, stats.disk_bytes >> 20)
              << std::flush;
    return Clock::now();
  }
  void PrintStats() const {
    const Store::Stats stats = store_->stats();
    std::cout << fmt::format("  commits {} writes {} syncs {} written {} MiB tables {} MiB resident {} MiB\n",
                             stats.commits, stats.writes, stats.syncs, stats.written_bytes >> 20,
                             stats.disk_bytes >> 20, ResidentMebibytes());
  }

  const Arguments arguments_;
  std::string bodies_;  // overlapping: a body is what stands at its own offset
  std::unique_ptr<Waiter> waiter_;
  std::unique_ptr<RocksStore> store_;
  uint64_t commits_ = 0;
};

int Main(int argc, char** argv) {
  Arguments arguments;
  if (argc > 1) arguments.scenario = argv[1];
  std::map<std::string, uint64_t*> numbers{{"--messages", &arguments.messages},
                                           {"--batch", &arguments.batch},
                                           {"--body", &arguments.body_bytes},
                                           {"--lag", &arguments.lag},
                                           {"--budget", &arguments.budget_bytes}};
  for (int i = 2; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--relaxed") {
      arguments.promise = Promise::kWritten;
    } else if (name == "--dir" && i + 1 < argc) {
      arguments.directory = argv[++i];
    } else if (numbers.contains(name) && i + 1 < argc) {
      *numbers[name] = std::strtoull(argv[++i], nullptr, 10);
    } else {
      std::cerr << "unknown argument " << name << "\n";
      return 2;
    }
  }
  if (arguments.scenario != "open") std::filesystem::remove_all(arguments.directory);
  Bench bench(arguments);
  if (arguments.scenario == "flow") {
    bench.Flow();
  } else if (arguments.scenario == "backlog") {
    bench.Backlog();
  } else if (arguments.scenario == "open") {
    bench.Open();
    bench.Close();
  } else {
    std::cerr << "usage: store_bench flow|backlog|open [options]; see the head of store_bench.cc\n";
    return 2;
  }
  std::filesystem::remove_all(arguments.directory);
  return 0;
}

}  // namespace
}  // namespace baton

int main(int argc, char** argv) { return baton::Main(argc, argv); }
