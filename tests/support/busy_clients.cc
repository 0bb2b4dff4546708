#include "tests/support/busy_clients.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "tests/support/test_body.h"

namespace baton {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::system_clock;

constexpr seconds kPatience{30};        // reached only by a failure
constexpr uint64_t kBurstMax = 64;      // messages
constexpr milliseconds kDelayMax{300};  // of a publish
constexpr milliseconds kNackDelayMax{200};
constexpr milliseconds kHandlingMax{40};

void SleepFor(microseconds time) { std::this_thread::sleep_for(time); }

LeaseToken TokenOf(const std::string& text) {
  const auto token = LeaseToken::FromText(text);
  BATON_CHECK(token.has_value()) << text;
  return *token;
}

}  // namespace

Client ConnectPatiently(const std::string& url, const std::string& name) {
  auto client = Client::Connect({.url = url,
                                 .name = name,
                                 .connect_timeout = kPatience,
                                 .call_timeout = kPatience,
                                 .reconnect_pause_max = milliseconds(50)});
  BATON_CHECK(client.ok()) << client.status();
  return *std::move(client);
}

PromiseBook::Seen SeenOf(const Delivery& delivery) {
  return {.queue = std::string(delivery.queue()),
          .key = KeyOfTestBody(delivery.body()),
          .token = TokenOf(delivery.token()),
          .priority = delivery.priority(),
          .redelivered = delivery.redelivered(),
          .at = system_clock::now()};
}

BusyProducer::BusyProducer(Options options, PromiseBook* book)
    : options_(std::move(options)),
      book_(book),
      client_(ConnectPatiently(options_.url, options_.name)),
      random_(options_.seed) {
  auto producer = client_.NewProducer({.room_timeout = kPatience, .want_ids = true});
  BATON_CHECK(producer.ok()) << producer.status();
  producer_.emplace(*std::move(producer));
  thread_ = std::thread([this] { Run(); });
}

