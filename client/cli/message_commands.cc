#include "client/cli/message_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/message_id.h"
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

constexpr uint32_t kPageMax = 1'000;

struct MessageOptions {
  std::string queue;
  MessageState state = MessageState::kReady;
  uint32_t max = 100;
  uint32_t body_bytes = 60;
  std::vector<std::string> ids;
  bool body = false;
};

Table MessageTable(MessageState state) {
  std::vector<Column> columns = {{"MESSAGE"},
                                 {"PRIORITY", Align::kRight},
                                 {"ATTEMPTS", Align::kRight},
                                 {"PUBLISHED"},
                                 {"BYTES", Align::kRight}};
  if (state == MessageState::kDelayed) columns.push_back({"DUE"});
  if (state == MessageState::kParked) columns.push_back({"REASON"});
  columns.push_back({"BODY"});
  return Table(std::move(columns));
}

void AddMessageRow(Table& table, const MessageInfo& message, const MessageOptions& options) {
  std::vector<std::string> row = {message.message_id, CountText(message.priority),
                                  CountText(message.attempts), TimeText(message.published),
                                  CountText(message.body_bytes)};
  if (options.state == MessageState::kDelayed)
    row.push_back(message.due.has_value() ? TimeText(*message.due) : "-");
  if (options.state == MessageState::kParked)
    row.push_back(Preview(message.last_reason, message.last_reason.size(), 40));
  std::string body = Preview(message.body, message.body_bytes, options.body_bytes);
  if (message.state == MessageState::kLeased) body += "  (leased)";
  row.push_back(std::move(body));
  table.AddRow(std::move(row));
}

int List(const GlobalOptions& global, const MessageOptions& options) {
  auto client = Connect(global);
  if (!client.ok()) return Report(client.status());
  ListMessagesOptions request{
      .queue = options.queue, .state = options.state, .body_bytes_max = options.body_bytes};
  Table table = MessageTable(options.state);
  uint32_t listed = 0;
  while (listed < options.max) {
    request.page_size = std::min(kPageMax, options.max - listed);
    const auto page = client->ListMessages(request);
    if (!page.ok()) return Report(page.status(), options.queue);
    for (const MessageInfo& message : page->messages) {
      ++listed;
      if (!global.json) {
        AddMessageRow(table, message, options);
      } else if (const absl::Status printed = Print(Line(ToJson(message))); !printed.ok()) {
        return Report(printed);
      }
    }
    request.page_token = page->next_page_token;
    if (request.page_token.empty()) break;
  }
  if (global.json) return kOk;
  if (table.empty()) {
    Say(fmt::format("no {} messages in {}", WordOf(options.state), options.queue));
    return kOk;
  }
  const absl::Status printed = Print(table.ToText());
  if (!printed.ok()) return Report(printed);
  if (!request.page_token.empty()) Say(fmt::format("there are more; --max {} shows them", options.max * 10));
  return kOk;
}

std::string Describe(const MessageInfo& message) {
  std::vector<std::pair<std::string, std::string>> properties = {
      {"message", message.message_id},
      {"queue", message.queue},
      {"state", std::string(WordOf(message.state))},
      {"priority", CountText(message.priority)},
      {"attempts", CountText(message.attempts)},
      {"published", TimeText(message.published)}};
  if (message.due.has_value()) properties.emplace_back("due", TimeText(*message.due));
  if (message.expires.has_value()) properties.emplace_back("expires", TimeText(*message.expires));
  if (message.lease_end.has_value()) properties.emplace_back("lease ends", TimeText(*message.lease_end));
  if (!message.last_reason.empty()) {
    properties.emplace_back("last reason", Preview(message.last_reason, message.last_reason.size(), 256));
  }
  for (const Header& header : message.headers) {
    properties.emplace_back("header " + header.name, Preview(header.value, header.value.size(), 256));
  }
  properties.emplace_back("body", fmt::format("{} bytes", CountText(message.body_bytes)));
  return ToText(properties) + "\n" + Preview(message.body, message.body_bytes, 4'096) + "\n";
}

// What CLI11 wants: "" = good.
std::string CheckMessageId(const std::string& text) {
  if (MessageId::FromText(text).has_value()) return {};
  return fmt::format(
      "\"{}\" is not a message id: one has {} characters of 0-9 a-v, as `baton message list` shows it", text,
      MessageId::kTextLength);
}

int Show(const GlobalOptions& global, const MessageOptions& options) {
  auto client = Connect(global);
  if (!client.ok()) return Report(client.status());
  for (const std::string& id : options.ids) {
    const auto message = client->GetMessage(id);
    if (!message.ok()) return Report(message.status());
    const std::string text = global.json    ? Line(ToJson(*message))
                             : options.body ? message->body
                                            : Describe(*message);
    if (const absl::Status printed = Print(text); !printed.ok()) return Report(printed);
  }
  return kOk;
}

// Goes on after one that cannot be deleted; the exit code is that of the first.
int Delete(const GlobalOptions& global, const MessageOptions& options) {
  auto client = Connect(global);
  if (!client.ok()) return Report(client.status());
  int exit_code = kOk;
  for (const std::string& id : options.ids) {
    const absl::Status deleted = client->DeleteMessage(id);
    if (!deleted.ok()) {
      const std::string why(deleted.message());
      Say(why.find(id) != std::string::npos ? why : fmt::format("{}: {}", id, why));
      if (exit_code == kOk) exit_code = ExitCodeOf(deleted);
      continue;
    }
    const std::string text =
        global.json ? Line(Json{{"message_id", id}}) : fmt::format("message {} deleted\n", id);
    if (const absl::Status printed = Print(text); !printed.ok()) return Report(printed);
  }
  return exit_code;
}

}  // namespace

void AddMessageCommands(CLI::App& app, Invocation& invocation) {
  CLI::App* group = app.add_subcommand("message", "Look at and delete single messages, without taking them");
  group->require_subcommand(1);
  group->fallthrough();
  auto options = std::make_shared<MessageOptions>();
  const auto add = [&](const char* name, const char* description,
                       int (*run)(const GlobalOptions&, const MessageOptions&)) {
    CLI::App* command = group->add_subcommand(name, description);
    command->fallthrough();
    command->callback([&invocation, options, run] {
      invocation.run = [&invocation, options, run] { return run(invocation.global, *options); };
    });
    return command;
  };

  const auto add_ids = [&](CLI::App& command) {
    command.add_option("ID", options->ids, "As printed by `produce --ids` and `message list`")
        ->required()
        ->check(CLI::Validator(CheckMessageId, ""));
  };

  CLI::App* list = add("list", "List messages of a queue in the order they will be delivered", List);
  list->add_option("QUEUE", options->queue, "The queue")->required();
  AddWord(*list, "--state", options->state,
          Words<MessageState>{{"ready", MessageState::kReady},
                              {"delayed", MessageState::kDelayed},
                              {"parked", MessageState::kParked}},
          "Which ones; leased ones are shown among ready and delayed (default ready)");
  AddNumber(*list, "--max", options->max, {1, 1'000'000}, "At most so many (default 100)");
  AddNumber(*list, "--body-bytes", options->body_bytes, {1, 65'536}, "So much of each body (default 60)");
  list->footer("Examples:\n  baton message list orders\n  baton message list orders --state parked --json");

  CLI::App* show = add("show", "Show messages whole", Show);
  add_ids(*show);
  show->add_flag("--body", options->body, "Print the body as it is, and nothing else");

  CLI::App* remove = add("delete", "Delete messages, except those that a consumer holds", Delete);
  add_ids(*remove);
}

}  // namespace baton::cli
