// Limits of a queue, and what a publish over one meets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "server/engine/queue_record.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> Numbers(int first, int last) {
  std::vector<std::string> numbers;
  for (int i = first; i <= last; ++i) numbers.push_back(std::to_string(i));
  return numbers;
}

TEST(Limit, OfMessagesRejectsThePublishAndSaysSo) {
  EngineFixture broker({.messages_max = 2});
  broker.PublishMany("orders", 2);

  const PublishResult result = broker.TryPublish("orders", "one too many");

  EXPECT_EQ(result.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(result.status), reason::kQueueFull);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("orders is full: 2 of 2 messages"));
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("0", "1"));
}

TEST(Limit, OfMessagesCountsReadyLeasedAndDelayed) {
  EngineFixture broker({.messages_max = 3});
  broker.Publish("orders", "leased");
  const Delivery held = broker.Receive("orders").value();
  broker.Publish("orders", "delayed", {.delay = 1h});
  broker.Publish("orders", "ready");

  EXPECT_FALSE(broker.TryPublish("orders", "x").status.ok());
  EXPECT_TRUE(broker.Ack(held).ok());

  EXPECT_TRUE(broker.TryPublish("orders", "y").status.ok());
}

TEST(Limit, OfBytesCountsBodiesAndHeaders) {
  EngineFixture broker({.bytes_max = 10});
  broker.Publish("orders", "12345", {.headers = "123"});
  EXPECT_EQ(broker.Queue("orders").bytes, 8u);

  EXPECT_EQ(ReasonOf(broker.TryPublish("orders", "123").status), reason::kQueueFull);
  EXPECT_TRUE(broker.TryPublish("orders", "12").status.ok());
}

TEST(Limit, IsJudgedForEachMessageOfABatch) {
  EngineFixture broker({.messages_max = 2});
  const SessionId session = broker.Connect(ProducerId(1));

  broker.PublishBatch(session, "orders", 1, {"a", "b", "c", "d"});

  const ConfirmRun& run = broker.Log(session).confirms.at(0);
  ASSERT_EQ(run.failures.size(), 2u);
  EXPECT_EQ(run.failures[0].sequence, 3u);
  EXPECT_EQ(run.failures[1].sequence, 4u);
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("a", "b"));
}

TEST(Limit, RefusedOnceMaySucceedLaterUnderTheSameSequence) {
  EngineFixture broker({.messages_max = 1});
  broker.Publish("orders", "a");
  const PublishOptions mine{.producer = ProducerId(9), .sequence = 1};
  EXPECT_FALSE(broker.TryPublish("orders", "b", mine).status.ok());
  broker.Drain("orders");

  const PublishResult again = broker.TryPublish("orders", "b", mine);

  EXPECT_TRUE(again.status.ok());
  EXPECT_FALSE(again.duplicate);
}

TEST(Limit, RaisedLiveTakesEffectAtOnce) {
  EngineFixture broker({.messages_max = 1});
  broker.Publish("orders", "a");
  EXPECT_FALSE(broker.TryPublish("orders", "b").status.ok());

  ASSERT_TRUE(broker.Update("orders", {.messages_max = 2}).ok());

  EXPECT_TRUE(broker.TryPublish("orders", "b").status.ok());
}

TEST(Limit, IsExactAfterARestart) {
  EngineFixture broker({.messages_max = 3});
  broker.PublishMany("orders", 3);

  broker.Restart();

  EXPECT_FALSE(broker.TryPublish("orders", "x").status.ok());
  EXPECT_EQ(broker.Queue("orders").ready, 3u);
}

TEST(DropOldest, MakesRoomByTheOldestOfTheLowestPriority) {
  EngineFixture broker({.messages_max = 4, .overflow = OverflowPolicy::kDropOldest});
  broker.Publish("orders", "high", {.priority = 9});
  broker.Publish("orders", "low 1");
  broker.Publish("orders", "low 2");
  broker.Publish("orders", "middle", {.priority = 5});

  broker.Publish("orders", "new");

  EXPECT_EQ(broker.Queue("orders").counters.dropped, 1u);
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("high", "middle", "low 2", "new"));
}

