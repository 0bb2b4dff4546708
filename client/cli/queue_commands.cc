#include "client/cli/queue_commands.h"

#include <fmt/format.h>

#include <limits>
#include <memory>

#include "base/byte_size.h"
#include "base/duration.h"
#include "base/error.h"
#include "base/limits.h"
#include "client/cli/connect.h"
#include "client/cli/exit_code.h"
#include "client/cli/json.h"
#include "client/cli/option_types.h"
#include "client/cli/output.h"
#include "client/cli/report.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace baton::cli {
namespace {

constexpr uint64_t kAnyNumber = std::numeric_limits<int64_t>::max();
constexpr std::chrono::milliseconds kNoTime{0};

struct QueueOptions {
  std::string name;
  std::string prefix;
  QueueConfig config;
  bool force = false;
  bool skip_damaged = false;
  bool if_not_exists = false;
};

const Words<Disposal> kDisposals = {
    {"drop", Disposal::kDrop}, {"dead-letter", Disposal::kDeadLetter}, {"park", Disposal::kPark}};

enum class Defaults { kApply, kUnchanged };

// What `create` and `set` have in common. Only `create` has defaults; `set` leaves alone what is not named.
void AddConfigOptions(CLI::App& command, QueueConfig& config, Defaults defaults) {
  const auto text = [defaults](const std::string& what, const char* value) {
    return defaults == Defaults::kApply ? fmt::format("{} (default {})", what, value) : what;
  };
  AddWord(command, "--durability", config.durability,
          Words<Durability>{{"durable", Durability::kDurable},
                            {"relaxed", Durability::kRelaxed},
                            {"memory", Durability::kMemory}},
          text("What a confirm promises", "durable"));
  AddWord(command, "--delivery", config.delivery,
          Words<DeliveryMode>{{"eager", DeliveryMode::kEager}, {"committed", DeliveryMode::kCommitted}},
          text("Deliver at once, or not before the message is as durable as the queue", "eager"));
  AddDuration(command, "--lease", config.lease,
              text("How long a consumer holds a message; 100ms to 12h", "30s"), {kLeaseMin, kLeaseMax});
  AddNumber(command, "--attempts-max", config.attempts_max, {0, kAttemptsCeiling},
            text("Deliveries before a message is given up; 0 = unlimited", "16"));
  AddDuration(command, "--backoff", config.backoff,
              text("Delay after a failed attempt, doubled after each", "0"), {kNoTime, kDelayMax});
  AddDuration(command, "--backoff-max", config.backoff_max, text("Longest such delay", "1h"),
              {kNoTime, kDelayMax});
  AddWord(command, "--exhausted", config.exhausted, kDisposals,
          text("What becomes of a message whose attempts are used up", "dead-letter"));
  AddWord(command, "--expired", config.expired, kDisposals,
          text("What becomes of a message whose time is over", "drop"));
  command
      .add_option_function<std::string>(
          "--dead-letter-queue", [&config](const std::string& name) { config.dead_letter_queue = name; },
          text("Where given-up messages go; \"\" = none: they are parked", "none"))
      ->type_name("QUEUE");
  AddDuration(command, "--ttl", config.ttl, text("Messages live no longer than this; 0 = for ever", "0"),
              {kNoTime, kTtlMax});
  AddNumber(command, "--messages-max", config.messages_max, {0, kAnyNumber},
            text("Most messages; 0 = no limit", "0"));
  AddByteSize(command, "--bytes-max", config.bytes_max,
              text("Most bytes of bodies and headers; 0 = no limit", "0"));
  AddNumber(command, "--in-flight-max", config.in_flight_max, {0, kAnyNumber},
            text("Most messages leased at a time; 0 = no limit", "0"));
  AddWord(command, "--overflow", config.overflow,
          Words<OverflowPolicy>{{"reject", OverflowPolicy::kReject},
                                {"drop-oldest", OverflowPolicy::kDropOldest},
                                {"dead-letter-oldest", OverflowPolicy::kDeadLetterOldest}},
          text("What a publish over a limit meets", "reject"));
}

bool HasAny(const QueueConfig& config) {
  return config.durability || config.delivery || config.lease || config.attempts_max || config.backoff ||
         config.backoff_max || config.exhausted || config.expired || config.dead_letter_queue || config.ttl ||
         config.messages_max || config.bytes_max || config.in_flight_max || config.overflow;
}

void AppendConfig(const QueueConfig& config, std::vector<std::pair<std::string, std::string>>& out) {
  const auto word = [&](const char* name, const auto& value) {
    if (value.has_value()) out.emplace_back(name, std::string(WordOf(*value)));
  };
  const auto duration = [&](const char* name, const auto& value) {
    if (value.has_value()) out.emplace_back(name, FormatDuration(*value));
  };
  const auto limit = [&](const char* name, const auto& value) {
    if (value.has_value()) out.emplace_back(name, LimitText(*value));
  };
  word("durability", config.durability);
  word("delivery", config.delivery);
  duration("lease", config.lease);
  limit("attempts-max", config.attempts_max);
  duration("backoff", config.backoff);
  duration("backoff-max", config.backoff_max);
  word("exhausted", config.exhausted);
  word("expired", config.expired);
  const std::string dead_letter_queue = config.dead_letter_queue.value_or("");
  out.emplace_back("dead-letter-queue", dead_letter_queue.empty() ? "none" : dead_letter_queue);
  if (config.ttl.has_value())
    out.emplace_back("ttl", config.ttl->count() == 0 ? "none" : FormatDuration(*config.ttl));
  limit("messages-max", config.messages_max);
  if (config.bytes_max.has_value()) {
    out.emplace_back("bytes-max", *config.bytes_max == 0 ? "none" : FormatByteSize(*config.bytes_max));
  }
  limit("in-flight-max", config.in_flight_max);
  word("overflow", config.overflow);
}

// Of a memory queue everything lies in shared memory; what the broker's own memory holds of it says little.
std::pair<std::string, std::string> MemoryText(const QueueInfo& queue) {
  const QueueCounts& counts = queue.counts;
  if (queue.config.durability != Durability::kMemory)
    return {"in memory", CountText(counts.resident) + " messages"};
  const uint64_t messages = counts.ready + counts.leased + counts.delayed + counts.parked;
  return {"in shared memory",
          fmt::format("{} messages ({})", CountText(messages), FormatByteSizeRounded(counts.bytes))};
}

// What came equals what left and what is there.
std::string CameText(const QueueCounts& counts) {
  return fmt::format("{} published, {} dead letters of other queues; {} were there",
                     CountText(counts.published), CountText(counts.arrived), CountText(counts.found));
}

std::string LeftText(const QueueCounts& counts) {
  std::string text =
      fmt::format("{} acked, {} dead-lettered, {} expired, {} dropped, {} purged, {} deleted",
                  CountText(counts.acked), CountText(counts.dead_lettered), CountText(counts.expired),
                  CountText(counts.dropped), CountText(counts.purged), CountText(counts.deleted));
  if (counts.lost > 0) text += fmt::format(", {} lost, which could not be read", CountText(counts.lost));
  return text;
}

std::string StateText(const QueueInfo& queue) {
  if (!queue.damage.empty()) return "damaged";
  std::string text = queue.paused ? "paused" : "active";
  if (queue.is_over_limits) text += ", over its limits";
  return text;
}

std::string Describe(const QueueInfo& queue) {
  const QueueCounts& counts = queue.counts;
  std::vector<std::pair<std::string, std::string>> properties = {
      {"name", queue.name},
      {"state", StateText(queue)},
      {"created", TimeText(queue.created)},
      {"ready", CountText(counts.ready)},
      {"leased", CountText(counts.leased)},
      {"delayed", CountText(counts.delayed)},
      {"parked", CountText(counts.parked)},
      {"bytes", FormatByteSizeRounded(counts.bytes)},
      {"oldest", AgeText(counts.oldest_age)},
      MemoryText(queue),
      {"consumers", CountText(counts.subscriptions)},
      {"came since the start", CameText(counts)},
      {"left since the start", LeftText(counts)},
      {"happened since the start",
       fmt::format("{} deliveries, {} returns, {} parked", CountText(counts.delivered),
                   CountText(counts.returned), CountText(counts.parked_since))}};
  if (!queue.damage.empty()) properties.emplace_back("damage", queue.damage);
  AppendConfig(queue.config, properties);
  return ToText(properties);
}

// Prints what `text` makes of the value, or its JSON; the exit code.
int PrintResult(const GlobalOptions& global, const Json& json, const std::string& text) {
  const absl::Status printed = Print(global.json ? Line(json) : text);
  return printed.ok() ? kOk : Report(printed);
}

// Runs `call` with a connected client; reports what goes wrong.
template <class Call>
int WithClient(const GlobalOptions& global, const std::string& queue, const Call& call) {
  auto client = Connect(global);
  if (!client.ok()) return Report(client.status());
  auto result = call(*client);
  if (!result.ok()) return Report(result.status(), queue);
  return PrintResult(global, result->first, result->second);
}

using Result = absl::StatusOr<std::pair<Json, std::string>>;

Result QueueResult(const absl::StatusOr<QueueInfo>& queue, std::string_view what) {
  if (!queue.ok()) return queue.status();
  return std::make_pair(ToJson(*queue), fmt::format("queue {} {}\n", queue->name, what));
}

int Create(const GlobalOptions& global, const QueueOptions& options) {
  return WithClient(global, options.name, [&](Client& client) -> Result {
    auto created = client.CreateQueue(options.name, options.config);
    if (options.if_not_exists && ReasonOf(created.status()) == reason::kQueueExists) {
      return QueueResult(client.GetQueue(options.name), "exists already");
    }
    return QueueResult(created, "created");
  });
}

int List(const GlobalOptions& global, const QueueOptions& options) {
  return WithClient(global, "", [&](Client& client) -> Result {
    const auto queues = client.ListQueues(options.prefix);
    if (!queues.ok()) return queues.status();
    Json json = Json::array();
    Table table({{"QUEUE"},
                 {"READY", Align::kRight},
                 {"LEASED", Align::kRight},
                 {"DELAYED", Align::kRight},
                 {"PARKED", Align::kRight},
                 {"BYTES", Align::kRight},
                 {"OLDEST", Align::kRight},
                 {"CONSUMERS", Align::kRight},
                 {"STATE"}});
    for (const QueueInfo& queue : *queues) {
      const QueueCounts& counts = queue.counts;
      json.push_back(ToJson(queue));
      table.AddRow({queue.name, CountText(counts.ready), CountText(counts.leased), CountText(counts.delayed),
                    CountText(counts.parked), FormatByteSizeRounded(counts.bytes), AgeText(counts.oldest_age),
                    CountText(counts.subscriptions), StateText(queue)});
    }
    if (!table.empty()) return std::make_pair(json, table.ToText());
    if (!global.json)
      Say(options.prefix.empty() ? "there are no queues" : "no queue's name starts like that");
    return std::make_pair(json, std::string());
  });
}

int Show(const GlobalOptions& global, const QueueOptions& options) {
  return WithClient(global, options.name, [&](Client& client) -> Result {
    const auto queue = client.GetQueue(options.name);
    if (!queue.ok()) return queue.status();
    return std::make_pair(ToJson(*queue), Describe(*queue));
  });
}

int Set(const GlobalOptions& global, const QueueOptions& options) {
  if (!HasAny(options.config)) {
    Say("nothing to change: name what is to be different (`baton queue set --help`)");
    return kUsage;
  }
  return WithClient(global, options.name, [&](Client& client) {
    return QueueResult(client.UpdateQueue(options.name, options.config), "changed");
  });
}

Result CountResult(const absl::StatusOr<uint64_t>& messages, std::string_view text) {
  if (!messages.ok()) return messages.status();
  return std::make_pair(
      Json{{"messages", *messages}},
      fmt::format("{} ({} message{})\n", text, CountText(*messages), *messages == 1 ? "" : "s"));
}

int Delete(const GlobalOptions& global, const QueueOptions& options) {
  const auto mode = options.force ? Client::DeleteMode::kWithMessages : Client::DeleteMode::kOnlyIfEmpty;
  return WithClient(global, options.name, [&](Client& client) {
    return CountResult(client.DeleteQueue(options.name, mode), fmt::format("queue {} deleted", options.name));
  });
}

int Purge(const GlobalOptions& global, const QueueOptions& options) {
  return WithClient(global, options.name, [&](Client& client) {
    return CountResult(client.PurgeQueue(options.name), fmt::format("queue {} purged", options.name));
  });
}

int Pause(const GlobalOptions& global, const QueueOptions& options) {
  return WithClient(global, options.name,
                    [&](Client& client) { return QueueResult(client.PauseQueue(options.name), "paused"); });
}

int Resume(const GlobalOptions& global, const QueueOptions& options) {
  return WithClient(global, options.name,
                    [&](Client& client) { return QueueResult(client.ResumeQueue(options.name), "resumed"); });
}

int Check(const GlobalOptions& global, const QueueOptions& options) {
  return WithClient(global, options.name, [&](Client& client) -> Result {
    const auto queue = options.skip_damaged ? client.SkipDamage(options.name) : client.GetQueue(options.name);
    if (!queue.ok()) return queue.status();
    if (options.skip_damaged) return QueueResult(queue, "leaves out what cannot be read");
    if (queue->damage.empty()) {
      return QueueResult(queue,
                         fmt::format("has met nothing that cannot be read ({} lost)", queue->counts.lost));
    }
    return absl::DataLossError(
        fmt::format("{}. Check the disk. Restore the data directory from a copy; or leave out what cannot be "
                    "read, for good: "
                    "baton queue check {} --skip-damaged",
                    queue->damage, queue->name));
  });
}

}  // namespace

