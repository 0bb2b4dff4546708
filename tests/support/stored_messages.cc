#include "tests/support/stored_messages.h"

#include <gtest/gtest.h>

#include <map>

#include "base/check.h"
#include "tests/support/busy_clients.h"

namespace baton {
namespace {

constexpr std::chrono::seconds kPatience{30};  // reached only by a failure

}  // namespace

QueueCounts CountsOf(Client& client, const std::string& queue) {
  const auto info = client.GetQueue(queue);
  BATON_CHECK(info.ok()) << info.status();
  return info->counts;
}

std::vector<PromiseBook::Listed> ListStored(Client& client, const std::vector<std::string>& queues) {
  std::vector<PromiseBook::Listed> all;
  for (const std::string& queue : queues) {
    for (const MessageState state : {MessageState::kReady, MessageState::kDelayed, MessageState::kParked}) {
      ListMessagesOptions options{.queue = queue, .state = state, .page_size = 1'000};
      do {
        const auto page = client.ListMessages(options);
        BATON_CHECK(page.ok()) << page.status();
        for (const MessageInfo& message : page->messages) {
          all.push_back({.key = message.body.substr(0, message.body.find('|')),
                         .queue = queue,
                         .message_id = message.message_id,
                         .attempts = message.attempts});
        }
        options.page_token = page->next_page_token;
      } while (!options.page_token.empty());
    }
  }
  return all;
}

void Drain(Client& client, const std::string& queue, uint64_t count, PromiseBook& book) {
  auto consumer = client.Subscribe({.queue = queue, .credit = 64});
  ASSERT_TRUE(consumer.ok()) << consumer.status();
  uint32_t priority = UINT32_MAX;
  std::map<uint64_t, uint64_t> sequences;  // of this priority, by producer
  for (uint64_t i = 0; i < count; ++i) {
    auto received = consumer->Receive(kPatience);
    ASSERT_TRUE(received.ok()) << received.status();
    ASSERT_TRUE(received->has_value()) << "only " << i << " of " << count << " messages came from " << queue;
    Delivery& delivery = **received;
    const PromiseBook::Seen seen = SeenOf(delivery);
    book.Delivered(seen);
    book.AckSent(seen.key, seen.token);
    delivery.Ack(
        [&book, seen](const absl::Status& status) { book.AckAnswered(seen.key, seen.token, status); });
    EXPECT_LE(seen.priority, priority) << seen.key << " came from " << queue << " after less urgent ones";
    if (seen.priority < priority) sequences.clear();
    priority = seen.priority;
    uint64_t& sequence = sequences[delivery.producer_id()];
    EXPECT_GT(delivery.sequence(), sequence) << seen.key << " came from " << queue << " out of order";
    sequence = delivery.sequence();
  }
  EXPECT_TRUE(consumer->Stop(kPatience).ok());
  const QueueCounts left = CountsOf(client, queue);
  EXPECT_EQ(left.ready + left.leased + left.delayed + left.parked, 0u) << queue;
}

}  // namespace baton