TEST(DropOldest, SparesLeasedMessages) {
  EngineFixture broker({.messages_max = 2, .overflow = OverflowPolicy::kDropOldest});
  broker.PublishMany("orders", 2);
  const Delivery held = broker.Receive("orders").value();

  broker.Publish("orders", "2");

  EXPECT_TRUE(broker.Ack(held).ok());
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("2"));
}

TEST(DropOldest, RejectsWhenEverythingIsLeasedOrDelayed) {
  EngineFixture broker({.messages_max = 2, .overflow = OverflowPolicy::kDropOldest});
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  broker.Publish("orders", "b", {.delay = 1h});

  EXPECT_EQ(ReasonOf(broker.TryPublish("orders", "c").status), reason::kQueueFull);
  EXPECT_TRUE(broker.Ack(held).ok());
}

TEST(DropOldest, MakesRoomForTheBytesOfALargeMessage) {
  EngineFixture broker({.bytes_max = 10, .overflow = OverflowPolicy::kDropOldest});
  for (const char* body : {"aaa", "bbb", "ccc"}) broker.Publish("orders", body);

  broker.Publish("orders", "ddddd");

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("ccc", "ddddd"));
}

TEST(DropOldest, DropsNothingForAMessageThatCanNeverFit) {
  EngineFixture broker({.bytes_max = 10, .overflow = OverflowPolicy::kDropOldest});
  broker.Publish("orders", "aaa");

  const absl::Status refused = broker.TryPublish("orders", "more than ten bytes").status;

  EXPECT_EQ(ReasonOf(refused), reason::kQueueFull);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("the message has 19 bytes, the queue orders takes at most 10 (bytes_max)"));
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("aaa"));
}

TEST(DropOldest, FindsItsVictimsOnDisk) {
  EngineFixture broker({.messages_max = 20, .overflow = OverflowPolicy::kDropOldest},
                       {.window_messages = 3, .chunk_rows = 2});
  for (int i = 0; i < 10; ++i) broker.Publish("orders", std::to_string(i), {.priority = 1});
  for (int i = 10; i < 30; ++i) broker.Publish("orders", std::to_string(i));

  EXPECT_EQ(broker.Queue("orders").ready, 20u);
  EXPECT_EQ(broker.Queue("orders").counters.dropped, 10u);
  std::vector<std::string> expected = Numbers(0, 9);
  for (const std::string& number : Numbers(20, 29)) expected.push_back(number);
  EXPECT_EQ(broker.Drain("orders"), expected);
}

