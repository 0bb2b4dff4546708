#include "client/cli/produce_command.h"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/duration.h"
#include "base/error.h"
#include "base/limits.h"
#include "client/cli/connect.h"
#include "client/cli/exit_code.h"
#include "client/cli/id_printer.h"
#include "client/cli/json.h"
#include "client/cli/line_reader.h"
#include "client/cli/option_types.h"
#include "client/cli/output.h"
#include "client/cli/progress_line.h"
#include "client/cli/report.h"
#include "client/cli/stop_signal.h"

namespace baton::cli {
namespace {

using std::chrono::steady_clock;

// What is unconfirmed at the end gets this long, and a report every time it is over.
constexpr std::chrono::seconds kFlushPatience{10};
constexpr std::chrono::milliseconds kNoDelay{0};

struct ProduceOptions {
  std::string queue;
  std::string file = "-";
  bool whole = false;
  bool ids = false;
  std::vector<std::string> headers;
  Message message;  // everything but the body
};

// Counts what the broker answers. Its callbacks run on the client's thread.
class Answers {
 public:
  Answers(IdPrinter* printer, bool json) : printer_(printer), json_(json) {}

  void Take(uint64_t number, uint64_t bytes, const absl::StatusOr<Confirmation>& answer) {
    if (answer.ok()) {
      stored_.fetch_add(1);
      bytes_.fetch_add(bytes);
      if (printer_ != nullptr) printer_->Add(IdLine(answer->message_id));
      return;
    }
    refused_.fetch_add(1);
    std::lock_guard<std::mutex> lock(mutex_);
    if (first_error_.ok()) {
      first_error_ = answer.status();
      first_refused_ = number;
    }
  }

  uint64_t stored() const { return stored_.load(); }
  uint64_t bytes() const { return bytes_.load(); }
  uint64_t refused() const { return refused_.load(); }
  // The first error, and which message it was about (1 = the first).
  std::pair<absl::Status, uint64_t> first_error() {
    std::lock_guard<std::mutex> lock(mutex_);
    return {first_error_, first_refused_};
  }

 private:
  std::string IdLine(const std::string& id) const {
    if (json_) return Line(Json{{"message_id", id}});
    return id.empty() ? "-\n" : id + "\n";  // empty: stored by an attempt whose answer was lost
  }

  IdPrinter* const printer_;
  const bool json_;
  std::atomic<uint64_t> stored_{0};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> refused_{0};
  std::mutex mutex_;
  absl::Status first_error_;
  uint64_t first_refused_ = 0;
};

// "name=value" each.
absl::StatusOr<Headers> ParseHeaders(const std::vector<std::string>& texts) {
  Headers headers;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return MakeError(absl::StatusCode::kInvalidArgument, reason::kInvalidArgument,
                       fmt::format("--header \"{}\" is not NAME=VALUE", text));
    }
    headers.push_back({.name = text.substr(0, equals), .value = text.substr(equals + 1)});
  }
  return headers;
}

// Publishes what `reader` has, until its end, the first refusal, or a signal.
absl::Status PublishAll(const ProduceOptions& options, LineReader& reader, Producer& producer,
                        Answers& answers, IdPrinter* printer, ProgressLine& progress) {
  Message message = options.message;
  for (uint64_t number = 1; answers.refused() == 0; ++number) {
    if (printer != nullptr && printer->failed()) break;
    auto body = options.whole ? reader.Rest() : reader.Next();
    if (!body.ok()) return body.status();
    if (!body->has_value()) break;
    message.body = **std::move(body);
    producer.Publish(
        options.queue, message,
        [&answers, number, bytes = message.body.size()](const absl::StatusOr<Confirmation>& answer) {
          answers.Take(number, bytes, answer);
        });
    if (options.whole) break;
    progress.Update(answers.stored(), answers.bytes());
  }
  return absl::OkStatus();
}

// Waits for the answers that are missing: for ever, because they say what was stored; a signal ends the wait.
bool AwaitAnswers(Producer& producer, const StopSignal& stop, Answers& answers, ProgressLine& progress) {
  auto report_at = steady_clock::now() + kFlushPatience;
  const bool stopped_before = stop.Received() != 0;
  while (producer.Flush(std::chrono::milliseconds(200)).code() == absl::StatusCode::kDeadlineExceeded) {
    progress.Update(answers.stored(), answers.bytes());
    const bool late = steady_clock::now() >= report_at;
    if (late && stopped_before) return false;
    if (!stopped_before && stop.Received() != 0) return false;
    if (!late) continue;
    progress.Clear();
    Say("the broker has not confirmed everything yet; waiting (Ctrl-C gives up)");
    report_at = steady_clock::now() + kFlushPatience;
  }
  return true;
}

struct Ending {
  bool all_answered = true;
  bool signalled = false;
  absl::Status input;
  steady_clock::duration time{0};
};

