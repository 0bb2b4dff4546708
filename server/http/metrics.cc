#include "server/http/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

namespace baton {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

double Seconds(uint64_t micros) { return static_cast<double>(micros) / 1e6; }

class Families {
 public:
  void Gauge(std::string name, std::string help, double value) {
    ClientMetric metric;
    metric.gauge.value = value;
    Add(std::move(name), std::move(help), MetricType::Gauge).metric.push_back(std::move(metric));
  }
  void Counter(std::string name, std::string help, uint64_t value) {
    ClientMetric metric;
    metric.counter.value = static_cast<double>(value);
    Add(std::move(name), std::move(help), MetricType::Counter).metric.push_back(std::move(metric));
  }
  void Histogram(std::string name, std::string help, const LatencyHistogram& histogram) {
    ClientMetric metric;
    metric.histogram.sample_count = histogram.count();
    metric.histogram.sample_sum = Seconds(histogram.sum_micros());
    uint64_t cumulative = 0;
    for (int bucket = 0; bucket + 1 < LatencyHistogram::kBuckets; ++bucket) {
      cumulative += histogram.count(bucket);
      metric.histogram.bucket.push_back({.cumulative_count = cumulative,
                                         .upper_bound = Seconds(LatencyHistogram::UpperBoundMicros(bucket))});
    }
    Add(std::move(name), std::move(help), MetricType::Histogram).metric.push_back(std::move(metric));
  }
  MetricFamily& Add(std::string name, std::string help, MetricType type) {
    families_.push_back({.name = std::move(name), .help = std::move(help), .type = type, .metric = {}});
    return families_.back();
  }
  const std::vector<MetricFamily>& get() const { return families_; }

