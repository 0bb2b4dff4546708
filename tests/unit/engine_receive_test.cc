// The unary Receive: takes what is there, or waits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

CallId StartWaiting(EngineFixture& broker, Duration wait, uint32_t messages_max = 1) {
  return broker.Start(
      Receive{.call = {}, .queue = "orders", .messages_max = messages_max, .bytes_max = 1'000, .wait = wait});
}

std::vector<std::string> Bodies(EngineFixture& broker, CallId call) {
  const auto reply = std::get<ReceiveReply>(broker.TakeAnswer(call).value());
  std::vector<std::string> bodies;
  for (const ReceivedMessage& message : reply.messages) bodies.push_back(message.body);
  return bodies;
}

TEST(Receive, WithNothingThereAnswersEmptyAtOnce) {
  EngineFixture broker;
  EXPECT_THAT(Bodies(broker, StartWaiting(broker, 0s)), IsEmpty());
}

TEST(Receive, TakesUpToItsNumberOfMessages) {
  EngineFixture broker;
  broker.PublishMany("orders", 5);

  EXPECT_THAT(BodiesOf(broker.ReceiveMany("orders", {.messages_max = 3})), ElementsAre("0", "1", "2"));
  EXPECT_THAT(BodiesOf(broker.ReceiveMany("orders", {.messages_max = 3})), ElementsAre("3", "4"));
}

TEST(Receive, TakesUpToItsBytesAndOneLargerMessage) {
  EngineFixture broker;
  for (const char* body : {"aaaa", "bbbb", "cccccccccccc"}) broker.Publish("orders", body);

  EXPECT_THAT(BodiesOf(broker.ReceiveMany("orders", {.messages_max = 10, .bytes_max = 9})),
              ElementsAre("aaaa", "bbbb"));
  EXPECT_THAT(BodiesOf(broker.ReceiveMany("orders", {.messages_max = 10, .bytes_max = 9})),
              ElementsAre("cccccccccccc"));
}

TEST(Receive, WaitsForTheFirstMessageAndNotForMore) {
  EngineFixture broker;
  const CallId call = StartWaiting(broker, 1min, /*messages_max=*/10);
  EXPECT_FALSE(broker.IsAnswered(call));

  broker.Publish("orders", "a");

  EXPECT_THAT(Bodies(broker, call), ElementsAre("a"));
}

TEST(Receive, WaitsAsLongAsItSaid) {
  EngineFixture broker;
  const CallId call = StartWaiting(broker, 10s);
  broker.Advance(10s - 1ms);
  EXPECT_FALSE(broker.IsAnswered(call));

  broker.Advance(1ms);

  EXPECT_THAT(Bodies(broker, call), IsEmpty());
  broker.Publish("orders", "a");
  EXPECT_EQ(broker.Queue("orders").ready, 1u);  // nobody took it
}

TEST(Receive, GetsAMessageThatIsDueWhileItWaits) {
  EngineFixture broker;
  broker.Publish("orders", "a", {.delay = 5s});
  const CallId call = StartWaiting(broker, 10s);

  broker.Advance(5s);

  EXPECT_THAT(Bodies(broker, call), ElementsAre("a"));
}

TEST(Receive, GetsWhatAnotherGivesBack) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  const Delivery held = broker.Receive("orders").value();
  const CallId call = StartWaiting(broker, 10s);

  EXPECT_TRUE(broker.Release(held).ok());

  EXPECT_THAT(Bodies(broker, call), ElementsAre("a"));
}

TEST(Receive, OfManyWaitingAreServedInTurn) {
  EngineFixture broker;
  const CallId first = StartWaiting(broker, 1min);
  const CallId second = StartWaiting(broker, 1min);
  const CallId third = StartWaiting(broker, 1min);

  broker.PublishMany("orders", 2);

  EXPECT_THAT(Bodies(broker, first), ElementsAre("0"));
  EXPECT_THAT(Bodies(broker, second), ElementsAre("1"));
  EXPECT_FALSE(broker.IsAnswered(third));
}

TEST(Receive, CancelledTakesNothing) {
  EngineFixture broker;
  const CallId call = StartWaiting(broker, 1min);

  broker.Send(CancelCall{.call = call});
  broker.Publish("orders", "a");

  EXPECT_EQ(broker.TakeAnswer(call).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(broker.Queue("orders").ready, 1u);
  EXPECT_EQ(broker.Queue("orders").subscriptions, 0u);
}

TEST(Receive, CancelledTooLateChangesNothing) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  const CallId call = StartWaiting(broker, 1min);

  broker.Send(CancelCall{.call = call});

  EXPECT_THAT(Bodies(broker, call), ElementsAre("a"));
  EXPECT_EQ(broker.Queue("orders").leased, 1u);  // the transport's to release
}

TEST(Receive, OfAPausedQueueWaits) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  broker.Pause("orders");
  const CallId call = StartWaiting(broker, 1min);
  EXPECT_FALSE(broker.IsAnswered(call));

  broker.Resume("orders");

  EXPECT_THAT(Bodies(broker, call), ElementsAre("a"));
}

TEST(Receive, WithoutAWaitStillWaitsForTheBacklogToBeRead) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 10);
  broker.Restart();
  broker.Hold(EngineFixture::Work::kReads);
  const CallId call = StartWaiting(broker, 0s);
  EXPECT_FALSE(broker.IsAnswered(call));
  broker.Advance(1s);
  EXPECT_FALSE(broker.IsAnswered(call));

  broker.LetGo(EngineFixture::Work::kReads);

  EXPECT_THAT(Bodies(broker, call), ElementsAre("0"));
}

TEST(Receive, CancelledWhileTheBacklogIsReadIsAnsweredOnce) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 10);
  broker.Restart();
  broker.Hold(EngineFixture::Work::kReads);
  const CallId call = StartWaiting(broker, 0s);

  broker.Send(CancelCall{.call = call});
  broker.LetGo(EngineFixture::Work::kReads);

  EXPECT_EQ(broker.TakeAnswer(call).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(broker.Queue("orders").ready, 10u);
}

TEST(Receive, OfABacklogWhoseMessagesAreAllLeasedIsEmpty) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 6);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(broker.Receive("orders", 1h).has_value());

  EXPECT_FALSE(broker.Receive("orders").has_value());
}

TEST(Receive, TellsEverythingAboutTheMessage) {
  EngineFixture broker;
  const Instant published = broker.now();
  const MessageId id = broker.Publish(
      "orders", "a", {.priority = 3, .headers = "h", .producer = ProducerId(5), .sequence = 6});
  broker.Advance(1s);

  const Delivery delivery = broker.Receive("orders", 10s).value();

  EXPECT_EQ(delivery.token.id, id);
  EXPECT_EQ(delivery.token.epoch, broker.epoch());
  EXPECT_EQ(delivery.attempt, 1u);
  EXPECT_EQ(delivery.priority, 3u);
  EXPECT_EQ(delivery.published, published);
  EXPECT_EQ(delivery.lease_end, broker.now() + 10s);
  EXPECT_EQ(delivery.headers, "h");
  EXPECT_EQ(delivery.producer, ProducerId(5));
  EXPECT_EQ(delivery.sequence, 6u);
}

}  // namespace
}  // namespace baton