TEST(DropOldest, OnDiskHoldsTheLimitThoughTheOldestAreLeased) {
  EngineFixture broker({.messages_max = 20, .overflow = OverflowPolicy::kDropOldest},
                       {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 20);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(broker.Receive("orders", 1h)->body, std::to_string(i));

  for (int i = 20; i < 60; ++i) broker.Publish("orders", std::to_string(i));

  const QueueInfo info = broker.Queue("orders");
  EXPECT_EQ(info.leased, 5u);
  EXPECT_EQ(info.ready, 15u);
  EXPECT_EQ(broker.Drain("orders"), Numbers(45, 59));
}

TEST(DropOldest, OnDiskHoldsTheLimitOfBytesThoughNewMessagesAreLarger) {
  EngineFixture broker({.bytes_max = 1'000, .overflow = OverflowPolicy::kDropOldest},
                       {.window_messages = 3, .chunk_rows = 2});
  for (int i = 0; i < 100; ++i) broker.Publish("orders", std::string(10, 'a'));
  ASSERT_EQ(broker.Queue("orders").bytes, 1'000u);

  for (int i = 0; i < 20; ++i) {
    broker.Publish("orders", std::string(100, 'b'));
    EXPECT_LE(broker.Queue("orders").bytes, 1'000u);
  }

  EXPECT_EQ(broker.Drain("orders"), std::vector<std::string>(10, std::string(100, 'b')));
}

TEST(DropOldest, OnDiskComesDownToALoweredLimit) {
  EngineFixture broker({.overflow = OverflowPolicy::kDropOldest}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 100);
  ASSERT_TRUE(broker.Update("orders", {.messages_max = 10}).ok());

  broker.Publish("orders", "100");

  EXPECT_EQ(broker.Drain("orders"), Numbers(91, 100));
}

TEST(DeadLetterOldest, MovesTheOldestWithTheReason) {
  EngineFixture broker({.messages_max = 2});
  ASSERT_TRUE(broker.Create("dead").ok());
  ASSERT_TRUE(
      broker.Update("orders", {.dead_letter_queue = "dead", .overflow = OverflowPolicy::kDeadLetterOldest})
          .ok());
  broker.PublishMany("orders", 3);

  EXPECT_THAT(broker.Drain("orders"), ElementsAre("1", "2"));
  const Delivery moved = broker.Receive("dead").value();
  EXPECT_EQ(moved.body, "0");
  EXPECT_THAT(moved.headers, HasSubstr("queue full"));
}

TEST(DeadLetterOldest, NeedsADeadLetterQueueAndKeepsIt) {
  EngineFixture broker({.messages_max = 2});
  ASSERT_TRUE(broker.Create("dead").ok());
  const QueueConfigPatch oldest{.overflow = OverflowPolicy::kDeadLetterOldest};

  const absl::Status refused = broker.Update("orders", oldest);

  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(refused), reason::kQueueConfigInvalid);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("dead_letter_queue"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("drop-oldest"));
  EXPECT_EQ(ReasonOf(broker.Create("mail", oldest)), reason::kQueueConfigInvalid);
  ASSERT_TRUE(broker.Update("orders", {.dead_letter_queue = "dead", .overflow = oldest.overflow}).ok());
  EXPECT_EQ(ReasonOf(broker.Update("orders", {.dead_letter_queue = ""})), reason::kQueueConfigInvalid);
  EXPECT_EQ(broker.Queue("orders").config.dead_letter_queue, "dead");
  EXPECT_TRUE(
      broker.Update("orders", {.dead_letter_queue = "", .overflow = OverflowPolicy::kDropOldest}).ok());
}

TEST(DeadLetterOldest, OfAnEarlierVersionParksWithoutATargetAndCanStillBeChanged) {
  EngineFixture broker;
  const QueueId number = broker.Queue("orders").number;
  broker.RestartWith([&](Commit& commit) {
    const QueueConfig config{.messages_max = 2, .overflow = OverflowPolicy::kDeadLetterOldest};
    commit.Put(QueueKey("orders"),
               EncodeQueue({.number = number, .created = broker.now(), .config = config}));
  });
  broker.PublishMany("orders", 3);

  EXPECT_THAT(BodiesOf(broker.List("orders", MessageState::kParked)), ElementsAre("0"));
  EXPECT_TRUE(broker.Update("orders", {.lease = 1min}).ok());
  EXPECT_EQ(ReasonOf(broker.Update("orders", {.messages_max = 5})), reason::kQueueConfigInvalid);
}

TEST(DeadLetterOldest, FindsItsVictimsOnDisk) {
  EngineFixture broker({.messages_max = 10}, {.window_messages = 3, .chunk_rows = 2});
  ASSERT_TRUE(broker.Create("dead").ok());
  ASSERT_TRUE(
      broker.Update("orders", {.dead_letter_queue = "dead", .overflow = OverflowPolicy::kDeadLetterOldest})
          .ok());

  broker.PublishMany("orders", 30);

  EXPECT_EQ(broker.Drain("orders"), Numbers(20, 29));
  EXPECT_EQ(broker.Drain("dead"), Numbers(0, 19));
}

TEST(InFlightMax, BoundsWhatIsLeasedAtATime) {
  EngineFixture broker({.in_flight_max = 2});
  broker.PublishMany("orders", 5);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");

  const std::vector<Delivery> held = broker.Take(session);
  ASSERT_EQ(held.size(), 2u);
  EXPECT_FALSE(broker.Receive("orders").has_value());

  broker.SettleTags(session, {{held.at(0).tag, held.at(0).tag}});
  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("2"));
}

TEST(InFlightMax, LetsTheNextOneGoWhenALeaseEnds) {
  EngineFixture broker({.backoff = 1h, .in_flight_max = 1});
  broker.PublishMany("orders", 2);
  broker.Receive("orders", 10s);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  EXPECT_THAT(broker.Take(session), IsEmpty());

  broker.Advance(10s);

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("1"));
}

TEST(InFlightMax, RaisedLiveDeliversAtOnce) {
  EngineFixture broker({.in_flight_max = 1});
  broker.PublishMany("orders", 3);
  const SessionId session = broker.Connect();
  broker.Subscribe(session, "orders");
  ASSERT_EQ(broker.Take(session).size(), 1u);

  ASSERT_TRUE(broker.Update("orders", {.in_flight_max = 0}).ok());

  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("1", "2"));
}

