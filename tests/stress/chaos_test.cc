// A real broker and everything that may go wrong around it, for CHAOS_SECONDS (20 among the stress
// tests, an hour under soak): it is killed, stopped in the middle, and stopped as it should be; its disk and
// its shared memory fill up, or the disk is slow; a consumer dies; strangers send rubbish and crafted calls,
// and scribble over what they share with it. Whatever it promises meanwhile is written down in a book, and
// judged. At the end a table of its store is damaged: it may refuse, it may not die of it.
//
// BATON_SEED repeats the choices. A full disk needs the right to mount a small file system; without it that
// is left out.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <random>
#include <thread>

#include "base/check.h"
#include "baton/client.h"
#include "local/handshake.h"
#include "tests/stress/policy_watch.h"
#include "tests/support/broker_process.h"
#include "tests/support/busy_clients.h"
#include "tests/support/promise_book.h"
#include "tests/support/random_seed.h"
#include "tests/support/stored_messages.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::IsEmpty;

using Random = std::mt19937_64;

constexpr seconds kPatience{60};  // for anything; reached only by a failure
constexpr size_t kMiB = 1u << 20;
constexpr size_t kDiskBytes = 512 * kMiB;
constexpr size_t kSharedBytes = 64 * kMiB;
constexpr int kFaultsPerRound = 12;

