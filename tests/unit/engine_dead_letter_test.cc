// Dead-lettering and parking: in one commit, with the story in headers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "baton/v1/session.pb.h"
#include "server/engine/queue_record.h"
#include "storage/format/records.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

using Headers = std::vector<std::pair<std::string, std::string>>;

Headers Decode(const std::string& bytes) {
  v1::Headers decoded;
  EXPECT_TRUE(decoded.ParseFromString(bytes));
  Headers headers;
  for (const v1::Header& header : decoded.headers()) headers.emplace_back(header.name(), header.value());
  return headers;
}

std::string Encode(const Headers& headers) {
  v1::Headers encoded;
  for (const auto& [name, value] : headers) {
    v1::Header& header = *encoded.add_headers();
    header.set_name(name);
    header.set_value(value);
  }
  return encoded.SerializeAsString();
}

// "orders" with a dead-letter queue "dead", after one failed attempt.
class DeadLetter : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(broker.Create("dead").ok());
    ASSERT_TRUE(broker.Update("orders", {.attempts_max = 1, .dead_letter_queue = "dead"}).ok());
  }
  // Fails its next attempt.
  void Fail(const std::string& queue, const std::string& reason = "") {
    EXPECT_TRUE(broker.Nack(broker.Receive(queue).value(), std::nullopt, reason).ok());
  }
  // "orders" names "dead", which is gone: an earlier version let it go.
  void LoseTheTarget() {
    const QueueInfo orders = broker.Queue("orders");
    ASSERT_TRUE(broker.Update("orders", {.dead_letter_queue = ""}).ok());
    broker.Delete("dead");
    broker.RestartWith([&](Commit& commit) {
      commit.Put(QueueKey("orders"), EncodeQueue({.number = orders.number,
                                                  .created = orders.created,
                                                  .paused = orders.paused,
                                                  .config = orders.config}));
    });
  }
  EngineFixture broker;
};

TEST_F(DeadLetter, MovesTheMessageWithItsBodyPriorityAndId) {
  const MessageId id = broker.Publish("orders", "a", {.priority = 7});

  Fail("orders");

  EXPECT_EQ(broker.Queue("orders").bytes, 0u);
  const Delivery delivery = broker.Receive("dead").value();
  EXPECT_EQ(delivery.body, "a");
  EXPECT_EQ(delivery.priority, 7u);
  EXPECT_EQ(delivery.token.id, id);
  EXPECT_EQ(broker.Get(id)->queue, "dead");
}

TEST_F(DeadLetter, TellsItsStoryInHeadersBehindTheMessagesOwn) {
  broker.Publish("orders", "a", {.headers = Encode({{"content-type", "text/plain"}})});

  Fail("orders", "no such customer");

  const std::string now = std::to_string(ToMillis(broker.now()));
  EXPECT_THAT(Decode(broker.Receive("dead")->headers),
              ElementsAre(Pair("content-type", "text/plain"), Pair("baton-dead-letter-queue", "orders"),
                          Pair("baton-dead-letter-reason", "attempts used up; last: nack"),
                          Pair("baton-dead-letter-attempts", "1"),
                          Pair("baton-dead-letter-last-reason", "no such customer"),
                          Pair("baton-dead-letter-unix-ms", now)));
}

TEST_F(DeadLetter, ResetsTheAttempts) {
  broker.Publish("orders", "a");

  Fail("orders");

  const Delivery delivery = broker.Receive("dead").value();
  EXPECT_EQ(delivery.attempt, 1u);
  EXPECT_FALSE(delivery.redelivered);
  EXPECT_EQ(broker.store().CountOf(RowKind::kAttempts), 0u);
}

TEST_F(DeadLetter, DropsTheOldTtl) {
  broker.Publish("orders", "a", {.ttl = 10s});
  Fail("orders");

  broker.Advance(24h);

  EXPECT_THAT(broker.Drain("dead"), ElementsAre("a"));
  EXPECT_EQ(broker.store().CountOf(RowKind::kExpiry), 0u);
}

TEST_F(DeadLetter, TakesTheTargetsTtlFromItsArrival) {
  ASSERT_TRUE(broker.Update("dead", {.ttl = 1min}).ok());
  broker.Publish("orders", "a", {.ttl = 10s});
  broker.Advance(9s);
  Fail("orders");

  broker.Advance(1min - 1ms);
  EXPECT_EQ(broker.Queue("dead").ready, 1u);
  broker.Advance(1ms);

  EXPECT_EQ(broker.Queue("dead").ready, 0u);
}

