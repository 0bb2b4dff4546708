#include "client/cli/consume_command.h"

#include <fmt/format.h>

#include <limits>
#include <memory>

#include "base/limits.h"
#include "client/cli/connect.h"
#include "client/cli/consume_options.h"
#include "client/cli/exit_code.h"
#include "client/cli/option_types.h"
#include "client/cli/output.h"
#include "client/cli/progress_line.h"
#include "client/cli/report.h"
#include "client/cli/text.h"

namespace baton::cli {
namespace {

std::string Several(uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", CountText(count), count == 1 ? one : many);
}

std::string CountsText(const ConsumeCounts& counts, const ConsumeOptions& options,
                       std::chrono::steady_clock::duration time) {
  if (!options.ack) {
    return Several(counts.released, "message", "messages") + " shown and given back";
  }
  std::string text =
      Summary(counts.acked, counts.bytes, time, counts.acked == 1 ? "message acked" : "messages acked");
  if (counts.nacked > 0) text += fmt::format(", {} nacked", CountText(counts.nacked));
  if (counts.released > 0) text += fmt::format(", {} given back", CountText(counts.released));
  if (counts.nacks_refused > 0) text += ", " + Several(counts.nacks_refused, "nack", "nacks") + " refused";
  if (counts.unanswered > 0) text += fmt::format(", {} not answered", CountText(counts.unanswered));
  if (counts.acks_refused == 1) text += ", 1 ack refused: " + counts.first_refusal;
  if (counts.acks_refused > 1) {
    text +=
        fmt::format(", {} acks refused, the first: {}", CountText(counts.acks_refused), counts.first_refusal);
  }
  return text;
}

// "" = the options go together.
std::string Contradiction(const GlobalOptions& global, const ConsumeOptions& options) {
  if (options.exec.empty()) {
    return options.jobs.has_value() ? "--jobs is for --exec: it says how many commands run at a time" : "";
  }
  if (global.json) return "--json prints messages, and with --exec nothing is printed: the command gets each";
  if (!options.ack) return "--no-ack does not go with --exec: there the command's exit code decides";
  return "";
}

int Consume(const GlobalOptions& global, const ConsumeOptions& options) {
  if (const std::string wrong = Contradiction(global, options); !wrong.empty()) {
    Say(wrong);
    return kUsage;
  }
  const StopSignal stop;
  SettleTally tally;  // before the client, whose end is that of its callbacks
  auto client = Connect(global);
  if (!client.ok()) return Report(client.status());
  if (const auto queue = client->GetQueue(options.queue); !queue.ok()) {
    return Report(queue.status(), options.queue);
  } else if (queue->paused) {
    Say(fmt::format("queue {0} is paused: nothing is delivered until `baton queue resume {0}`",
                    options.queue));
  }
  const auto started = std::chrono::steady_clock::now();
  const absl::Status outcome = options.exec.empty()
                                   ? ConsumeToOutput(*client, options, global.format(), stop, tally)
                                   : ConsumeWithCommand(*client, options, stop, tally);
  const ConsumeCounts counts = tally.counts();
  if (StderrIsTerminal() || !options.exec.empty() || counts.acks_refused > 0) {
    Say(CountsText(counts, options, std::chrono::steady_clock::now() - started));
  }
  if (stop.Received() != 0) return kSignalBase + stop.Received();
  if (!outcome.ok()) return Report(outcome, options.queue);
  return counts.acks_refused > 0 ? kRefused : kOk;
}

}  // namespace

bool NothingReady(Client& client, const std::string& queue) {
  const auto info = client.GetQueue(queue);
  return info.ok() && info->counts.ready == 0;
}

void EndDeliveries(Consumer& consumer) { consumer.Stop(std::chrono::milliseconds(0)).IgnoreError(); }

void AddConsumeCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand("consume", "Take messages: print them, or run a command for each");
  command->fallthrough();
  auto options = std::make_shared<ConsumeOptions>();
  command->add_option("QUEUE", options->queue, "Where from")->required();
  AddNumber(*command, "--max", options->max, {1, std::numeric_limits<int64_t>::max()}, "Stop after so many");
  command->add_flag_callback(
      "--no-ack", [options] { options->ack = false; },
      "Give everything back at the end, so that it stays in the queue");
  command->add_flag_callback("--ack", [options] { options->ack = true; })->group("");  // the default
  command->add_flag("--follow", options->follow, "Wait for more instead of ending when nothing is ready");
  command
      ->add_option(
          "--exec", options->exec,
          "Run this with sh for each message: the body is its input; exit 0 acks, anything else nacks")
      ->type_name("COMMAND");
  AddNumber(*command, "--jobs", options->jobs, {1, 1'024}, "With --exec: run so many at a time (default 1)");
  AddDuration(*command, "--lease", options->lease,
              "How long a message is ours without a sign of life; extended while we live (100ms to 12h; "
              "default: as the queue says)",
              {kLeaseMin, kLeaseMax});
  command->footer(
      "A message is acked after it was printed; one that could not be printed is given back. Ctrl-C stops "
      "the running\n"
      "commands, gives their messages back, and ends with exit code 130. Nacks leave the exit code at 0; an "
      "ack that "
      "the\nbroker refuses makes it 5.\n\n"
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