TEST(LowDisk, RefusesPublishersWhileConsumersGoOn) {
  EngineFixture broker;
  broker.PublishMany("orders", 2);
  broker.SetDisk(DiskState::kLow);

  const absl::Status refused = broker.TryPublish("orders", "x").status;

  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused), reason::kDiskFull);
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("0", "1"));
  EXPECT_TRUE(broker.Status().disk_low);

  broker.SetDisk(DiskState::kOk);
  EXPECT_TRUE(broker.TryPublish("orders", "y").status.ok());
}

TEST(LowDisk, TellsOfADuplicateThatItIsStored) {
  EngineFixture broker;
  const PublishOptions first{.producer = ProducerId(5), .sequence = 1};
  ASSERT_TRUE(broker.TryPublish("orders", "a", first).status.ok());
  broker.SetDisk(DiskState::kLow);

  const PublishResult again = broker.TryPublish("orders", "a", first);

  EXPECT_TRUE(again.status.ok()) << again.status;
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(ReasonOf(broker.TryPublish("orders", "b", {.producer = ProducerId(5), .sequence = 2}).status),
            reason::kDiskFull);
}

TEST(Uncommitted, BytesOverTheLimitMakePublishersWaitUntilTheDiskHasCaughtUp) {
  EngineFixture broker({}, {.uncommitted_bytes_max = 1'000});
  broker.Hold(EngineFixture::Work::kWrites);
  const SessionId session = broker.Connect(ProducerId(1));

  for (uint64_t sequence = 1; sequence <= 100; ++sequence)
    broker.PublishBatch(session, "orders", sequence, {std::string(100, 'a')});
  EXPECT_LT(broker.Queue("orders").ready, 100u);
  EXPECT_GT(broker.Status().uncommitted_bytes, 1'000u);
  EXPECT_LT(broker.Status().uncommitted_bytes, 2'000u);
  EXPECT_THAT(broker.Log(session).confirms, IsEmpty());
  broker.LetGo(EngineFixture::Work::kWrites);

  EXPECT_EQ(broker.Status().uncommitted_bytes, 0u);
  EXPECT_EQ(broker.Queue("orders").ready, 100u);
  EXPECT_EQ(broker.Log(session).confirms.size(), 100u);
}

TEST(Uncommitted, BytesFarOverTheLimitRefuseCalls) {
  EngineFixture broker({}, {.uncommitted_bytes_max = 1'000});
  broker.Hold(EngineFixture::Work::kWrites);
  std::vector<CallId> calls;
  do {  // only a refusal is answered
    calls.push_back(broker.Start(Publish{.session = {},
                                         .call = {},
                                         .queue = "orders",
                                         .producer = {},
                                         .messages = {{.headers = {}, .body = std::string(100, 'a')}}}));
    ASSERT_LT(calls.size(), 100u);
  } while (!broker.IsAnswered(calls.back()));

  EXPECT_EQ(ReasonOf(broker.TakeAnswer(calls.back()).status()), reason::kBrokerBusy);
  calls.pop_back();
  broker.LetGo(EngineFixture::Work::kWrites);
  for (const CallId call : calls) EXPECT_TRUE(broker.TakeAnswer(call).ok());
  EXPECT_TRUE(broker.TryPublish("orders", "again").status.ok());
}

}  // namespace
}  // namespace baton