TEST_F(DeadLetter, ArrivesBehindWhatIsThere) {
  broker.Publish("orders", "moved");
  broker.Publish("dead", "was there");

  Fail("orders");

  EXPECT_THAT(broker.Drain("dead"), ElementsAre("was there", "moved"));
}

TEST_F(DeadLetter, IgnoresTheTargetsLimit) {
  ASSERT_TRUE(broker.Update("dead", {.messages_max = 1}).ok());
  broker.PublishMany("orders", 3);

  for (int i = 0; i < 3; ++i) Fail("orders");

  EXPECT_EQ(broker.Queue("dead").ready, 3u);
}

TEST_F(DeadLetter, ByTheConsumersWordNeedsNoMoreAttempts) {
  ASSERT_TRUE(broker.Update("orders", {.attempts_max = 16}).ok());
  broker.Publish("orders", "a");

  EXPECT_TRUE(broker.DeadLetter(broker.Receive("orders").value(), "malformed").ok());

  const Headers headers = Decode(broker.Receive("dead")->headers);
  EXPECT_THAT(headers, testing::IsSupersetOf({Pair("baton-dead-letter-reason", "rejected by the consumer"),
                                              Pair("baton-dead-letter-attempts", "1"),
                                              Pair("baton-dead-letter-last-reason", "malformed")}));
}

TEST_F(DeadLetter, SurvivesARestart) {
  const MessageId id = broker.Publish("orders", "a");
  Fail("orders");

  broker.Restart();

  EXPECT_EQ(broker.Get(id)->queue, "dead");
  EXPECT_EQ(broker.Receive("dead")->token.id, id);
}

TEST_F(DeadLetter, IsOneCommit) {
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  broker.Hold(EngineFixture::Work::kWrites);
  const uint64_t before = broker.store().submitted().value();

  broker.Start(SettleTokens{.call = {}, .settlement = {.kind = SettleKind::kNack}, .tokens = {held.token}});

  EXPECT_EQ(broker.store().submitted().value(), before + 1);
}

TEST_F(DeadLetter, OfAMessageOnDiskWorksToo) {
  EngineFixture small({.expired = Disposal::kDeadLetter}, {.window_messages = 2, .chunk_rows = 2});
  ASSERT_TRUE(small.Create("dead").ok());
  ASSERT_TRUE(small.Update("orders", {.dead_letter_queue = "dead"}).ok());
  small.PublishMany("orders", 20, {.ttl = 10s});

  small.Advance(10s);

  EXPECT_EQ(small.Queue("orders").bytes, 0u);
  EXPECT_EQ(small.Drain("dead").size(), 20u);
}

TEST_F(DeadLetter, AfterEightHopsParks) {
  // a ring of two: every failure moves it to the other
  ASSERT_TRUE(broker.Update("dead", {.attempts_max = 1, .dead_letter_queue = "orders"}).ok());
  const MessageId id = broker.Publish("orders", "a");

  for (uint32_t hop = 0; hop < kHopsMax; ++hop) Fail(hop % 2 == 0 ? "orders" : "dead");
  EXPECT_EQ(broker.Queue("orders").ready, 1u);
  Fail("orders");

  EXPECT_EQ(broker.Queue("orders").parked, 1u);
  EXPECT_EQ(broker.Get(id)->state, MessageState::kParked);
}

TEST_F(DeadLetter, HopsAreCountedOverARestart) {
  ASSERT_TRUE(broker.Update("dead", {.attempts_max = 1, .dead_letter_queue = "orders"}).ok());
  broker.Publish("orders", "a");

  for (uint32_t hop = 0; hop < kHopsMax; ++hop) {
    Fail(hop % 2 == 0 ? "orders" : "dead");
    broker.Restart();
  }
  Fail("orders");

  EXPECT_EQ(broker.Queue("orders").parked, 1u);
}

TEST_F(DeadLetter, WithTheTargetGoneParks) {
  const MessageId id = broker.Publish("orders", "a");
  LoseTheTarget();

  Fail("orders", "why");

  EXPECT_EQ(broker.Queue("orders").parked, 1u);
  EXPECT_EQ(broker.Get(id)->last_reason, "attempts used up; last: nack: why");
}

TEST_F(DeadLetter, GoesToTheQueueOfThatNameThoughItWasMadeAgain) {
  broker.Publish("orders", "a");
  LoseTheTarget();
  ASSERT_TRUE(broker.Create("dead").ok());

  Fail("orders");

  EXPECT_THAT(broker.Drain("dead"), ElementsAre("a"));
}

