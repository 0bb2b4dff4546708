#include "client/cli/consume_command.h"

#include <fmt/format.h>

#include <limits>
#include <memory>

#include "client/cli/consume_options.h"
#include "client/cli/exit_code.h"
#include "client/cli/option_types.h"
#include "client/cli/output.h"
#include "client/cli/progress_line.h"
#include "client/cli/report.h"
#include "client/cli/text.h"

namespace baton::cli {
namespace {

std::string CountsText(const ConsumeCounts& counts, const ConsumeOptions& options,
                       std::chrono::steady_clock::duration time) {
  std::string text =
      Summary(counts.acked, counts.bytes, time, counts.acked == 1 ? "message acked" : "messages acked");
  if (!options.ack) text = fmt::format("{} messages shown and given back", CountText(counts.released));
  if (options.ack && counts.nacked > 0) text += fmt::format(", {} nacked", CountText(counts.nacked));
  if (options.ack && counts.released > 0) text += fmt::format(", {} given back", CountText(counts.released));
  return text;
}

int Consume(const GlobalOptions& global, const ConsumeOptions& options) {
  const StopSignal stop;
  auto client = Connect(global);
  if (!client.ok()) return Report(client.status());
  if (const auto queue = client->GetQueue(options.queue); !queue.ok()) {
    return Report(queue.status(), options.queue);
  } else if (queue->paused) {
    Say(fmt::format("queue {0} is paused: nothing is delivered until `baton queue resume {0}`",
                    options.queue));
  }
  ConsumeCounts counts;
  const auto started = std::chrono::steady_clock::now();
  const absl::Status outcome = options.exec.empty()
                                   ? ConsumeToOutput(*client, options, global.format(), stop, counts)
                                   : ConsumeWithCommand(*client, options, stop, counts);
  if (StderrIsTerminal() || !options.exec.empty()) {
    Say(CountsText(counts, options, std::chrono::steady_clock::now() - started));
  }
  if (stop.Received() != 0) return kSignalBase + stop.Received();
  return outcome.ok() ? static_cast<int>(kOk) : Report(outcome, options.queue);
}

}  // namespace

bool NothingReady(Client& client, const std::string& queue) {
  const auto info = client.GetQueue(queue);
  return info.ok() && info->counts.ready == 0;
}

void AddConsumeCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand("consume", "Take messages: print them, or run a command for each");
  command->fallthrough();
  auto options = std::make_shared<ConsumeOptions>();
  command->add_option("QUEUE", options->queue, "Where from")->required();
  AddNumber(*command, "--max", options->max, {1, std::numeric_limits<int64_t>::max()}, "Stop after so many");
  command->add_flag(
      "--ack,!--no-ack", options->ack,
      "Ack what was printed (default); --no-ack gives it back at the end, so it stays in the queue");
  command->add_flag("--follow", options->follow, "Wait for more instead of ending when nothing is ready");
  CLI::Option* exec =
      command
          ->add_option("--exec", options->exec,
                       "Run this with sh for each message: the body is its input; exit 0 acks, "
                       "anything else nacks")
          ->type_name("COMMAND");
  AddNumber(*command, "--jobs", options->jobs, {1, 1'024}, "With --exec: run so many at a time (default 1)")
      ->needs(exec);
  AddDuration(*command, "--lease", options->lease,
              "How long a message is ours without a sign of life; extended while we live (default: as the "
              "queue says)");
  command->footer(
      "A message is acked after it was printed; one that could not be printed is given back. Ctrl-C stops "
      "the running\n"
      "commands, gives their messages back, and ends with exit code 130.\n\n"
      "A command finds in its environment: BATON_MESSAGE_ID, BATON_QUEUE, BATON_PRIORITY, BATON_ATTEMPT,\n"
      "BATON_REDELIVERED (0 or 1), BATON_PUBLISHED_UNIX_MS, BATON_BODY_BYTES, and BATON_HEADER_<NAME> for "
      "each header.\n\n"
      "Examples:\n"
      "  baton consume orders\n"
      "  baton consume orders --max 1 --json\n"
      "  baton consume mail --follow --exec 'sendmail -t' --jobs 4");
  command->callback([&invocation, options] {
    invocation.run = [&invocation, options] { return Consume(invocation.global, *options); };
  });
}

}  // namespace baton::cli
