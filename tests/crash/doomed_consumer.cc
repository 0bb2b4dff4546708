// doomed_consumer URL EVENTS HOLD_EVERY QUEUE... : a consumer that is there to be killed. It holds every
// HOLD_EVERY-th delivery for ever, until its credit is used up, acks the others, and appends a line to the
// file EVENTS before and after everything that matters: what it had written when it was killed is what its
// test knows of it.
//
//   delivered TOKEN QUEUE PRIORITY REDELIVERED UNIX_MICROS KEY     came from the broker
//   holding TOKEN KEY                                              and is kept
//   acking TOKEN KEY                                               will be acked
//   acked TOKEN KEY OK|REASON                                      the broker's answer
//
// On standard output it says "holding" when it keeps its first one. On SIGUSR1 it says on standard error what
// its client waits for.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "baton/client.h"
#include "tests/support/test_body.h"

namespace baton {
namespace {

class EventFile {
 public:
  explicit EventFile(const char* path) : fd_(open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
    BATON_CHECK(fd_ >= 0) << path;
  }
  // One write, so that a kill leaves whole lines.
  void Append(const std::string& line) {
    BATON_CHECK_EQ(write(fd_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }

 private:
  const int fd_;
};

class DoomedHandler {
 public:
  DoomedHandler(EventFile* events, uint64_t hold_every) : events_(events), hold_every_(hold_every) {}

  Outcome Handle(Delivery& delivery) {
    const std::string token = delivery.token();
    const std::string key = KeyOfTestBody(delivery.body());
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    events_->Append(fmt::format("delivered {} {} {} {} {} {}\n", token, delivery.queue(), delivery.priority(),
                                delivery.redelivered() ? 1 : 0,
                                std::chrono::duration_cast<std::chrono::microseconds>(now).count(), key));
    if (++count_ % hold_every_ == 0) {
      Hold(token, key, delivery);
      return Outcome::Manual();
    }
    events_->Append(fmt::format("acking {} {}\n", token, key));
    delivery.Ack([this, token, key](const absl::Status& status) {
      events_->Append(fmt::format("acked {} {} {}\n", token, key, status.ok() ? "OK" : ReasonOf(status)));
    });
    return Outcome::Manual();
  }

 private:
  void Hold(const std::string& token, const std::string& key, Delivery& delivery) {
    const std::lock_guard lock(mutex_);
    events_->Append(fmt::format("holding {} {}\n", token, key));
    held_.push_back(std::move(delivery));
    if (held_.size() == 1) {
      fmt::print("holding\n");
      std::fflush(stdout);
    }
  }

  EventFile* const events_;
  const uint64_t hold_every_;
  std::atomic<uint64_t> count_{0};
  std::mutex mutex_;
  std::vector<Delivery> held_;  // guarded by mutex_
};

int Run(int argc, char** argv) {
  BATON_CHECK(argc >= 5) << "doomed_consumer URL EVENTS HOLD_EVERY QUEUE...";
  sigset_t asked;  // blocked in all threads, and taken by this one
  sigemptyset(&asked);
  sigaddset(&asked, SIGUSR1);
  BATON_CHECK_EQ(pthread_sigmask(SIG_BLOCK, &asked, nullptr), 0);
  EventFile events(argv[2]);
  DoomedHandler handler(&events, std::strtoull(argv[3], nullptr, 10));
  auto client = Client::Connect({.url = argv[1],
                                 .connect_timeout = std::chrono::seconds(30),
                                 .reconnect_pause_max = std::chrono::milliseconds(50)});
  BATON_CHECK(client.ok()) << client.status();
  std::vector<Consumer> consumers;
  for (int i = 4; i < argc; ++i) {
    auto consumer = client->Subscribe({.queue = argv[i], .credit = 32},
                                      [&handler](Delivery& delivery) { return handler.Handle(delivery); });
    BATON_CHECK(consumer.ok()) << consumer.status();
    consumers.push_back(*std::move(consumer));
  }
  while (true) {
    int signal = 0;
    sigwait(&asked, &signal);
    fmt::print(stderr, "{}", client->Describe());
  }
}

}  // namespace
}  // namespace baton

int main(int argc, char** argv) { return baton::Run(argc, argv); }
