#include "tests/stress/policy_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "tests/support/stored_messages.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr uint64_t kLimit = 50;  // messages
constexpr milliseconds kTtl{300};
constexpr seconds kPatience{60};

// Where what was published to a queue may be at the end.
const std::map<std::string, std::vector<std::string>>& Homes() {
  static const std::map<std::string, std::vector<std::string>> homes = {
      {"failing", {"failing", "dead"}},  // one attempt, and each is nacked
      {"passing", {"late"}},             // nobody takes them in time
      {"fleeting", {}},                  // the same, and they go
      {"limited", {"limited"}},          // refuses what is beyond
      {"newest", {"newest"}}};           // drops its oldest
  return homes;
}

bool IsThere(const std::vector<std::string>& places, const std::string& queue) {
  return std::find(places.begin(), places.end(), queue) != places.end();
}

}  // namespace

absl::Status PolicyWatch::CreateQueues(Client& client) {
  const std::pair<const char*, QueueConfig> queues[] = {
      {"dead", {}},
      {"late", {}},
      {"failing", {.attempts_max = 1, .exhausted = Disposal::kDeadLetter, .dead_letter_queue = "dead"}},
      {"passing", {.expired = Disposal::kDeadLetter, .dead_letter_queue = "late", .ttl = kTtl}},
      {"fleeting", {.ttl = kTtl}},
      {"limited", {.messages_max = kLimit}},
      {"newest", {.messages_max = kLimit, .overflow = OverflowPolicy::kDropOldest}}};
  for (const auto& [name, config] : queues) {
    if (const auto created = client.CreateQueue(name, config); !created.ok()) return created.status();
  }
  return absl::OkStatus();
}

PolicyWatch::PolicyWatch(std::string url, uint64_t seed)
    : url_(std::move(url)), random_(seed), thread_([this] { Run(); }) {}

PolicyWatch::~PolicyWatch() { Stop(); }

void PolicyWatch::Stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void PolicyWatch::Run() {
  while (!stopping_) {
    auto client = Client::Connect({.url = url_, .connect_timeout = seconds(1), .call_timeout = seconds(5)});
    for (int i = 0; client.ok() && i < 500 && !stopping_; ++i) {
      PublishSome(*client);
      FailSome(*client);
      AckSome(*client);
      CheckLimit(*client);
      std::this_thread::sleep_for(milliseconds(random_() % 20));
    }
    if (!client.ok()) std::this_thread::sleep_for(milliseconds(20));
  }
}

void PolicyWatch::PublishSome(Client& client) {
  const auto home = std::next(Homes().begin(), static_cast<std::ptrdiff_t>(random_() % Homes().size()));
  std::vector<Message> messages;
  std::vector<Sent*> sent;
  for (uint64_t count = 1 + random_() % 5; count > 0; --count) {
    const std::string key = fmt::format("{}-{}", home->first, ++last_);
    messages.push_back({.body = key + "|"});
    sent.push_back(&(sent_[key] = {.order = last_, .queue = home->first}));
  }
  const auto answers = client.Publish(home->first, messages);
  for (size_t i = 0; answers.ok() && i < sent.size(); ++i) {
    const absl::Status& status = answers->at(i).status();
    if (status.ok()) ++confirmed_;
    if (status.ok()) sent[i]->fate = Fate::kConfirmed;
    if (absl::IsResourceExhausted(status)) sent[i]->fate = Fate::kRefused;
  }
}

void PolicyWatch::FailSome(Client& client) {
  const auto received = client.Receive({.queue = "failing", .messages_max = 5});
  std::vector<std::string> tokens;
  for (size_t i = 0; received.ok() && i < received->size(); ++i) tokens.push_back(received->at(i).token);
  if (!tokens.empty()) client.Nack(tokens).IgnoreError();
}