TEST_F(DeadLetter, CanBeSettledThereLikeAnyMessage) {
  broker.Publish("orders", "a");
  Fail("orders");
  const Delivery first = broker.Receive("dead").value();

  EXPECT_TRUE(broker.Nack(first, 1s).ok());
  broker.Advance(1s);
  const Delivery second = broker.Receive("dead").value();
  EXPECT_EQ(second.attempt, 2u);
  EXPECT_TRUE(broker.Ack(second).ok());

  for (const RowKind kind : {RowKind::kReady, RowKind::kDelayed, RowKind::kAttempts, RowKind::kLocator})
    EXPECT_EQ(broker.store().CountOf(kind), 0u) << static_cast<char>(kind);
}

TEST(Parked, MessagesStayUntilSomeoneDecides) {
  EngineFixture broker({.attempts_max = 1});
  const MessageId id = broker.Publish("orders", "a");
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());

  broker.Advance(24h * 365);
  broker.Restart();

  EXPECT_FALSE(broker.Receive("orders").has_value());
  EXPECT_EQ(broker.Queue("orders").parked, 1u);
  EXPECT_THAT(BodiesOf(broker.List("orders", MessageState::kParked)), ElementsAre("a"));
  EXPECT_TRUE(broker.DeleteMessage(id).ok());
  EXPECT_EQ(broker.Queue("orders").parked, 0u);
  EXPECT_EQ(broker.store().CountOf(RowKind::kAttempts), 0u);
  EXPECT_EQ(broker.store().CountOf(RowKind::kLocator), 0u);
}

TEST(Parked, MessagesDoNotExpire) {
  EngineFixture broker({.attempts_max = 1, .exhausted = Disposal::kPark, .ttl = 20s});
  const MessageId of_its_own = broker.Publish("orders", "its own TTL", {.ttl = 10s});
  const MessageId of_the_queue = broker.Publish("orders", "the queue's");
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  EXPECT_EQ(broker.store().CountOf(RowKind::kExpiry), 0u);

  broker.Advance(1min);
  broker.Restart();
  broker.Advance(1min);

  EXPECT_EQ(broker.Queue("orders").parked, 2u);
  EXPECT_EQ(broker.Queue("orders").counters.expired, 0u);
  for (const MessageId& id : {of_its_own, of_the_queue}) {
    ASSERT_TRUE(broker.Get(id).ok());
    EXPECT_EQ(broker.Get(id)->expires, kNever);
    EXPECT_EQ(broker.Get(id)->attempts, 1u);
    EXPECT_TRUE(broker.DeleteMessage(id).ok());
  }
  for (const RowKind kind : {RowKind::kParked, RowKind::kExpiry, RowKind::kAttempts, RowKind::kLocator})
    EXPECT_EQ(broker.store().CountOf(kind), 0u) << static_cast<char>(kind);
}

// An earlier version left a parked message its deadline, and dropped it then.
TEST(Parked, MessagesOfAnEarlierVersionDoNotExpireEither) {
  EngineFixture broker({.attempts_max = 1});
  const MessageId id = broker.Publish("orders", "a");
  const MessageId deleted = broker.Publish("orders", "b");
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  const QueueId number = broker.Queue("orders").number;
  const Instant deadline = broker.now() + 10s;
  broker.RestartWith([&](Commit& commit) {
    const std::pair<MessageId, const char*> parked[] = {{id, "a"}, {deleted, "b"}};
    for (const auto& [message, body] : parked) {
      std::string row;
      AppendMessageHead(
          row, {.born = broker.now(), .deadline = deadline, .id = message, .reason = "attempts used up"});
      commit.SingleDelete(ParkedKey(number, message.seq));
      commit.Put(ParkedKey(number, message.seq), row + body);
      commit.Put(ExpiryKey({deadline, number, message.seq}), EncodeExpiryHint(message));
    }
  });
  EXPECT_TRUE(broker.DeleteMessage(deleted).ok());

  broker.Advance(10s);

  EXPECT_THAT(BodiesOf(broker.List("orders", MessageState::kParked)), ElementsAre("a"));
  EXPECT_EQ(broker.store().CountOf(RowKind::kExpiry), 0u);
  broker.Advance(1h);
  broker.Restart();
  EXPECT_EQ(broker.Get(id)->last_reason, "attempts used up");
  EXPECT_EQ(broker.Get(id)->attempts, 1u);
  EXPECT_TRUE(broker.DeleteMessage(id).ok());
  for (const RowKind kind : {RowKind::kParked, RowKind::kExpiry, RowKind::kAttempts, RowKind::kLocator})
    EXPECT_EQ(broker.store().CountOf(kind), 0u) << static_cast<char>(kind);
}