void AddQueueCommands(CLI::App& app, Invocation& invocation) {
  CLI::App* queue = app.add_subcommand("queue", "Create, look at, change and delete queues");
  queue->require_subcommand(1);
  queue->fallthrough();
  auto options = std::make_shared<QueueOptions>();
  const auto add = [&](const char* name, const char* description,
                       int (*run)(const GlobalOptions&, const QueueOptions&)) {
    CLI::App* command = queue->add_subcommand(name, description);
    command->fallthrough();
    command->callback([&invocation, options, run] {
      invocation.run = [&invocation, options, run] { return run(invocation.global, *options); };
    });
    return command;
  };
  const auto add_named = [&](const char* name, const char* description,
                             int (*run)(const GlobalOptions&, const QueueOptions&)) {
    CLI::App* command = add(name, description, run);
    command->add_option("NAME", options->name, "The queue")->required();
    return command;
  };

  CLI::App* create = add_named("create", "Create a queue", Create);
  AddConfigOptions(*create, options->config, Defaults::kApply);
  create
      ->add_flag_callback(
          "--memory", [options] { options->config.durability = Durability::kMemory; },
          "In shared memory: survives a kill or an upgrade of the broker, not a restart of the machine; the "
          "same as --durability memory")
      ->excludes("--durability");
  create->add_flag("--if-not-exists", options->if_not_exists,
                   "One that is there already is no error, and stays as it is");
  create->footer(
      "Examples:\n"
      "  baton queue create orders\n"
      "  baton queue create orders-dead\n"
      "  baton queue create mail --lease 2m --attempts-max 5 --backoff 10s --dead-letter-queue orders-dead");
  add("list", "List the queues", List)
      ->add_option("PREFIX", options->prefix, "Only those whose names start like this");
  add_named("show", "Show a queue: its counts and its configuration", Show);
  CLI::App* set =
      add_named("set", "Change the configuration of a queue; what is not named stays as it is", Set);
  AddConfigOptions(*set, options->config, Defaults::kUnchanged);
  set->footer("Example:\n  baton queue set mail --attempts-max 20 --ttl 7d");
  add_named("delete", "Delete a queue that is empty", Delete)
      ->add_flag("--force", options->force, "Delete it with the messages that are in it");
  add_named("purge", "Delete all messages of a queue, those included that consumers hold", Purge);
  add_named("pause", "Let a queue take messages and deliver none", Pause);
  add_named("resume", "Let a paused queue deliver again", Resume);
  add_named("check", "Tell whether a queue's messages can be read, as far as delivery has come", Check)
      ->add_flag("--skip-damaged", options->skip_damaged,
                 "From now on leave out what cannot be read, count it as lost, and go on behind it");
}

}  // namespace baton::cli
