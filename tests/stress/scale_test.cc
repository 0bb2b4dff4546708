// Every feature at once, at the sizes where things change: backlogs beyond the budget, tables of several
// levels, bodies of 100 B and of 4 MiB, restarts in between; with calls of all kinds, made-up and stale ids
// among them. A book of every message tells whether any was lost, invented, or came again after its ack; the
// process's own memory and the length of the engine's turns are watched.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/message_id.h"
#include "baton/client.h"
#include "tests/support/broker_process.h"
#include "tests/support/http_get.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::AnyOf;
using testing::IsEmpty;

struct Scale {
  std::string name;
  size_t body_bytes;
  uint64_t budget_mib;
  uint64_t messages;  // published to each queue
  Durability durability = Durability::kDurable;

  friend std::ostream& operator<<(std::ostream& out, const Scale& scale) { return out << scale.name; }
};

// What is known of each message, by the key in its body.
class MessageBook {
 public:
  void Published(const std::string& key, bool may_be_dropped) {
    entries_[key].may_be_dropped = may_be_dropped;
  }
  void Delivered(const std::string& key, const std::string& id) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return Complain(key, "was never published");
    if (found->second.gone) Complain(key, "came again after it was acked or deleted");
    found->second.id = id;
  }
  void Gone(const std::string& key) {
    Entry& entry = entries_[key];
    if (entry.gone) Complain(key, "went twice");
    entry.gone = true;
  }
  // REQUIRES: the queues were drained.
  std::vector<std::string> Judge() {
    for (const auto& [key, entry] : entries_) {
      if (!entry.gone && !entry.may_be_dropped) Complain(key, "is lost");
    }
    return complaints_;
  }

 private:
  struct Entry {
    bool may_be_dropped = false;
    bool gone = false;
    std::string id;
  };
  void Complain(const std::string& key, const std::string& what) {
    if (complaints_.size() < 20) complaints_.push_back(fmt::format("{} {}", key, what));
  }

  std::map<std::string, Entry> entries_;
  std::vector<std::string> complaints_;
};

class AtScale : public testing::TestWithParam<Scale> {
 protected:
  static constexpr size_t kKeyBytes = 16;
  // Limits, backoff and disposals differ, and each queue of them is as long as the others.
  const std::vector<std::string> queues{"work", "brief", "later", "full", "dead"};

  void Start() {
    ASSERT_EQ(broker.Start(), "");
    client.emplace(Client::Connect({.url = broker.url()}).value());
  }

  void CreateQueues() {
    const auto create = [this](const std::string& name, QueueConfig config) {
      config.durability = GetParam().durability;
      const auto created = client->CreateQueue(name, config);
      ASSERT_TRUE(created.ok()) << created.status();
    };
    create("dead", {});
    create("work", {.attempts_max = 3, .dead_letter_queue = "dead"});
    create("brief", {.expired = Disposal::kDeadLetter, .dead_letter_queue = "dead"});
    create("later", {.attempts_max = 0, .backoff = 10ms});
    create("full", {.messages_max = GetParam().messages / 2, .overflow = OverflowPolicy::kDropOldest});
  }