BusyProducer::~BusyProducer() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void BusyProducer::Run() {
  while (!stopping_) {
    const PromiseBook::Totals totals = book_->totals();
    const uint64_t gone = totals.refused + totals.acked + totals.acks_refused + totals.acks_unanswered;
    if (totals.published < gone + options_.waiting_max) {
      const BusyQueue& queue = options_.queues[Random(options_.queues.size() - 1)];
      for (uint64_t left = 1 + Random(kBurstMax - 1); left > 0; --left) PublishOne(queue);
    }
    SleepFor(microseconds(Random(6'000)));
  }
}

void BusyProducer::PublishOne(const BusyQueue& queue) {
  const std::string key = fmt::format("{}-{}", options_.name, ++published_);
  Message message;
  // Mostly small; now and then one of many blocks of the log.
  message.body = MakeTestBody(key, key.size() + 1 + Random(Random(99) == 0 ? 100'000 : 1'500));
  message.priority = static_cast<uint32_t>(Random(3));
  if (Random(9) == 0) message.delay = milliseconds(1 + Random(kDelayMax.count() - 1));
  book_->Publishing(key, {.queue = queue.name,
                          .priority = message.priority,
                          .committed_delivery = queue.delivery == DeliveryMode::kCommitted,
                          .not_before = system_clock::now() + message.delay});
  producer_->Publish(queue.name, message, [this, key](const absl::StatusOr<Confirmation>& answer) {
    book_->Answered(key, answer);
  });
}

absl::Status BusyProducer::Stop() {
  stopping_ = true;
  thread_.join();
  if (absl::Status flushed = producer_->Flush(kPatience); !flushed.ok()) return flushed;
  return client_.Close();
}

BusyConsumer::BusyConsumer(Options options, PromiseBook* book)
    : seed_(options.seed), book_(book), client_(ConnectPatiently(options.url, options.name)) {
  for (const BusyQueue& queue : options.queues) {
    auto consumer = client_.Subscribe({.queue = queue.name, .handler_threads = 2, .credit = 32},
                                      [this](Delivery& delivery) { return Handle(delivery); });
    BATON_CHECK(consumer.ok()) << consumer.status();
    consumers_.push_back(*std::move(consumer));
  }
}

Outcome BusyConsumer::Handle(Delivery& delivery) {
  const PromiseBook::Seen seen = SeenOf(delivery);
  book_->Delivered(seen);
  // What becomes of a delivery follows from the seed, whichever thread has it.
  std::mt19937_64 random(seed_ + std::hash<std::string>{}(seen.key) + seen.token.delivery.value());
  const uint64_t choice = random() % 100;
  if (choice < 4) return Outcome::Release();
  if (choice < 12) {
    const milliseconds delay(random() % kNackDelayMax.count());
    delivery.Nack({.reason = "busy", .delay = delay},
                  [this, seen, not_before = system_clock::now() + delay](const absl::Status& status) {
                    book_->NackAnswered(seen.key, seen.token, status, not_before);
                  });
    return Outcome::Manual();
  }
  if (choice < 16) SleepFor(milliseconds(random() % kHandlingMax.count()));
  book_->AckSent(seen.key, seen.token);
  delivery.Ack(
      [this, seen](const absl::Status& status) { book_->AckAnswered(seen.key, seen.token, status); });
  return Outcome::Manual();
}

absl::Status BusyConsumer::Stop() {
  for (Consumer& consumer : consumers_) {
    if (absl::Status stopped = consumer.Stop(kPatience); !stopped.ok()) return stopped;
  }
  return client_.Close();
}

namespace {

std::vector<std::string> ArgumentsOf(const DoomedConsumer::Options& options) {
  std::vector<std::string> arguments = {BATON_BIN_DIR "/tests/doomed_consumer", options.url,
                                        options.directory + "/events", std::to_string(options.hold_every)};
  arguments.insert(arguments.end(), options.queues.begin(), options.queues.end());
  std::filesystem::create_directories(options.directory);
  return arguments;
}

}  // namespace

DoomedConsumer::DoomedConsumer(const Options& options)
    : events_path_(options.directory + "/events"),
      errors_path_(options.directory + "/stderr"),
      process_(ArgumentsOf(options), errors_path_) {}

std::string DoomedConsumer::Describe() {
  const auto read = [this] {
    std::ifstream file(errors_path_);
    return std::string{std::istreambuf_iterator<char>(file), {}};
  };
  const size_t before = read().size();
  process_.Signal(SIGUSR1);
  for (int i = 0; i < 100 && read().size() == before; ++i) SleepFor(milliseconds(10));
  return "a process of its own, pid " + std::to_string(process_.pid()) + ": " + read().substr(before);
}

bool DoomedConsumer::WaitUntilHolding(milliseconds timeout) {
  return process_.ReadLine(timeout) == "holding";
}

std::vector<DoomedConsumer::Held> DoomedConsumer::Kill(PromiseBook* book) {
  process_.Signal(SIGKILL);
  BATON_CHECK_EQ(process_.Wait(kPatience).value_or(0), -SIGKILL) << "it had ended by itself";
  Report(book);
  return std::exchange(held_, {});
}

void DoomedConsumer::Report(PromiseBook* book) {
  std::ifstream file(events_path_);
  file.seekg(reported_);
  std::string line;
  while (std::getline(file, line) && !file.eof()) {  // a line without its end is not written yet
    ReportEvent(line, book);
    reported_ += static_cast<std::streamoff>(line.size()) + 1;
  }
}

void DoomedConsumer::ReportEvent(const std::string& line, PromiseBook* book) {
  std::istringstream words(line);
  std::string event;
  std::string token_text;
  words >> event >> token_text;
  const LeaseToken token = TokenOf(token_text);
  PromiseBook::Seen seen{.token = token};
  if (event == "delivered") {
    int64_t micros = 0;
    words >> seen.queue >> seen.priority >> seen.redelivered >> micros >> seen.key;
    seen.at = system_clock::time_point(microseconds(micros));
    return book->Delivered(seen);
  }
  std::string answer;
  words >> seen.key >> answer;
  if (event == "holding") held_.push_back({.token = token, .key = seen.key});
  if (event == "acking") book->AckSent(seen.key, token);
  // Any other answer may be about an ack whose first answer was lost: perhaps done.
  if (event == "acked" && answer == "OK") book->AckAnswered(seen.key, token, absl::OkStatus());
  if (event == "acked" && answer == reason::kLeaseLost) {
    book->AckAnswered(seen.key, token,
                      MakeError(absl::StatusCode::kFailedPrecondition, reason::kLeaseLost, "lost"));
  }
}

}  // namespace baton