int ReportOutcome(const GlobalOptions& global, const ProduceOptions& options, Answers& answers,
                  const Ending& ending) {
  const auto [error, number] = answers.first_error();
  if (global.json && !options.ids) {
    const Json summary = {{"queue", options.queue},
                          {"stored", answers.stored()},
                          {"refused", answers.refused()},
                          {"bytes", answers.bytes()},
                          {"seconds", std::chrono::duration<double>(ending.time).count()}};
    if (const absl::Status printed = Print(Line(summary)); !printed.ok()) return Report(printed);
  } else if (StderrIsTerminal() || !error.ok() || !ending.input.ok() || !ending.all_answered ||
             ending.signalled) {
    Say(Summary(answers.stored(), answers.bytes(), ending.time,
                answers.stored() == 1 ? "message stored" : "messages stored"));
  }
  if (!ending.all_answered) {
    Say("not everything was confirmed: the rest may or may not be stored");
    return kFailure;
  }
  if (!error.ok()) {
    if (!options.whole) {
      Say(fmt::format(
          "{} refused; the first was line {}:",
          answers.refused() == 1 ? "1 message was" : fmt::format("{} messages were", answers.refused()),
          number));
    }
    return Report(error, options.queue);
  }
  return ending.input.ok() ? static_cast<int>(kOk) : Report(ending.input);
}

int Produce(const GlobalOptions& global, ProduceOptions options) {
  const Message& like = options.message;
  if (like.ttl.count() > 0 && like.delay >= like.ttl) {
    Say(fmt::format("--ttl {} is not longer than --delay {}: these messages could never be delivered",
                    FormatDuration(like.ttl), FormatDuration(like.delay)));
    return kUsage;
  }
  auto headers = ParseHeaders(options.headers);
  if (!headers.ok()) return Report(headers.status());
  options.message.headers = *std::move(headers);
  const StopSignal stop;
  auto reader = LineReader::Open(options.file, stop.fd());
  if (!reader.ok()) return Report(reader.status());
  auto client = Connect(global);
  if (!client.ok()) return Report(client.status());
  // Asked first, so that nobody types messages for a queue that is not there.
  if (const auto queue = client->GetQueue(options.queue); !queue.ok())
    return Report(queue.status(), options.queue);
  auto producer = client->NewProducer({.room_timeout = std::chrono::hours(24), .want_ids = options.ids});
  if (!producer.ok()) return Report(producer.status());
  if (reader->IsTerminal() && StderrIsTerminal()) {
    Say(options.whole ? "reading one message; Ctrl-D ends it"
                      : "reading a message per line; Ctrl-D ends the input");
  }

  std::optional<IdPrinter> printer;
  if (options.ids) printer.emplace();
  Answers answers(printer.has_value() ? &*printer : nullptr, global.json);
  ProgressLine progress("messages stored");
  const auto started = steady_clock::now();
  const absl::Status input =
      PublishAll(options, *reader, *producer, answers, printer.has_value() ? &*printer : nullptr, progress);
  const bool all_answered = AwaitAnswers(*producer, stop, answers, progress);
  progress.Clear();
  if (!all_answered) client->Close().IgnoreError();  // no callback comes after this
  const absl::Status printed = printer.has_value() ? printer->Finish() : absl::OkStatus();
  const int exit_code = ReportOutcome(global, options, answers,
                                      {.all_answered = all_answered,
                                       .signalled = stop.Received() != 0,
                                       .input = input,
                                       .time = steady_clock::now() - started});
  if (!printed.ok()) return Report(printed);
  return stop.Received() != 0 ? kSignalBase + stop.Received() : exit_code;
}

}  // namespace

void AddProduceCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command =
      app.add_subcommand("produce", "Publish messages: each line of a file, or the file as one");
  command->fallthrough();
  auto options = std::make_shared<ProduceOptions>();
  command->add_option("QUEUE", options->queue, "Where to")->required();
  command->add_option("FILE", options->file, "What; - is standard input (default)");
  command->add_flag("--whole", options->whole, "The input is one message");
  command
      ->add_option("-H,--header", options->headers, "A header of every message; may be given several times")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  AddNumber(*command, "--priority", options->message.priority, {0, std::numeric_limits<uint32_t>::max()},
            "Larger is delivered first (default 0)");
  AddDuration(*command, "--ttl", options->message.ttl,
              "Gone when not taken by then (at most 3650d; default, and 0s: as the queue says)",
              {kNoDelay, kTtlMax});
  AddDuration(*command, "--delay", options->message.delay, "Not delivered before (at most 3650d)",
              {kNoDelay, kDelayMax});
  command->add_flag("--ids", options->ids, "Print the id of each message as soon as it is confirmed");
  command->footer(
      "Ends when every message is confirmed. The first one that is refused ends it too: exit code 5 when the "
      "queue is\n"
      "full, 3 when there is no such queue.\n\n"
      "Examples:\n"
      "  echo hello | baton produce orders\n"
      "  baton produce orders --priority 9 --ttl 1h urgent.txt\n"
      "  baton produce images --whole -H type=image/png picture.png\n"
      "  tail -f /var/log/syslog | baton produce logs --ids");
  command->callback([&invocation, options] {
    invocation.run = [&invocation, options] { return Produce(invocation.global, *options); };
  });
}

}  // namespace baton::cli
