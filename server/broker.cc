#include "server/broker.h"

#include <fmt/format.h>

#include <atomic>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/notification.h"
#include "base/error.h"
#include "base/mutex.h"
#include "base/runtime_dir.h"
#include "server/config/tcp_address.h"
#include "server/descriptor_limit.h"
#include "server/engine/engine.h"
#include "server/engine/queue_record.h"
#include "server/engine_thread_log.h"
#include "server/http/http_server.h"
#include "server/http/metrics.h"
#include "server/listen/unix_socket.h"
#include "server/local/local_listener.h"
#include "server/local/local_sessions.h"
#include "server/loop/engine_thread.h"
#include "server/loop/memory_budget.h"
#include "server/loop/rate_limited_log.h"
#include "server/session/broker_facts.h"
#include "server/session/inspector.h"
#include "storage/format/clock_row.h"
#include "storage/format/keys.h"
#include "storage/rocks/rocks_store.h"
#include "storage/tiered_store.h"

namespace baton {
namespace {

constexpr std::chrono::milliseconds kGoAwayGrace{2'000};  // for clients to hear that the broker stops

absl::Status StoppingError() {
  return MakeError(absl::StatusCode::kUnavailable, reason::kBrokerStopping,
                   "the broker is stopping; everything confirmed is stored: connect again later");
}

absl::Status StoreFailedError(const absl::Status& why) {
  return MakeError(
      absl::StatusCode::kUnavailable, reason::kStoreFailed,
      fmt::format(
          "the broker's store has failed, and it ends ({}); what is not confirmed was perhaps not stored",
          std::string(why.message())));
}

// Of this life of the kernel: what was in shared memory before is not there any more.
std::string BootId() {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  return id;
}

}  // namespace

// In the order of construction; destroyed in reverse.
struct Broker::Parts {
  explicit Parts(Options broker_options)
      : options(std::move(broker_options)), budget(MemoryBudget::Divide(options.config.memory_budget)) {}

  void LogIncident(const RateLimitedLog::Line& line);
  void OnStoreFailure(const absl::Status& why);
  EngineThread::Options ThreadOptions();
  absl::Status OpenStore();
  absl::Status OpenMemoryQueues();
  absl::Status BeginTime();
  absl::Status StartTransports();
  absl::Status StartLocal();
  absl::Status StartHttp();
  HttpServer::Page Make(HttpServer::Page (Parts::*page)()) ABSL_LOCKS_EXCLUDED(pages_mutex);
  HttpServer::Page Metrics();
  HttpServer::Page Health();
  void StopLocal();
  void EndPages() ABSL_LOCKS_EXCLUDED(pages_mutex);