  // With priorities; `brief` ones expire, `later` ones are delayed.
  void PublishBacklog() {
    auto producer = client->NewProducer();
    ASSERT_TRUE(producer.ok()) << producer.status();
    for (uint64_t i = 0; i < GetParam().messages; ++i) {
      for (const std::string& queue : queues) {
        if (queue == "dead") continue;
        std::string body = fmt::format("{}-{}", queue, ++published_);
        book.Published(body, queue == "full");
        body.resize(kKeyBytes, ' ');
        body.resize(std::max(kKeyBytes, GetParam().body_bytes), 'x');
        Message message{.body = std::move(body)};
        message.priority = static_cast<uint32_t>(Random(4));
        if (queue == "brief") message.ttl = std::chrono::milliseconds(500 + Random(2'500));
        if (queue == "later") message.delay = std::chrono::milliseconds(Random(3'000));
        producer->Publish(queue, message, [this](const absl::StatusOr<Confirmation>& answer) {
          if (!answer.ok()) refused_ = answer.status();
        });
      }
    }
    ASSERT_EQ(producer->Flush(60s), absl::OkStatus()) << refused_;
  }

  void DoAnything() {
    const std::string& queue = queues[Random(queues.size() - 1)];
    switch (Random(9)) {
      case 0:
      case 1:
      case 2:
        TakeAndSettle(queue);
        break;
      case 3:
        SettleStale();
        break;
      case 4:
        Browse(queue);
        break;
      case 5:
        GetOrDelete(queue);
        break;
      case 6:
        MakeUpIds();
        break;
      case 7:
        (void)client->PauseQueue(queue);
        (void)client->ResumeQueue(queue);
        break;
      case 8:
        EXPECT_TRUE(client->UpdateQueue(queue, {.lease = std::chrono::seconds(30 + Random(30))}).ok());
        break;
      default:
        EXPECT_TRUE(client->Status().ok());
    }
    WatchMemory();
  }

  // Sessions that honestly hold what they were given.
  struct Holder {
    Client client;
    Consumer consumer;
  };
  std::vector<Holder> HoldOneEach() {
    std::vector<Holder> holders;
    for (size_t i = 0; i < 40; ++i) {
      auto other = Client::Connect({.url = broker.url()});
      EXPECT_TRUE(other.ok()) << other.status();
      auto consumer = other->Subscribe({.queue = queues[i % (queues.size() - 1)], .credit = 1});
      EXPECT_TRUE(consumer.ok()) << consumer.status();
      holders.push_back({.client = *std::move(other), .consumer = *std::move(consumer)});
    }
    return holders;
  }

  void TakeAndSettle(const std::string& queue) {
    const auto messages =
        client->Receive({.queue = queue, .messages_max = 1 + static_cast<uint32_t>(Random(200))});
    if (!messages.ok()) {  // others hold too much, or it is large
      EXPECT_EQ(messages.status().code(), absl::StatusCode::kResourceExhausted) << messages.status();
      return;
    }
    for (const ReceivedMessage& message : *messages) book.Delivered(KeyOf(message.body), message.message_id);
    std::vector<std::string> tokens;
    for (const ReceivedMessage& message : *messages) tokens.push_back(message.token);
    if (tokens.empty()) return;
    if (stale_.size() < 1'000) stale_.insert(stale_.end(), tokens.begin(), tokens.end());
    ids_.push_back(messages->front().message_id);
    switch (Random(5)) {
      case 0:
        Answered(
            client->Nack(tokens, {.reason = "not now", .delay = std::chrono::milliseconds(Random(200))}));
        break;
      case 1:
        Answered(client->Release(tokens));
        break;
      case 2:
        Answered(client->DeadLetter(tokens, "no good"));
        break;
      case 3:
        Answered(client->Extend(tokens, 10s));
        [[fallthrough]];
      default:
        Ack(*messages, tokens);
    }
  }

  void Ack(const std::vector<ReceivedMessage>& messages, const std::vector<std::string>& tokens) {
    const auto answers = client->Ack(tokens);
    ASSERT_TRUE(answers.ok()) << answers.status();
    for (size_t i = 0; i < messages.size(); ++i) {
      if ((*answers)[i].ok()) book.Gone(KeyOf(messages[i].body));
    }
  }

  template <class Answers>
  void Answered(const Answers& answers) {
    EXPECT_TRUE(answers.ok() || answers.status().code() == absl::StatusCode::kResourceExhausted)
        << answers.status();
  }

  // Tokens that were used before: each is refused, or was not decided (a nack), and harms nobody. Not acked,
  // for an ack of a nacked message that was not delivered since counts.
  void SettleStale() {
    if (stale_.empty()) return;
    const std::vector<std::string> tokens(1, stale_[Random(stale_.size() - 1)]);
    Answered(client->Extend(tokens, 1s));
  }

  void Browse(const std::string& queue) {
    ListMessagesOptions options{.queue = queue, .page_size = 1 + static_cast<uint32_t>(Random(300))};
    options.state = static_cast<MessageState>(std::array{1, 3, 4}[Random(2)]);
    for (int pages = 0; pages < 3; ++pages) {
      const auto page = client->ListMessages(options);
      if (!page.ok()) {
        EXPECT_EQ(page.status().code(), absl::StatusCode::kResourceExhausted) << page.status();
        return;
      }
      for (const MessageInfo& info : page->messages) {
        if (ids_.size() < 1'000) ids_.push_back(info.message_id);
      }
      if (page->next_page_token.empty()) break;
      options.page_token = page->next_page_token;
    }
    options.page_token = std::string(1 + Random(60), static_cast<char>('a' + Random(20)));
    (void)client->ListMessages(options);  // nonsense: an answer, of whatever kind
  }

  void GetOrDelete(const std::string& queue) {
    const auto page = client->ListMessages({.queue = queue, .page_size = 1});
    if (!page.ok() || page->messages.empty()) return;
    const MessageInfo& info = page->messages.front();
    if (Random(1) == 0) {
      (void)client->GetMessage(info.message_id);
    } else if (client->DeleteMessage(info.message_id).ok()) {
      book.Gone(KeyOf(info.body));
    }
  }

  // A true one with one field changed.
  void MakeUpIds() {
    if (ids_.empty()) return;
    std::optional<MessageId> id = MessageId::FromText(ids_[Random(ids_.size() - 1)]);
    ASSERT_TRUE(id.has_value());
    switch (Random(2)) {
      case 0:
        id->place ^= uint64_t{1} << Random(30);
        break;
      case 1:
        id->queue = QueueId(id->queue.value() ^ (Random(1) == 0 ? 0x80000000u : 1u));
        break;
      default:
        id->seq = Seq(id->seq.value() + 1'000'000'000);
    }
    const auto found = client->GetMessage(id->ToText());
    EXPECT_FALSE(found.ok());
    EXPECT_FALSE(client->DeleteMessage(id->ToText()).ok());
    const LeaseToken token{
        .epoch = Epoch(1), .delivery = DeliveryNumber(1 + Random(100)), .attempt = 1, .id = *id};
    const std::vector<std::string> tokens(1 + Random(10), token.ToText());
    Answered(client->Nack(tokens));
    Answered(client->Ack(tokens));
  }

  // Until nothing is left anywhere.
  void Drain() {
    const auto end = std::chrono::steady_clock::now() + 120s;
    for (bool left = true; left;) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "something never came";
      left = false;
      for (const std::string& queue : queues) {
        const auto info = client->GetQueue(queue);
        ASSERT_TRUE(info.ok()) << info.status();
        const QueueCounts& counts = info->counts;
        DeleteParked(queue, counts.parked);
        left = left || counts.ready + counts.leased + counts.delayed > 0;
        if (counts.ready + counts.delayed == 0) continue;
        const auto messages = client->Receive({.queue = queue, .messages_max = 4'096, .wait = 50ms});
        if (!messages.ok()) continue;
        std::vector<std::string> tokens;
        for (const ReceivedMessage& message : *messages) {
          book.Delivered(KeyOf(message.body), message.message_id);
          tokens.push_back(message.token);
        }
        if (!tokens.empty()) Ack(*messages, tokens);
      }
      WatchMemory();
    }
  }

  void DeleteParked(const std::string& queue, uint64_t count) {
    if (count == 0) return;
    const auto page =
        client->ListMessages({.queue = queue, .state = MessageState::kParked, .page_size = 1'000});
    ASSERT_TRUE(page.ok()) << page.status();
    for (const MessageInfo& info : page->messages) {
      book.Delivered(KeyOf(info.body), info.message_id);
      ASSERT_EQ(client->DeleteMessage(info.message_id), absl::OkStatus());
      book.Gone(KeyOf(info.body));
    }
  }

  static std::string KeyOf(const std::string& body) {
    std::string key = body.substr(0, kKeyBytes);
    key.resize(std::min(key.size(), key.find(' ')));
    return key;
  }

  // The process's own; shared memory has a limit of its own.
  void WatchMemory() {
    std::ifstream file(fmt::format("/proc/{}/status", broker.process().pid()));
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("RssAnon:"))
        memory_peak = std::max<uint64_t>(memory_peak, uint64_t{std::stoull(line.substr(8))} << 10);
    }
  }

  // Of this life of the broker.
  double LongestTurnSeconds() {
    double longest = 0;
    const auto status = client->Status();
    if (!status.ok()) return 0;
    for (const std::string& address : status->listening) {
      if (!address.starts_with("http://")) continue;
      const std::string text = HttpGet(address + "/metrics").body;
      double below = 0;
      const std::string_view name = "baton_loop_turn_seconds_bucket{le=\"";
      for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
        const std::string bound =
            text.substr(at + name.size(), text.find('"', at + name.size()) - at - name.size());
        const double count = std::stod(text.substr(text.find("} ", at) + 2));
        if (count > below) longest = bound == "+Inf" ? 1e9 : std::stod(bound);
        below = count;
      }
    }
    return longest;
  }

  uint64_t Random(uint64_t max) { return std::uniform_int_distribution<uint64_t>(0, max)(random); }

  std::mt19937_64 random{RandomSeed()};
  BrokerProcess broker{{.flags = {"--memory-budget", fmt::format("{}MiB", GetParam().budget_mib),
                                  "--memory-queue-bytes", "2GiB", "--http", "127.0.0.1:0"}}};
  std::optional<Client> client;
  MessageBook book;
  uint64_t memory_peak = 0;

 private:
  uint64_t published_ = 0;
  absl::Status refused_;
  std::vector<std::string> stale_;
  std::vector<std::string> ids_;
};

TEST_P(AtScale, NothingIsLostInventedOrKeptInMemory) {
  Start();
  ASSERT_NO_FATAL_FAILURE(CreateQueues());
  ASSERT_NO_FATAL_FAILURE(PublishBacklog());
  double longest_turn = LongestTurnSeconds();
  ASSERT_EQ(broker.Stop(SIGTERM, 10s), std::optional<int>(0));
  Start();
  {
    // One that takes what its credit allows, and does nothing with it.
    auto idle = client->Subscribe({.queue = "work", .credit = 100});
    ASSERT_TRUE(idle.ok()) << idle.status();
    const std::vector<Holder> others = HoldOneEach();
    for (int i = 0; i < 150; ++i) DoAnything();
    longest_turn = std::max(longest_turn, LongestTurnSeconds());
  }
  broker.Kill();
  Start();
  ASSERT_NO_FATAL_FAILURE(PublishBacklog());
  for (int i = 0; i < 150; ++i) DoAnything();
  Drain();
  longest_turn = std::max(longest_turn, LongestTurnSeconds());

  EXPECT_THAT(book.Judge(), IsEmpty());
  RecordProperty("memory_peak_mib", static_cast<int>(memory_peak >> 20));
  RecordProperty("longest_turn_ms", static_cast<int>(longest_turn * 1e3));
  std::printf("memory %llu MiB of %llu, longest turn %.3f s\n",
              static_cast<unsigned long long>(memory_peak >> 20),
              static_cast<unsigned long long>(GetParam().budget_mib), longest_turn);
#if !defined(__SANITIZE_ADDRESS__)
  // And of the largest messages one in each place on its way (docs/operations.md): the more of them the less
  // the machine has time for each.
  EXPECT_LE(memory_peak, GetParam().budget_mib * (1u << 20) * 17 / 10 + 40 * GetParam().body_bytes);
#endif
  // 50 ms are promised; a machine that does other things may stop a turn in between.
  EXPECT_LE(longest_turn, 2.5);
  EXPECT_EQ(broker.Stop(SIGTERM, 10s), std::optional<int>(0));
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, AtScale,
    testing::Values(Scale{"Of100BytesAt64MiB", 100, 64, 20'000}, Scale{"Of1KiBAt64MiB", 1'024, 64, 20'000},
                    Scale{"Of1MiBAt64MiB", 1u << 20, 64, 60}, Scale{"Of4MiBAt64MiB", 4u << 20, 64, 20},
                    Scale{"Of1KiBAt256MiB", 1'024, 256, 40'000}, Scale{"Of4MiBAt256MiB", 4u << 20, 256, 40},
                    Scale{"OfMemoryQueues1KiBAt64MiB", 1'024, 64, 10'000, Durability::kMemory},
                    Scale{"OfMemoryQueues1MiBAt64MiB", 1u << 20, 64, 60, Durability::kMemory}),
    [](const testing::TestParamInfo<Scale>& info) { return info.param.name; });

}  // namespace
}  // namespace baton
