// baton: the command line of the broker. Each group of commands has a file of its own.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "client/cli/completion_command.h"
#include "client/cli/consume_command.h"
#include "client/cli/exit_code.h"
#include "client/cli/global_options.h"
#include "client/cli/message_commands.h"
#include "client/cli/produce_command.h"
#include "client/cli/queue_commands.h"
#include "client/cli/status_command.h"

namespace {

// The help of a command names the options that every command has, instead of repeating them.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_footer(const CLI::App* app) const override {
    std::string footer = CLI::Formatter::make_footer(app);
    if (app->get_parent() == nullptr) return footer;
    return footer + (footer.empty() ? "" : "\n") +
           "Every command takes --url, --json, --wait and --tls-… too: see baton --help\n";
  }
};

// "baton queue set": as far as the command line was understood.
std::string CommandOf(const CLI::App* app) {
  std::string command = app->get_name();
  for (auto parsed = app->get_subcommands(); !parsed.empty(); parsed = parsed.back()->get_subcommands()) {
    command += " " + parsed.back()->get_name();
  }
  return command;
}

// What was wrong, and where to read more.
std::string DescribeUsageError(const CLI::App* app, const CLI::Error& error) {
  std::string what = error.what();
  const std::vector<std::string> unknown = app->remaining();
  if (error.get_name() == "RequiredError" && !unknown.empty())
    what = "there is no command \"" + unknown.front() + '"';
  const std::string command = CommandOf(app);
  const std::string hint = command == app->get_name()
                               ? "`baton --help` lists the commands, `baton COMMAND --help` their options"
                               : "`" + command + " --help` tells what it takes";
  return "baton: " + what + "\nbaton: " + hint + "\n";
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that goes away is an error to be met where it is written, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  // Our messages say what was wrong; gRPC's own lines would stand before them.
  ::setenv("GRPC_VERBOSITY", "NONE", /*replace=*/0);

  baton::cli::Invocation invocation;
  CLI::App app("Publish and consume messages, and look after the queues of a Baton broker.", "baton");
  app.set_version_flag("--version", "baton " BATON_VERSION);
  app.require_subcommand(1);
  app.failure_message(DescribeUsageError);
  app.formatter(std::make_shared<HelpFormatter>());  // before there are commands, which inherit it
  app.get_formatter()->column_width(34);
  baton::cli::AddGlobalOptions(app, invocation.global);
  baton::cli::AddProduceCommand(app, invocation);
  baton::cli::AddConsumeCommand(app, invocation);
  baton::cli::AddQueueCommands(app, invocation);
  baton::cli::AddMessageCommands(app, invocation);
  baton::cli::AddStatusCommand(app, invocation);
  baton::cli::AddCompletionCommand(app, invocation);
  app.footer(
      "Durations have a unit: 250ms, 30s, 5m, 1h30m, 7d. Sizes too: 64KiB, 256MiB.\n"
      "Exit codes: 0 done; 1 failed; 2 wrong argument; 3 no such queue or message; 4 no broker answers;\n"
      "5 refused (exists, not empty, full); 128 + n ended by signal n (130 = Ctrl-C).\n\n"
      "Start a broker with: batond\n"
      "Examples:\n"
      "  baton queue create orders\n"
      "  echo hello | baton produce orders\n"
      "  baton consume orders");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? baton::cli::kOk : baton::cli::kUsage;
  }
  return invocation.run();
}
