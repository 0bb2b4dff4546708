// Takes lines, counts their words, and logs each delivery before it acknowledges it, so that whatever was
// acknowledged is in the log even if this process or the broker is killed in between. Runs until SIGTERM.
// Part of the word count demo (examples/wordcount_demo.py); the rows it logs are explained in
// wordcount_verify.py.
#include <pthread.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string>
#include <string_view>

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
  std::string log;
  int handlers = 1;
  uint64_t nack_every = 0;    // refuse about one line in so many, at its first attempt; 0 = none
  uint64_t poison_every = 0;  // refuse about one line in so many, always; 0 = none
};

std::string NameOf(const baton::Delivery& delivery) {
  for (const baton::Header& header : delivery.headers()) {
    if (header.name == kNameHeader) return header.value;
  }
  return "?";
}

bool IsRefused(const Options& options, const std::string& name, uint32_t attempt) {
  const uint64_t checksum = Checksum(name);
  if (options.poison_every > 0 && checksum % options.poison_every == 0) return true;
  return options.nack_every > 0 && attempt == 1 && checksum % options.nack_every == 1;
}

// Logs what the broker says about a settlement.
baton::SettleCallback LogSettled(RowLog& log, const baton::Delivery& delivery, std::string_view outcome) {
  return [&log, row = fmt::format("{}\t{}\t{}\t{}", delivery.queue(), delivery.message_id(),
                                  delivery.attempt(), outcome)](const absl::Status& status) {
    log.Write(
        fmt::format("settled\t{}\t{}\t{}", MonotonicMicros(), row, absl::StatusCodeToString(status.code())));
  };
}

void Process(const Options& options, RowLog& log, baton::Delivery& delivery) {
  const int64_t start_us = MonotonicMicros();
  const std::string name = NameOf(delivery);
  const bool refused = IsRefused(options, name, delivery.attempt());
  const std::string_view outcome = refused ? "nack" : "ack";
  log.Write(fmt::format("delivery\t{}\t{}\t{}\t{}\t{:d}\t{}\t{}\t{:016x}\t{}\t{}", start_us, delivery.queue(),
                        delivery.message_id(), delivery.attempt(), delivery.redelivered(),
                        delivery.priority(), name, Checksum(delivery.body()), CountWords(delivery.body()),
                        outcome));
  if (refused) {
    delivery.Nack({.reason = "refused by the demo", .delay = 50ms}, LogSettled(log, delivery, outcome));
  } else {
    delivery.Ack(LogSettled(log, delivery, outcome));
  }
}

// True when the signal came, false after `timeout`.
bool WaitForSignal(const sigset_t& signals, std::chrono::milliseconds timeout) {
  const timespec wait{.tv_sec = timeout.count() / 1000, .tv_nsec = timeout.count() % 1000 * 1'000'000};
  return sigtimedwait(&signals, nullptr, &wait) > 0;
}

absl::Status ConsumeUntil(const sigset_t& signals, const Options& options) {
  RowLog log(options.log);
  auto client = baton::Client::Connect({.url = options.url, .name = "wordcount_consumer"});
  if (!client.ok()) return client.status();
  auto consumer = client->Subscribe({.queue = options.queue, .handler_threads = options.handlers},
                                    [&options, &log](baton::Delivery& delivery) {
                                      Process(options, log, delivery);
                                      return baton::Outcome::Manual();
                                    });
  if (!consumer.ok()) return consumer.status();

  while (!WaitForSignal(signals, 200ms)) {
    if (consumer->WaitUntilEnded(0ms)) return consumer->status();
  }
  const absl::Status stopped = consumer->Stop(10s);
  return stopped.ok() ? client->Close() : stopped;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Counts the words of every line that a queue delivers, until SIGTERM.");
  app.add_option("--url", options.url, "the broker's address; default: BATON_URL, else the local broker");
  app.add_option("--queue", options.queue, "where from")->required();
  app.add_option("--log", options.log, "file to append deliveries to")->required();
  app.add_option("--handlers", options.handlers, "threads")->capture_default_str();
  app.add_option("--nack-every", options.nack_every,
                 "refuse one line in so many at its first attempt; 0 = none");
  app.add_option("--poison-every", options.poison_every, "refuse one line in so many, always; 0 = none");
  CLI11_PARSE(app, argc, argv);

  // Before any thread exists, so that all of them inherit it and only WaitForSignal takes the signal.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const absl::Status status = ConsumeUntil(signals, options);
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
