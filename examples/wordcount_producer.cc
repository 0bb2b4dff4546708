// Publishes its share of the lines of some texts, and logs each one when the broker has confirmed it.
// Part of the word count demo (examples/wordcount_demo.py); the row it logs is explained in
// wordcount_verify.py.
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "baton/client.h"
#include "examples/row_log.h"
#include "examples/wordcount_line.h"

namespace wordcount {
namespace {

using namespace std::chrono_literals;

struct Options {
  std::string url;
  std::string queue;
  std::string texts = "/usr/share/common-licenses";
  std::string log;
  uint32_t rounds = 1;
  Share share;
};

// Publishes all lines; returns when each is confirmed. The client library sends again what a killed broker
// has not confirmed, and the broker stores it once.
absl::Status PublishAll(const Options& options, const std::vector<Line>& lines) {
  RowLog log(options.log);
  auto client = baton::Client::Connect(
      {.url = options.url, .name = fmt::format("wordcount_producer {}", options.share.number)});
  if (!client.ok()) return client.status();
  auto producer = client->NewProducer({.want_ids = true});
  if (!producer.ok()) return producer.status();

  for (size_t index = 0; index < lines.size(); ++index) {
    const Line& line = lines[index];
    const uint32_t priority = CountWords(line.body);
    const baton::Message message{
        .body = line.body,
        .headers = {{.name = std::string(kNameHeader), .value = line.name}},
        .priority = priority,
    };
    const int64_t published_us = MonotonicMicros();
    producer->Publish(
        options.queue, message,
        [&log, &line, index, priority, published_us](const absl::StatusOr<baton::Confirmation>& answer) {
          if (!answer.ok()) return;  // Flush tells
          const std::string_view id = answer->duplicate ? "-" : std::string_view(answer->message_id);
          log.Write(fmt::format("confirmed\t{}\t{}\t{}\t{}\t{}\t{}", published_us, MonotonicMicros(), index,
                                line.name, priority, id));
        });
  }
  const absl::Status flushed = producer->Flush(120s);
  return flushed.ok() ? client->Close() : flushed;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Publishes every line of some texts, with its number of words as the priority.");
  app.add_option("--url", options.url, "the broker's address; default: BATON_URL, else the local broker");
  app.add_option("--queue", options.queue, "where to")->required();
  app.add_option("--texts", options.texts, "folder of texts")->capture_default_str();
  app.add_option("--rounds", options.rounds, "how often to publish every line")->capture_default_str();
  app.add_option("--share", options.share.number, "which share of the lines, from 1")->capture_default_str();
  app.add_option("--shares", options.share.of, "how many shares there are")->check(CLI::PositiveNumber);
  app.add_option("--log", options.log, "file to append confirmed lines to")->required();
  CLI11_PARSE(app, argc, argv);

  const std::vector<Line> lines = ReadTexts(options.texts, options.rounds, options.share);
  const absl::Status status = PublishAll(options, lines);
  if (!status.ok()) std::fprintf(stderr, "error: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace wordcount

int main(int argc, char** argv) {
  try {
    return wordcount::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