TEST(Parked, MessagesKeepTheReasonOfTheirLastReturnOverARestart) {
  EngineFixture broker({.attempts_max = 2, .expired = Disposal::kPark});
  const std::string longest(kReasonBytesMax, 'x');
  const MessageId failed = broker.Publish("orders", "a");
  const MessageId silent = broker.Publish("orders", "b");
  const MessageId expired = broker.Publish("orders", "c", {.ttl = 10s});
  const MessageId rejected = broker.Publish("orders", "d");
  std::vector<Delivery> held = broker.ReceiveMany("orders", {.messages_max = 4});
  EXPECT_TRUE(broker.Nack(held.at(0), std::nullopt, "exit status 6").ok());
  EXPECT_TRUE(broker.Nack(held.at(1), std::nullopt, "exit status 6").ok());
  EXPECT_TRUE(broker.Nack(held.at(2), 1h, "busy").ok());
  EXPECT_TRUE(broker.DeadLetter(held.at(3), "malformed").ok());
  held = broker.ReceiveMany("orders", {.messages_max = 2});
  EXPECT_TRUE(broker.Nack(held.at(0), std::nullopt, longest).ok());
  EXPECT_TRUE(broker.Nack(held.at(1)).ok());
  broker.Advance(10s);

  broker.Restart();

  EXPECT_EQ(broker.Get(failed)->last_reason, "attempts used up; last: nack: " + longest);
  EXPECT_EQ(broker.Get(silent)->last_reason, "attempts used up; last: nack");
  EXPECT_EQ(broker.Get(expired)->last_reason, "expired; last return: busy");
  EXPECT_EQ(broker.Get(rejected)->last_reason, "rejected by the consumer: malformed");
}

TEST(Parked, MessagesWhoseLeaseEndedSaySoOnce) {
  EngineFixture broker({.lease = 30s, .attempts_max = 1});
  const MessageId id = broker.Publish("orders", "a");
  broker.Receive("orders");

  broker.Advance(30s);

  EXPECT_EQ(broker.Get(id)->last_reason, "attempts used up; last: lease ended");
}

TEST(Parked, MessagesRejectedAfterTheirLeaseKeepTheReasonToo) {
  EngineFixture broker({.lease = 30s});
  const MessageId id = broker.Publish("orders", "a");
  const Delivery lapsed = broker.Receive("orders").value();
  broker.Advance(30s);

  EXPECT_TRUE(broker.DeadLetter(lapsed, "malformed").ok());

  EXPECT_EQ(broker.Get(id)->last_reason, "rejected by the consumer: malformed");
}

TEST(Parked, MessagesDoNotCountForTheQueuesLimit) {
  EngineFixture broker({.attempts_max = 1, .messages_max = 1});
  broker.Publish("orders", "a");
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());

  EXPECT_TRUE(broker.TryPublish("orders", "b").status.ok());
}

TEST(Parked, MessagesCannotBeSettledByTheirToken) {
  EngineFixture broker({.attempts_max = 1});
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  EXPECT_TRUE(broker.Nack(held).ok());

  const absl::Status status = broker.Ack(held);

  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(status), reason::kLeaseLost);
}

TEST(Parked, MessagesListInTheOrderTheyWerePublished) {
  EngineFixture broker({.attempts_max = 1});
  for (const char* body : {"a", "b", "c"}) broker.Publish("orders", body);
  std::vector<Delivery> held = broker.ReceiveMany("orders", {.messages_max = 3});

  for (const size_t index : {2u, 0u, 1u}) EXPECT_TRUE(broker.Nack(held.at(index)).ok());

  EXPECT_THAT(BodiesOf(broker.List("orders", MessageState::kParked)), ElementsAre("a", "b", "c"));
}

TEST(Parked, MessagesGoWithAPurge) {
  EngineFixture broker({.attempts_max = 1});
  const MessageId id = broker.Publish("orders", "a");
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());

  EXPECT_EQ(broker.Purge("orders"), 1u);

  EXPECT_EQ(broker.Queue("orders").parked, 0u);
  EXPECT_EQ(broker.Get(id).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(broker.store().CountOf(RowKind::kParked), 0u);
}

}  // namespace
}  // namespace baton