void PolicyWatch::AckSome(Client& client) {
  const auto received = client.Receive({.queue = "limited", .messages_max = 2});
  std::vector<std::string> tokens;
  std::vector<Sent*> sent;
  for (size_t i = 0; received.ok() && i < received->size(); ++i) {
    const std::string& body = received->at(i).body;
    const std::string key = body.substr(0, body.find('|'));
    const auto known = sent_.find(key);
    if (known == sent_.end() || known->second.fate == Fate::kRefused || known->second.acked) {
      Complain(key, "was delivered, though it cannot be there");
      continue;
    }
    tokens.push_back(received->at(i).token);
    sent.push_back(&known->second);
  }
  if (tokens.empty()) return;
  for (Sent* message : sent) message->perhaps_acked = true;
  const auto answers = client.Ack(tokens);
  for (size_t i = 0; answers.ok() && i < sent.size(); ++i) sent[i]->acked = answers->at(i).ok();
}

void PolicyWatch::CheckLimit(Client& client) {
  const auto queue = client.GetQueue("limited");
  if (!queue.ok()) return;
  const uint64_t count = queue->counts.ready + queue->counts.leased + queue->counts.delayed;
  if (count > kLimit) Complain("limited", fmt::format("holds {} of {} messages", count, kLimit));
}

std::vector<std::string> PolicyWatch::Judge(Client& client) {
  const auto settled = [&client] {
    const auto left = [&client](const std::string& queue) {
      const QueueCounts counts = CountsOf(client, queue);
      return counts.ready + counts.leased + counts.delayed;
    };
    const auto leased = [&client](const std::string& queue) { return CountsOf(client, queue).leased; };
    return left("passing") + left("fleeting") == 0 && left("newest") <= kLimit &&
           leased("failing") + leased("limited") == 0;
  };
  const auto deadline = steady_clock::now() + kPatience;
  while (!settled() && steady_clock::now() < deadline) std::this_thread::sleep_for(milliseconds(20));
  if (!settled()) Complain("queues", "what is due does not happen");
  Places places;
  for (const auto& message :
       ListStored(client, {"failing", "dead", "passing", "late", "fleeting", "limited", "newest"})) {
    places[message.key].push_back(message.queue);
    if (!sent_.contains(message.key)) Complain(message.key, "was never published");
  }
  for (const auto& [key, sent] : sent_) JudgeOne(key, sent, places);
  return complaints_;
}

void PolicyWatch::JudgeOne(const std::string& key, const Sent& sent, const Places& places) {
  static const std::vector<std::string> kNowhere;
  const auto found = places.find(key);
  const std::vector<std::string>& where = found == places.end() ? kNowhere : found->second;
  if (where.size() > 1) Complain(key, "is there more than once: " + where[0] + ", " + where[1]);
  for (const std::string& queue : where) {
    if (!IsThere(Homes().at(sent.queue), queue)) Complain(key, "is in " + queue);
  }
  if (sent.fate == Fate::kRefused && !where.empty()) Complain(key, "was refused, and is there");
  if (sent.acked && !where.empty()) Complain(key, "was acked, and is there");
  if (sent.fate != Fate::kConfirmed || sent.perhaps_acked || !where.empty()) return;
  if (sent.queue == "fleeting") return;
  sent.queue == "newest" ? JudgeDropped(key, sent) : Complain(key, "was confirmed, and is nowhere");
}

// It may go only when there are as many newer ones as the queue may hold.
void PolicyWatch::JudgeDropped(const std::string& key, const Sent& sent) {
  const auto is_newer = [&sent](const auto& other) {
    return other.second.queue == "newest" && other.second.order > sent.order &&
           other.second.fate != Fate::kRefused;
  };
  if (static_cast<uint64_t>(std::count_if(sent_.begin(), sent_.end(), is_newer)) < kLimit)
    Complain(key, "was dropped, though it is one of the newest");
}

void PolicyWatch::Complain(const std::string& key, const std::string& what) {
  if (complaints_.size() < 20) complaints_.push_back(key + " " + what);
}

}  // namespace baton
