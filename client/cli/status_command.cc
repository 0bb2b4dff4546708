#include "client/cli/status_command.h"

#include <fmt/format.h>

#include "base/byte_size.h"
#include "client/cli/connect.h"
#include "client/cli/exit_code.h"
#include "client/cli/json.h"
#include "client/cli/output.h"
#include "client/cli/report.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace baton::cli {
namespace {

std::string SessionsText(const BrokerStatus& status) {
  if (status.session_list.empty()) return {};
  Table table({{"CLIENT"},
               {"PEER"},
               {"SINCE"},
               {"SUBSCRIPTIONS", Align::kRight},
               {"UNSETTLED", Align::kRight},
               {"UNCONFIRMED", Align::kRight}});
  for (const SessionInfo& session : status.session_list) {
    table.AddRow({session.client_name, session.peer, TimeText(session.connected),
                  CountText(session.subscriptions), CountText(session.unsettled),
                  CountText(session.unconfirmed)});
  }
  return "\n" + table.ToText();
}

std::string UsedText(uint64_t used_bytes, uint64_t limit_bytes) {
  return fmt::format("{} of {} ({})", FormatByteSizeRounded(used_bytes), FormatByteSizeRounded(limit_bytes),
                     PercentText(used_bytes, limit_bytes));
}

std::string_view FullText(MemoryBound bound) {
  switch (bound) {
    case MemoryBound::kSharedMemory:
      return " — SHARED MEMORY FULL (memory_queue_bytes): publishers to them are refused";
    case MemoryBound::kFileSystem:
      return " — SHARED MEMORY FULL (its file system): publishers to them are refused";
    case MemoryBound::kIndex:
      return " — INDEX FULL (a quarter of memory_budget): publishers to them are refused";
    case MemoryBound::kUnavailable:
      return " — UNAVAILABLE: their file in memory_queue_dir cannot be had: publishers to them are refused";
  }
  return " — FULL: publishers to them are refused";
}

// What refuses publishers first is told first.
std::string MemoryQueuesText(const std::optional<MemoryQueuesStatus>& status) {
  if (!status.has_value()) return "not told by this broker";
  const bool has_shared = status->shared_limit_bytes != 0;
  const std::string shared =
      "shared memory " +
      (has_shared ? UsedText(status->shared_used_bytes, status->shared_limit_bytes) : "none") +
      (status->nearest == MemoryBound::kFileSystem && !status->full ? ", all that its file system has" : "");
  const std::string index = "index " + UsedText(status->index_used_bytes, status->index_limit_bytes);
  const bool index_first = status->nearest == MemoryBound::kIndex;
  return fmt::format("{}; {}{}", index_first ? index : shared, index_first ? shared : index,
                     status->full ? FullText(status->nearest) : "");
}

std::string ClockText(const BrokerStatus& status) {
  const auto ahead = status.wall_clock_ahead;
  if (std::chrono::abs(ahead) <= std::chrono::milliseconds(500)) return TimeText(status.now);
  return fmt::format("{} — THE WALL CLOCK IS {} {}: it is followed when that has lasted for two minutes",
                     TimeText(status.now), AgeText(std::chrono::abs(ahead)),
                     ahead.count() > 0 ? "AHEAD" : "BEHIND");
}

std::string Describe(const BrokerStatus& status, const std::string& url) {
  std::string listening;
  for (const std::string& address : status.listening) listening += (listening.empty() ? "" : ", ") + address;
  return ToText(
             {{"broker", fmt::format("{}, version {}, process {}", url, status.version, status.pid)},
              {"running", fmt::format("{} (since {}, start number {})", AgeText(status.now - status.started),
                                      TimeText(status.started), status.epoch)},
              {"clock", ClockText(status)},
              {"listening", listening},
              {"data", status.data_dir},
              {"queues", CountText(status.queues)},
              {"messages",
               fmt::format("{} ({})", CountText(status.messages), FormatByteSizeRounded(status.bytes))},
              {"sessions", CountText(status.sessions)},
              {"memory", UsedText(status.memory_used_bytes, status.memory_budget_bytes)},
              {"clients hold", fmt::format("{} of results, {} of unsettled deliveries, {} of rings",
                                           FormatByteSizeRounded(status.outbox_bytes),
                                           FormatByteSizeRounded(status.unsettled_bytes),
                                           FormatByteSizeRounded(status.ring_bytes))},
              {"memory queues", MemoryQueuesText(status.memory_queues)},
              {"disk", fmt::format("{} used, {} free{}", FormatByteSizeRounded(status.disk_bytes),
                                   FormatByteSizeRounded(status.disk_free_bytes),
                                   status.disk_low ? " — TOO LITTLE: publishers are refused" : "")},
              {"commits", fmt::format("{} in {} writes, {} syncs", CountText(status.commits),
                                      CountText(status.writes), CountText(status.syncs))}}) +
         SessionsText(status);
}

int ShowStatus(const GlobalOptions& global) {
  auto client = Connect(global);
  if (!client.ok()) return Report(client.status());
  const auto status = client->Status();
  if (!status.ok()) return Report(status.status());
  const absl::Status printed = Print(global.json ? Line(ToJson(*status)) : Describe(*status, client->url()));
  return printed.ok() ? kOk : Report(printed);
}

}  // namespace

void AddStatusCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command =
      app.add_subcommand("status", "Show how the broker is: its load, memory, disk, and who is connected");
  command->fallthrough();
  command->footer("Exit code 4: no broker answers.");
  command->callback(
      [&invocation] { invocation.run = [&invocation] { return ShowStatus(invocation.global); }; });
}

}  // namespace baton::cli