 private:
  std::vector<MetricFamily> families_;
};

void AddQueueMessages(const QueueList& list, Families& families) {
  MetricFamily& family =
      families.Add("baton_queue_messages", "Messages of a queue by state", MetricType::Gauge);
  for (const QueueInfo& queue : list.queues) {
    const std::pair<const char*, uint64_t> states[] = {{"ready", queue.ready},
                                                       {"leased", queue.leased},
                                                       {"delayed", queue.delayed},
                                                       {"parked", queue.parked}};
    for (const auto& [state, count] : states) {
      ClientMetric metric;
      metric.label = {{"queue", queue.name}, {"state", state}};
      metric.gauge.value = static_cast<double>(count);
      family.metric.push_back(std::move(metric));
    }
  }
}

template <class Figure>
void AddPerQueue(const QueueList& list, const char* name, const char* help, MetricType type, Figure&& figure,
                 Families& families) {
  MetricFamily& family = families.Add(name, help, type);
  for (const QueueInfo& queue : list.queues) {
    ClientMetric metric;
    metric.label = {{"queue", queue.name}};
    (type == MetricType::Gauge ? metric.gauge.value : metric.counter.value) =
        static_cast<double>(figure(queue));
    family.metric.push_back(std::move(metric));
  }
}

// found + published + arrived = acked + expired + dropped + dead_lettered + purged + deleted + lost
// + what is there.
void AddQueueCounters(const QueueList& list, Families& families) {
  struct Counter {
    const char* name;
    const char* help;
    uint64_t QueueCounters::*value;
  };
  static constexpr Counter kCounters[] = {
      {"baton_queue_found_total", "Messages that were in the store at the broker's start",
       &QueueCounters::found},
      {"baton_queue_published_total", "Messages published and stored; no duplicates, nothing refused",
       &QueueCounters::published},
      {"baton_queue_arrived_total", "Messages that other queues dead-lettered to this one",
       &QueueCounters::arrived},
      {"baton_queue_acked_total", "Messages that left by an ack", &QueueCounters::acked},
      {"baton_queue_expired_total", "Messages dropped because their TTL was over", &QueueCounters::expired},
      {"baton_queue_dropped_total", "Messages dropped by a limit, or because their attempts were used up",
       &QueueCounters::dropped},
      {"baton_queue_dead_lettered_total",
       "Messages moved to the dead-letter queue for whatever reason, expiry included",
       &QueueCounters::dead_lettered},
      {"baton_queue_purged_total", "Messages that left by a purge", &QueueCounters::purged},
      {"baton_queue_deleted_total", "Messages deleted one by one", &QueueCounters::deleted},
      {"baton_queue_lost_total", "Messages that could not be read and were left out", &QueueCounters::lost},
      {"baton_queue_delivered_total", "Deliveries: a message counts at each", &QueueCounters::delivered},
      {"baton_queue_returned_total",
       "Deliveries that were nacked, whose lease ended, or whose consumer was gone",
       &QueueCounters::returned},
      {"baton_queue_parked_total",
       "Messages set aside in their queue; they are still there, or deleted or purged",
       &QueueCounters::parked}};
  for (const Counter& counter : kCounters) {
    AddPerQueue(
        list, counter.name, counter.help, MetricType::Counter,
        [&counter](const QueueInfo& queue) { return queue.counters.*counter.value; }, families);
  }
}

void AddQueues(const QueueList& list, Families& families) {
  constexpr MetricType kGauge = MetricType::Gauge;
  AddQueueMessages(list, families);
  AddPerQueue(
      list, "baton_queue_bytes", "Bodies and headers stored", kGauge,
      [](const QueueInfo& queue) { return queue.bytes; }, families);
  AddPerQueue(
      list, "baton_queue_resident_messages", "Messages in the broker's own memory", kGauge,
      [](const QueueInfo& queue) { return queue.resident; }, families);
  AddPerQueue(
      list, "baton_queue_oldest_age_seconds", "Age of the oldest message, within a few percent", kGauge,
      [](const QueueInfo& queue) { return static_cast<double>(queue.oldest_age.count()) / 1e6; }, families);
  AddPerQueue(
      list, "baton_queue_subscriptions", "Consumers", kGauge,
      [](const QueueInfo& queue) { return queue.subscriptions; }, families);
  AddPerQueue(
      list, "baton_queue_damaged", "1 while delivery stands still at what cannot be read", kGauge,
      [](const QueueInfo& queue) { return queue.damage.empty() ? 0 : 1; }, families);
  AddPerQueue(
      list, "baton_queue_over_limits",
      "1 while a queue holds more than its limits: dead letters are not refused", kGauge,
      [](const QueueInfo& queue) { return queue.is_over_limits ? 1 : 0; }, families);
  AddQueueCounters(list, families);
}

void AddBroker(const BrokerReport& report, Families& families) {
  const EngineStatus& engine = report.engine;
  families.Gauge("baton_epoch", "How often this data directory was started", engine.epoch.value());
  families.Gauge("baton_queues", "Queues", static_cast<double>(engine.queues));
  families.Gauge(
      "baton_queues_unlisted", "Queues without series of their own",
      static_cast<double>(engine.queues - std::min<uint64_t>(engine.queues, report.queues.queues.size())));
  families.Gauge("baton_messages", "Messages of all queues", static_cast<double>(engine.messages));
  families.Gauge("baton_bytes", "Bodies and headers of all queues", static_cast<double>(engine.bytes));
  families.Gauge("baton_sessions", "Sessions", static_cast<double>(engine.sessions));
  families.Gauge("baton_producers", "Producers remembered", static_cast<double>(engine.producers));
  families.Counter("baton_producers_pushed_out_total", "Producers forgotten for new ones",
                   engine.producers_pushed_out);
  families.Gauge("baton_disk_low", "1 while publishers are refused for want of disk",
                 engine.disk_low ? 1 : 0);
  families.Histogram("baton_publish_to_deliver_seconds", "From the publish to the first delivery",
                     engine.publish_to_deliver);
}

void AddLoop(const BrokerReport& report, Families& families) {
  families.Counter("baton_loop_turns_total", "Turns of the engine's thread", report.loop.turns);
  families.Counter("baton_loop_commands_total", "Commands handled", report.loop.commands);
  families.Histogram("baton_loop_turn_seconds", "Length of a turn", report.loop.turn_time);
  families.Histogram("baton_commit_seconds", "From the hand-over of a commit until its promise holds",
                     report.loop.commit_time);
  families.Counter("baton_wall_clock_jumps_total", "Times the wall clock was set",
                   report.loop.wall_clock_jumps);
  families.Counter("baton_clock_steps_total", "Times broker time followed a wall clock that was set",
                   report.loop.clock_steps);
  families.Gauge("baton_wall_clock_ahead_seconds", "How far the wall clock is ahead of broker time",
                 static_cast<double>(report.loop.wall_clock_ahead.count()) / 1e6);
  families.Gauge("baton_inbox_commands", "Commands waiting for the engine",
                 static_cast<double>(report.inbox.commands));
}

void AddStore(const Store::Stats& store, Families& families) {
  families.Counter("baton_store_commits_total", "Commits", store.commits);
  families.Counter("baton_store_writes_total", "Writes: commits are joined", store.writes);
  families.Counter("baton_store_syncs_total", "Syncs", store.syncs);
  families.Counter("baton_store_written_bytes_total", "Bytes committed", store.written_bytes);
  families.Counter("baton_store_reads_total", "Reads", store.reads);
  families.Counter("baton_store_rows_read_total", "Rows read", store.rows_read);
  families.Gauge("baton_store_disk_bytes", "Disk that the data directory takes: ballast, log, tables",
                 static_cast<double>(store.disk_bytes));
  families.Gauge("baton_store_disk_free_bytes", "Disk that is free",
                 static_cast<double>(store.disk_free_bytes));
}

void AddMemory(const BrokerReport& report, uint64_t budget, uint64_t resident, Families& families) {
  families.Gauge("baton_memory_budget_bytes", "Option memory_budget", static_cast<double>(budget));
  families.Gauge("baton_memory_resident_bytes", "Resident memory of the process",
                 static_cast<double>(resident));
  MetricFamily& family =
      families.Add("baton_memory_used_bytes", "Memory by part, as each part counts it", MetricType::Gauge);
  const std::pair<const char*, uint64_t> parts[] = {
      {"windows", report.engine.resident_bytes - report.engine.leased_bytes},
      {"leased", report.engine.leased_bytes},
      {"uncommitted", report.engine.uncommitted_bytes},
      {"store", report.store.memory_bytes},
      {"memory_queue_index", report.engine.memory_queues.index_bytes},
      {"inbox", report.inbox.bytes},
      {"outboxes", report.outbox_bytes},
      {"unsettled", report.engine.unsettled_bytes},
      {"producers", report.engine.producer_bytes},
      {"rings", report.ring_bytes}};
  for (const auto& [part, bytes] : parts) {
    ClientMetric metric;
    metric.label = {{"part", part}};
    metric.gauge.value = static_cast<double>(bytes);
    family.metric.push_back(std::move(metric));
  }
}

// Used and limit have the same labels: their quotient is how near publishers are to being refused.
void AddMemoryQueues(const MemoryUse& use, Families& families) {
  const auto add = [&families](std::string name, std::string help, size_t shared, size_t index) {
    MetricFamily& family = families.Add(std::move(name), std::move(help), MetricType::Gauge);
    for (const auto& [bound, bytes] : {std::pair("shared_memory", shared), std::pair("index", index)}) {
      ClientMetric metric;
      metric.label = {{"bound", bound}};
      metric.gauge.value = static_cast<double>(bytes);
      family.metric.push_back(std::move(metric));
    }
  };
  add("baton_memory_queue_used_bytes", "Memory of all memory queues: at a limit publishers are refused",
      use.shared_bytes, use.index_bytes);
  add("baton_memory_queue_limit_bytes", "What they may take, and there is", use.shared_bytes_max,
      use.index_bytes_max);
  families.Gauge("baton_memory_queue_full",
                 "1 while publishers to memory queues are refused for want of memory, or of their file",
                 use.full() ? 1 : 0);
  families.Gauge("baton_memory_queue_unavailable",
                 "1 while they are refused because the file of memory queues cannot be had",
                 use.unavailable ? 1 : 0);
}

}  // namespace

std::string FormatMetrics(const BrokerReport& report, uint64_t memory_budget_bytes, uint64_t resident_bytes) {
  Families families;
  AddBroker(report, families);
  AddLoop(report, families);
  AddStore(report.store, families);
  AddMemory(report, memory_budget_bytes, resident_bytes, families);
  AddMemoryQueues(report.engine.memory_queues, families);
  AddQueues(report.queues, families);
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families.get());
  return text.str();
}

uint64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t pages = 0;
  uint64_t resident = 0;
  if (!(file >> pages >> resident)) return 0;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace baton