uint64_t Upto(Random& random, uint64_t max) {
  return std::uniform_int_distribution<uint64_t>(0, max)(random);
}
std::string RandomBytes(Random& random, size_t length) {
  std::string bytes(length, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

const std::vector<BusyQueue>& Queues() {
  static const std::vector<BusyQueue> queues = {
      {.name = "durable", .durability = Durability::kDurable, .delivery = DeliveryMode::kEager},
      {.name = "committed", .durability = Durability::kDurable, .delivery = DeliveryMode::kCommitted},
      {.name = "relaxed", .durability = Durability::kRelaxed, .delivery = DeliveryMode::kEager},
      {.name = "memory", .durability = Durability::kMemory, .delivery = DeliveryMode::kEager},
  };
  return queues;
}

std::vector<std::string> QueueNames() {
  std::vector<std::string> names;
  for (const BusyQueue& queue : Queues()) names.push_back(queue.name);
  return names;
}

seconds TimeToRun() {
  const char* const given = std::getenv("CHAOS_SECONDS");
  return seconds(given != nullptr ? std::strtol(given, nullptr, 10) : 20);
}

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = steady_clock::now() + kPatience;
  while (!condition()) {
    if (steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

// A file system of its own where that may be made, so that it can be filled.
class SmallDisk {
 public:
  explicit SmallDisk(size_t bytes) {
    is_small_ = mount("tmpfs", path().c_str(), "tmpfs", 0, fmt::format("size={}", bytes).c_str()) == 0;
  }
  ~SmallDisk() {
    if (is_small_) umount2(path().c_str(), MNT_DETACH);
  }
  const std::string& path() const { return directory_.path(); }
  bool is_small() const { return is_small_; }

  // Takes what is left but so many bytes. Undone by Empty.
  void FillUp(size_t left) const {
    const size_t free = std::filesystem::space(path()).available;
    if (free <= left) return;
    std::ofstream(Filler()).close();
    std::ofstream file(Filler(), std::ios::binary);
    const std::string block(kMiB, 'x');
    for (size_t bytes = free - left; bytes >= block.size(); bytes -= block.size()) file << block;
  }
  void Empty() const { std::filesystem::remove(Filler()); }

 private:
  std::string Filler() const { return path() + "/filler"; }

  TemporaryDirectory directory_;
  bool is_small_ = false;
};

// Sends what nobody should, until it goes. What becomes of it does not matter.
class Stranger {
 public:
  Stranger(std::string socket, uint64_t seed)
      : socket_(std::move(socket)), random_(seed), thread_([this] { Run(); }) {}
  ~Stranger() {
    stopping_ = true;
    thread_.join();
  }

 private:
  void Run() {
    constexpr const char* kMethods[] = {
        "/baton.v1.Broker/Session",     "/baton.v1.Broker/Publish",     "/baton.v1.Broker/Receive",
        "/baton.v1.Broker/Ack",         "/baton.v1.Broker/Nack",        "/baton.v1.Broker/Extend",
        "/baton.v1.Admin/ListMessages", "/baton.v1.Admin/GetMessage",   "/baton.v1.Admin/ListQueues",
        "/baton.v1.Admin/CreateQueue",  "/baton.v1.Admin/DeleteMessage"};
    while (!stopping_) {
      const auto method = kMethods[Upto(random_, std::size(kMethods) - 1)];
      if (std::filesystem::exists(socket_)) Call(method);
      std::this_thread::sleep_for(milliseconds(Upto(random_, 20)));
    }
  }
  void Call(const std::string& method) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("baton.stranger", static_cast<int>(++calls_));
    auto channel =
        grpc::CreateCustomChannel("unix:" + socket_, grpc::InsecureChannelCredentials(), arguments);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + milliseconds(500));
    grpc::CompletionQueue queue;
    grpc::GenericStub stub(channel);
    auto call = stub.PrepareUnaryCall(&context, method, Bytes(), &queue);
    call->StartCall();
    grpc::ByteBuffer answer;
    grpc::Status status;
    call->Finish(&answer, &status, this);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    queue.Shutdown();
    while (queue.Next(&tag, &ok)) {
    }
  }
  // Often what begins like a request that names a queue.
  grpc::ByteBuffer Bytes() {
    std::string bytes = Upto(random_, 1) == 0 ? std::string("\x0a\x08strangers", 10) : "";
    bytes += RandomBytes(random_, Upto(random_, 300));
    const grpc::Slice slice(bytes);
    return grpc::ByteBuffer(&slice, 1);
  }

  const std::string socket_;
  Random random_;
  uint64_t calls_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// The same over rings: half a hello, another one, anything in the memory that it shares, any bells.
class RingStranger {
 public:
  RingStranger(std::string socket, uint64_t seed)
      : socket_(std::move(socket)), random_(seed), thread_([this] { Run(); }) {}
  ~RingStranger() {
    stopping_ = true;
    thread_.join();
  }

 private:
  void Run() {
    while (!stopping_) {
      Upto(random_, 3) == 0 ? Mumble() : Scribble();
      std::this_thread::sleep_for(milliseconds(Upto(random_, 20)));
    }
  }
  void Mumble() {
    const auto connection = BeginHandshake(socket_);  // it has said its hello
    if (connection.ok()) Send(connection->get());
  }
  void Scribble() {
    auto connection = ConnectLocally(socket_, 500);
    struct stat status {};
    if (!connection.ok() || fstat(connection->segment.get(), &status) != 0) return;
    const auto bytes = static_cast<size_t>(status.st_size);
    void* const memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, connection->segment.get(), 0);
    if (memory == MAP_FAILED) return;
    for (uint64_t i = Upto(random_, 50); i > 0; --i) {
      const std::string what = RandomBytes(random_, 1 + Upto(random_, 16));
      // Often among the indices and flags, at the beginning.
      const size_t most = Upto(random_, 1) == 0 ? std::min<size_t>(bytes, 4'096) : bytes;
      std::copy(what.begin(), what.end(), static_cast<char*>(memory) + Upto(random_, most - what.size()));
      if (Upto(random_, 9) == 0) Send(connection->socket.get());
    }
    munmap(memory, bytes);
  }
  void Send(int socket) {
    const std::string bytes = RandomBytes(random_, 1 + Upto(random_, 40));
    // allowed to fail: it may have been sent away
    [[maybe_unused]] const ssize_t sent =
        send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  const std::string socket_;
  Random random_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// One store, its clients, and some faults; then the judgement.
class Round {
 public:
  explicit Round(uint64_t seed)
      : random_(seed),
        broker_({.flags = {"--memory-budget", "64MiB", "--wal-bytes-max", "8MiB", "--memory-queue-bytes",
                           "48MiB", "--memory-queue-dir", shared_.path(), "--disk-free-min", "128MiB"},
                 .environment = {"LD_PRELOAD=" BATON_SLOW_DISK_LIBRARY, "BATON_SLOW_DISK=" + SlowMark()},
                 .data_dir = disk_.path() + "/data"}) {
    book_.AllowRefusals();
  }

  void Run(steady_clock::time_point end);

 private:
  uint64_t Upto(uint64_t max) { return baton::Upto(random_, max); }
  void ShortWait(milliseconds max) { std::this_thread::sleep_for(milliseconds(Upto(max.count()))); }

  std::string SlowMark() const { return directory_.path() + "/slow"; }
  bool CreateQueues();
  void StartDoomedConsumer();
  bool ClientsGetOn();
  std::string Describe();
  void OneFault();
  void KillBroker();
  void DisturbDisk();
  void SlowDownDisk();
  void Judge();
  void DamageATable();

  Random random_;
  SmallDisk disk_{kDiskBytes};
  SmallDisk shared_{kSharedBytes};
  TemporaryDirectory directory_;
  BrokerProcess broker_;
  PromiseBook book_;
  std::optional<DoomedConsumer> doomed_;
  int doomed_count_ = 0;
  std::unique_ptr<BusyProducer> producer_;
  std::unique_ptr<BusyConsumer> consumer_;
  std::unique_ptr<Stranger> stranger_;
  std::unique_ptr<RingStranger> ring_stranger_;
  std::unique_ptr<PolicyWatch> policies_;
  std::string last_fault_ = "none";
};

bool Round::CreateQueues() {
  Client client = ConnectPatiently(broker_.url(), "operator");
  for (const BusyQueue& queue : Queues()) {
    const auto created = client.CreateQueue(queue.name, {.durability = queue.durability,
                                                         .delivery = queue.delivery,
                                                         .lease = std::chrono::minutes(30),
                                                         .attempts_max = 0});
    EXPECT_TRUE(created.ok()) << created.status();
    if (!created.ok()) return false;
  }
  const absl::Status policies = PolicyWatch::CreateQueues(client);
  EXPECT_TRUE(policies.ok()) << policies;
  return client.CreateQueue("stranger").ok() && policies.ok();
}

void Round::StartDoomedConsumer() {
  doomed_.emplace(
      DoomedConsumer::Options{.url = broker_.url(),
                              .directory = fmt::format("{}/{}", directory_.path(), ++doomed_count_),
                              .queues = QueueNames(),
                              .hold_every = 4});
}

std::string Round::Describe() {
  const PromiseBook::Totals totals = book_.totals();
  return fmt::format(
      "after the fault \"{}\": published {}, confirmed {}, refused {}, acked {}\n{}{}{}broker:\n{}",
      last_fault_, totals.published, totals.confirmed, totals.refused, totals.acked, producer_->Describe(),
      consumer_->Describe(), doomed_->Describe(), broker_.errors());
}

bool Round::ClientsGetOn() {
  const PromiseBook::Totals before = book_.totals();
  const uint64_t count = Upto(300);
  return Eventually([&] {
    doomed_->Report(&book_);
    const PromiseBook::Totals now = book_.totals();
    return now.confirmed > before.confirmed + count && now.acked > before.acked + count;
  });
}

void Round::KillBroker() {
  broker_.Kill();
  book_.BrokerDied();
  if (Upto(3) == 0) {  // while it recovers
    broker_.Launch();
    ShortWait(milliseconds(60));
    broker_.Kill();
    book_.BrokerDied();
  }
  EXPECT_EQ(broker_.Start(), "");
}

// Full for a while: publishers are refused, consumers go on.
void Round::DisturbDisk() {
  const bool of_memory = Upto(1) == 0;
  const SmallDisk& disk = of_memory ? shared_ : disk_;
  last_fault_ = of_memory ? "shared memory is full" : "the disk is full";
  if (!disk.is_small()) return;
  disk.FillUp(of_memory ? 0 : (20 + Upto(80)) * kMiB);
  ShortWait(milliseconds(3'000));
  if (Upto(2) == 0) KillBroker();  // it starts on a full disk
  disk.Empty();
}

// Each sync takes a fifth of a second, for a while.
void Round::SlowDownDisk() {
  last_fault_ = "the disk is slow";
  std::ofstream(SlowMark()).close();
  ShortWait(milliseconds(3'000));
  if (Upto(3) == 0) KillBroker();
  std::filesystem::remove(SlowMark());
}

void Round::OneFault() {
  switch (Upto(7)) {
    case 0:
    case 1:
      last_fault_ = "the broker is killed";
      return KillBroker();
    case 2:
      last_fault_ = "the broker stands still";
      broker_.process().Signal(SIGSTOP);
      ShortWait(milliseconds(3'000));
      return broker_.process().Signal(SIGCONT);
    case 3:
      last_fault_ = "a consumer is killed";
      doomed_->Kill(&book_);
      return StartDoomedConsumer();
    case 4:
      last_fault_ = "the broker is stopped and started";
      EXPECT_EQ(broker_.Stop(SIGTERM, kPatience), 0) << broker_.errors();
      book_.BrokerDied();
      EXPECT_EQ(broker_.Start(), "");
      return;
    case 5:
      return SlowDownDisk();
    default:
      return DisturbDisk();
  }
}

void Round::Judge() {
  doomed_->Kill(&book_);
  const absl::Status flushed = producer_->Stop();
  EXPECT_TRUE(flushed.ok() || absl::IsResourceExhausted(flushed)) << flushed << "\n" << Describe();
  EXPECT_TRUE(consumer_->Stop().ok());
  policies_->Stop();
  stranger_.reset();
  ring_stranger_.reset();
  Client client = ConnectPatiently(broker_.url(), "judge");
  const auto sum = [&client](uint64_t QueueCounts::*count) {
    uint64_t total = 0;
    for (const std::string& queue : QueueNames()) total += CountsOf(client, queue).*count;
    return total;
  };
  EXPECT_TRUE(Eventually([&] { return sum(&QueueCounts::delayed) + sum(&QueueCounts::leased) == 0; }))
      << "delays or leases do not end";
  const std::vector<PromiseBook::Listed> stored = ListStored(client, QueueNames());
  book_.CheckInventory(stored);
  for (const std::string& queue : QueueNames()) {
    const auto listed = std::count_if(stored.begin(), stored.end(), [&](const PromiseBook::Listed& message) {
      return message.queue == queue;
    });
    Drain(client, queue, static_cast<uint64_t>(listed), book_);
  }
  EXPECT_THAT(book_.Judge(), IsEmpty());
  EXPECT_THAT(policies_->Judge(client), IsEmpty()) << broker_.errors();
}

// What the broker says of it is not looked at here: only that it is the one who says it.
void Round::DamageATable() {
  Client filler = ConnectPatiently(broker_.url(), "filler");
  const std::vector<Message> messages(50, Message{.body = std::string(2'000, 'x')});
  for (int i = 0; i < 100; ++i) filler.Publish("durable", messages).IgnoreError();
  EXPECT_EQ(broker_.Stop(SIGTERM, kPatience), 0);
  std::vector<std::filesystem::path> tables;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(broker_.data_dir())) {
    if (entry.path().extension() == ".sst" && entry.file_size() > 0) tables.push_back(entry.path());
  }
  if (tables.empty()) return;
  const std::filesystem::path& table = tables[Upto(tables.size() - 1)];
  {
    std::fstream file(table, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(Upto(std::filesystem::file_size(table) - 1)));
    file << RandomBytes(random_, 16);
  }
  broker_.Launch();
  for (int i = 0; i < 20; ++i) {
    auto client =
        Client::Connect({.url = broker_.url(), .connect_timeout = seconds(2), .call_timeout = seconds(5)});
    if (!client.ok()) break;
    client->Receive({.queue = "durable", .messages_max = 100}).IgnoreError();
    client->ListMessages({.queue = "durable", .page_size = 100}).IgnoreError();
  }
  const std::optional<int> ended = broker_.Stop(SIGTERM, kPatience);
  ASSERT_TRUE(ended.has_value()) << "it does not end";
  EXPECT_GE(*ended, 0) << "a damaged table ended the broker by signal " << -*ended << "\n"
                       << broker_.errors();
}

void Round::Run(steady_clock::time_point end) {
  ASSERT_EQ(broker_.Start(), "");
  ASSERT_TRUE(CreateQueues());
  producer_ = std::make_unique<BusyProducer>(
      BusyProducer::Options{.url = broker_.url(), .name = "producer", .queues = Queues(), .seed = random_()},
      &book_);
  consumer_ = std::make_unique<BusyConsumer>(
      BusyConsumer::Options{.url = broker_.url(), .name = "consumer", .queues = Queues(), .seed = random_()},
      &book_);
  StartDoomedConsumer();
  stranger_ = std::make_unique<Stranger>(broker_.runtime_dir() + "/grpc.sock", random_());
  ring_stranger_ = std::make_unique<RingStranger>(broker_.runtime_dir() + "/baton.sock", random_());
  policies_ = std::make_unique<PolicyWatch>(broker_.url(), random_());
  for (int fault = 1; fault <= kFaultsPerRound && steady_clock::now() < end; ++fault) {
    ASSERT_TRUE(ClientsGetOn()) << Describe();
    OneFault();
    ASSERT_FALSE(testing::Test::HasFailure()) << Describe();
  }
  ASSERT_TRUE(ClientsGetOn()) << Describe();
  Judge();
  const PromiseBook::Totals totals = book_.totals();
  fmt::print(
      "published {}, refused {}, found stored when sent again {}, delivered {}, redelivered {}, acked {}; "
      "under "
      "policies {}\n",
      totals.published, totals.refused, totals.duplicates, totals.delivered, totals.redelivered, totals.acked,
      policies_->confirmed());
  if (!testing::Test::HasFailure()) DamageATable();
}

TEST(Chaos, BreaksNoPromise) {
  const uint64_t seed = RandomSeed();
  Random random(seed);
  // In a mount namespace of this process: nothing is left behind, whatever happens.
  const bool is_private =
      unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  if (!is_private) fmt::print("no disk fills up: that needs the right to mount one\n");
  const auto end = steady_clock::now() + TimeToRun();
  for (int round = 1; round == 1 || (steady_clock::now() < end && !HasFailure()); ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    Round(random()).Run(end);
  }
}

}  // namespace
}  // namespace baton