  const Options options;
  const MemoryBudget budget;
  BrokerTime time{BrokerTime::SystemSources(), BootId()};
  RateLimitedLog incidents{[this](const RateLimitedLog::Line& line) { LogIncident(line); }};
  BrokerFacts facts;
  std::optional<RuntimeDirLock> runtime_dir_lock;
  std::unique_ptr<RocksStore> disk;
  std::unique_ptr<TieredStore> store;
  Parking parking;
  std::optional<Inbox> inbox;
  OutputRouter router;
  std::optional<Engine> engine;
  std::optional<EngineThread> thread;
  std::optional<LocalSessions> local;
  std::unique_ptr<LocalListener> local_listener;
  std::unique_ptr<GrpcServer> grpc;
  std::optional<BrokerInspector> inspector;
  Mutex pages_mutex;
  bool pages_ended ABSL_GUARDED_BY(pages_mutex) = false;
  int pages_in_making ABSL_GUARDED_BY(pages_mutex) = 0;  // they ask the engine's thread
  CondVar page_made;
  std::unique_ptr<HttpServer> http;
  bool running = false;
  absl::Status end_reason = StoppingError();  // the engine's thread's, until it has ended
  std::atomic<bool> store_failed{false};
};

Broker::Broker(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Broker::~Broker() { Stop().IgnoreError(); }

GrpcServer* Broker::grpc() const { return parts_->grpc.get(); }
const std::vector<std::string>& Broker::listening() const { return parts_->facts.listening; }

void Broker::Parts::LogIncident(const RateLimitedLog::Line& line) {
  options.log->Warning(line.event, {{"peer", std::string(line.peer)},
                                    {"done", std::string(line.done)},
                                    {"times", std::to_string(line.times)}});
}

void Broker::Parts::OnStoreFailure(const absl::Status& why) {
  store_failed = true;
  options.log->Error("store failed", {{"error", std::string(why.message())}});
  end_reason = StoreFailedError(why);
  grpc->EndAll(end_reason);
  if (local) local->EndAll(end_reason);
  if (options.on_store_failure) options.on_store_failure(why);
}

EngineThread::Options Broker::Parts::ThreadOptions() {
  EngineThread::Options thread_options = ThatTellLog(options.log, &time, options.config.data_dir);
  thread_options.on_store_failure = [this](const absl::Status& why) { OnStoreFailure(why); };
  return thread_options;
}

absl::Status Broker::Parts::OpenStore() {
  const Config& config = options.config;
  RocksStore::Options store_options;
  store_options.path = config.data_dir;
  store_options.memory_budget_bytes = budget.store;
  store_options.wal_bytes_max = config.wal_bytes_max;
  store_options.descriptors_reserved = DescriptorsForStore(DescriptorLimit());
  if (config.disk_free_min > 0) store_options.disk_low_bytes = config.disk_free_min;
  auto opened = RocksStore::Open(store_options);
  if (absl::IsFailedPrecondition(opened.status())) {
    // Not ours, newer, read-only: like damage, nothing that starting again would mend.
    return absl::DataLossError(opened.status().message());
  }
  if (!opened.ok()) return opened.status();
  disk = *std::move(opened);
  if (absl::Status status = OpenMemoryQueues(); !status.ok()) return status;

  inbox.emplace(Inbox::Options{.bytes_max = budget.inbox}, &parking);
  facts.version = options.version;
  facts.epoch = disk->epoch();
  facts.limits = {.body_bytes_max = config.body_bytes_max, .header_bytes_max = config.header_bytes_max};
  facts.sessions_max = facts.calls_max = config.sessions_max;
  facts.ring_sessions_max = SessionsOverRings(config.sessions_max, DescriptorLimit());
  facts.outbox_bytes.bytes_max = budget.outboxes;
  facts.answer_bytes.bytes_max = budget.answers;
  facts.grpc_bytes_max = budget.grpc;
  facts.ring_bytes_max = budget.rings;
  facts.data_dir = config.data_dir;
  facts.memory_budget = config.memory_budget;
  facts.time = &time;
  facts.store = store.get();
  facts.inbox = &*inbox;
  facts.incidents = &incidents;

  EngineOptions engine_options;
  engine_options.epoch = disk->epoch();
  engine_options.window_bytes = budget.windows;
  engine_options.leased_bytes_max = budget.leased;
  engine_options.uncommitted_bytes_max = budget.uncommitted;
  engine_options.unsettled_bytes_max = budget.unsettled;
  engine_options.producers_bytes_max = budget.producers;
  engine_options.make_memory_room = [this](size_t bytes, size_t message_bytes, MemoryRoom& room) {
    absl::Status made = store->MakeMemoryRoom(bytes, message_bytes);
    room = store->memory_room();
    if (made.ok()) room.largest = std::max(room.largest, message_bytes);
    return made;
  };
  engine_options.memory_use = [this] { return store->memory_use(); };
  engine_options.on_memory_queue = [this](std::string_view name) { facts.memory_queues.Add(name); };
  engine_options.on_memory_queue_gone = [this](std::string_view name) { facts.memory_queues.Remove(name); };
  engine_options.clock_row = [this] { return EncodeClock(time.Record()); };
  engine.emplace(engine_options, &router);
  const absl::Status loaded = engine->Load([this](RowKind kind, const Engine::Visit& visit) {
    const KeyRange range = AllOf(kind);
    return store->ScanNow(range.begin, range.end, visit);
  });
  if (!loaded.ok()) return loaded;
  if (absl::Status begun = BeginTime(); !begun.ok()) return begun;
  engine->Start(time.Now());
  thread.emplace(ThreadOptions(), &*engine, &router, store.get(), &time, &*inbox, &parking);
  return absl::OkStatus();
}

absl::Status Broker::Parts::BeginTime() {
  std::optional<ClockRecord> last;
  const std::string key(kClockKey);
  const absl::Status scanned = disk->ScanNow(key, key + '\0', [&](std::string_view, std::string_view value) {
    last = DecodeClock(value);
    return absl::OkStatus();
  });
  if (scanned.ok() && time.Begin(last)) TellLogOfDoubt(options.log, time);
  return scanned;
}

// Those that a killed broker, or the one before an upgrade, left in shared memory.
absl::Status Broker::Parts::OpenMemoryQueues() {
  std::map<QueueId, std::string> names;
  const KeyRange range = AllOf(RowKind::kQueue);
  const absl::Status scanned =
      disk->ScanNow(range.begin, range.end, [&](std::string_view key, std::string_view value) {
        const auto record = DecodeQueue(value);
        // Before anything is removed: its messages may be there, and it is not known which they are.
        if (!record.has_value()) return UnreadableQueue(key.substr(1));
        if (IsMemoryQueue(record->number)) names[record->number] = key.substr(1);
        return absl::OkStatus();
      });
  if (!scanned.ok()) return scanned;
  std::set<QueueId> queues;
  for (const auto& [number, name] : names) queues.insert(number);
  const uint64_t bytes_max = options.config.memory_queue_bytes;
  auto opened =
      TieredStore::Open(disk.get(),
                        {.path = fmt::format("{}/baton-{}", options.config.memory_queue_dir, disk->uuid()),
                         .identity = disk->uuid(),
                         .boot_id = BootId(),
                         .bytes_max = bytes_max,
                         .slot_bytes = MemoryRegion::SlotBytesFor(bytes_max),
                         .index_bytes_max = budget.windows},
                        queues);
  if (!opened.ok()) return opened.status();
  store = *std::move(opened);
  store->TellSetAside([log = options.log](const std::string& set_aside) {
    log->Warning("a file that lay where memory queues are to be was set aside", {{"set_aside", set_aside}});
  });
  const MemoryStore::Adopted& adopted = store->adopted();
  if (!adopted.set_aside.empty() && !adopted.adopted) {
    options.log->Warning("memory queues begin empty: what was in shared memory cannot be used",
                         {{"set_aside", adopted.set_aside}});
  }
  for (const QueueId queue : adopted.queues_lost) {
    options.log->Warning("a memory queue begins empty: what was in shared memory of it is damaged",
                         {{"queue", names[queue]}, {"set_aside", adopted.set_aside}});
  }
  if (!queues.empty() && !adopted.adopted && adopted.set_aside.empty()) {
    options.log->Warning("memory queues begin empty: nothing of them is in shared memory",
                         {{"memory_queue_dir", options.config.memory_queue_dir}});
  }
  if (adopted.adopted) {
    options.log->Info("memory queues are taken over from shared memory",
                      {{"rows", std::to_string(adopted.rows)}});
  }
  if (adopted.messages_dropped > 0) {
    options.log->Warning("messages in shared memory are of queues that do not exist, and were removed",
                         {{"messages", std::to_string(adopted.messages_dropped)}});
  }
  return absl::OkStatus();
}

absl::Status Broker::Parts::StartTransports() {
  const Config& config = options.config;
  auto started = GrpcServer::Start(
      {.socket_path = config.runtime_dir.empty() ? "" : GrpcSocketPath(config.runtime_dir),
       .tcp_address = config.listen,
       .tls = {.cert = config.tls_cert, .key = config.tls_key, .ca = config.tls_ca},
       .connections_max = ConnectionsPerDoor(DescriptorLimit(), config.listen.empty() ? 1 : 2),
       .descriptors_max = DescriptorsForClients(DescriptorLimit())},
      &facts);
  if (!started.ok()) return started.status();
  grpc = *std::move(started);
  if (absl::Status status = StartLocal(); !status.ok()) return status;
  if (absl::Status status = StartHttp(); !status.ok()) return status;
  for (Bell* bell : grpc->bells()) thread->AddBell(bell);
  running = true;
  thread->Start();
  grpc->Serve();
  if (local_listener != nullptr) local_listener->Serve();
  return absl::OkStatus();
}

absl::Status Broker::Parts::StartLocal() {
  const Config& config = options.config;
  if (config.runtime_dir.empty()) return absl::OkStatus();
  local.emplace(&facts, &parking, budget.large_frames);
  auto listener = LocalListener::Start({.socket_path = LocalSocketPath(config.runtime_dir),
                                        .descriptors_max = DescriptorsForRings(DescriptorLimit())},
                                       &facts, &*local);
  if (!listener.ok()) return listener.status();
  local_listener = *std::move(listener);
  thread->SetCarrier(&*local);
  thread->AddBell(&*local);
  return absl::OkStatus();
}

absl::Status Broker::Parts::StartHttp() {
  if (options.config.http.empty()) return absl::OkStatus();
  inspector.emplace(&facts, &*thread);
  const TcpAddress address = *ParseTcpAddress(options.config.http);
  auto started = HttpServer::Start(address, {{"/metrics", [this] { return Make(&Parts::Metrics); }},
                                             {"/healthz", [this] { return Make(&Parts::Health); }}});
  if (!started.ok()) return started.status();
  http = *std::move(started);
  TcpAddress bound = address;
  bound.port = static_cast<uint16_t>(http->port());
  facts.listening.push_back("http://" + bound.ToText());
  return absl::OkStatus();
}

HttpServer::Page Broker::Parts::Make(HttpServer::Page (Parts::*page)()) {
  {
    const MutexLock lock(pages_mutex);
    if (pages_ended) return {.status = 503, .text = "the broker is stopping\n"};
    ++pages_in_making;
  }
  HttpServer::Page made = (this->*page)();
  const MutexLock lock(pages_mutex);
  if (--pages_in_making == 0) page_made.NotifyAll();
  return made;
}

// Waits for those that are being made.
void Broker::Parts::EndPages() {
  const MutexLock lock(pages_mutex);
  pages_ended = true;
  while (pages_in_making > 0) page_made.Wait(pages_mutex);
}

HttpServer::Page Broker::Parts::Metrics() {
  const auto report = inspector->Report();
  if (!report.ok())
    return {.status = 503, .text = fmt::format("{}\n", std::string(report.status().message()))};
  return {.content_type = "text/plain; version=0.0.4; charset=utf-8",
          .text = FormatMetrics(*report, facts.memory_budget, ResidentBytes())};
}

// Alive, whether or not publishers are served: a restart would not give the disk more room.
HttpServer::Page Broker::Parts::Health() {
  if (store_failed) return {.status = 503, .text = "the store has failed\n"};
  const auto status = inspector->Status();
  if (!status.ok())
    return {.status = 503, .text = fmt::format("{}\n", std::string(status.status().message()))};
  return {.text = status->disk_low ? "ok; the disk is nearly full: publishers are refused\n" : "ok\n"};
}

absl::StatusOr<std::unique_ptr<Broker>> Broker::Start(Options options) {
  auto parts = std::make_unique<Parts>(std::move(options));
  const std::string& runtime_dir = parts->options.config.runtime_dir;
  if (!runtime_dir.empty()) {
    auto lock = RuntimeDirLock::Acquire(runtime_dir);
    if (!lock.ok()) return lock.status();
    parts->runtime_dir_lock.emplace(*std::move(lock));
  }
  if (absl::Status status = parts->OpenStore(); !status.ok()) return status;
  if (absl::Status status = parts->StartTransports(); !status.ok()) return status;
  return std::unique_ptr<Broker>(new Broker(std::move(parts)));
}

// No new clients, and no further frames; what was read is answered. BLOCKS.
void Broker::Parts::StopLocal() {
  if (local_listener == nullptr) return;
  local_listener->Stop();
  absl::Notification stopped;
  inbox->Ask([&] {
    local->StopReading();
    stopped.Notify();
  });
  stopped.WaitForNotification();
}

absl::Status Broker::Stop() {
  if (!std::exchange(parts_->running, false)) {
    return parts_->disk == nullptr ? absl::OkStatus() : parts_->disk->failure();
  }
  parts_->grpc->StopAccepting();
  parts_->StopLocal();
  parts_->EndPages();
  parts_->thread->Stop();
  // After a failure of the store too: that ended who was there then, and nobody answers who came afterwards.
  parts_->grpc->EndAll(parts_->end_reason);
  if (parts_->local) parts_->local->EndAll(parts_->end_reason);
  parts_->grpc->Shutdown(kGoAwayGrace);
  if (parts_->local) parts_->local->Shutdown(kGoAwayGrace);
  parts_->store->Stop();
  parts_->http.reset();  // the last, because the library takes up to two seconds for it
  const absl::Status failure = parts_->disk->failure();
  if (!failure.ok() && !parts_->store_failed) {  // else it was said already
    parts_->options.log->Error("store failed", {{"error", std::string(failure.message())}});
  }
  return failure;
}

}  // namespace baton
