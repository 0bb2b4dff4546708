// Looking at messages, and deleting one, without leasing: in memory and on disk.
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

std::vector<std::string> Numbers(int first, int last) {
  std::vector<std::string> numbers;
  for (int i = first; i <= last; ++i) numbers.push_back(std::to_string(i));
  return numbers;
}

TEST(Browse, ListsReadyMessagesInTheOrderOfTheirDelivery) {
  EngineFixture broker;
  broker.Publish("orders", "low");
  broker.Publish("orders", "high", {.priority = 9});
  broker.Publish("orders", "later", {.delay = 1h});

  EXPECT_THAT(BodiesOf(broker.List("orders", MessageState::kReady)), ElementsAre("high", "low"));
  EXPECT_THAT(BodiesOf(broker.List("orders", MessageState::kDelayed)), ElementsAre("later"));
  EXPECT_THAT(BodiesOf(broker.List("orders", MessageState::kParked)), IsEmpty());
  EXPECT_EQ(broker.Queue("orders").leased, 0u);
}

TEST(Browse, ShowsLeasedMessagesAmongTheReadyOnes) {
  EngineFixture broker;
  broker.PublishMany("orders", 2);
  const Delivery held = broker.Receive("orders", 1h).value();

  const MessagePage page = broker.List("orders", MessageState::kReady);

  ASSERT_THAT(page.messages, SizeIs(2));
  EXPECT_EQ(page.messages[0].state, MessageState::kLeased);
  EXPECT_EQ(page.messages[0].lease_end, held.lease_end);
  EXPECT_EQ(page.messages[1].state, MessageState::kReady);
}

TEST(Browse, HasPagesOverMemoryAndDisk) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 25);

  std::vector<std::string> all;
  std::optional<MessageKeyParts> after;
  int pages = 0;
  do {
    const MessagePage page = broker.List("orders", MessageState::kReady, /*limit=*/10, after);
    for (const std::string& body : BodiesOf(page)) all.push_back(body);
    after = page.after;
    ++pages;
  } while (after.has_value());

  EXPECT_EQ(all, Numbers(0, 24));
  EXPECT_EQ(pages, 3);
}

TEST(Browse, ShowsADueMessageAmongTheReadyOnesOnceOnly) {
  EngineFixture broker;
  broker.Publish("orders", "a");
  broker.Publish("orders", "was delayed", {.delay = 1s});
  broker.Publish("orders", "b");
  broker.Advance(1s);

  EXPECT_THAT(BodiesOf(broker.List("orders", MessageState::kReady)), ElementsAre("a", "was delayed", "b"));
  EXPECT_THAT(BodiesOf(broker.List("orders", MessageState::kDelayed)), IsEmpty());

  std::vector<std::string> bodies;
  MessagePage page;
  do {
    page = broker.List("orders", MessageState::kReady, /*limit=*/1, page.after);
    EXPECT_LE(page.messages.size(), 1u);
    for (const std::string& body : BodiesOf(page)) bodies.push_back(body);
  } while (page.after.has_value());
  EXPECT_THAT(bodies, ElementsAre("a", "was delayed", "b"));
}

TEST(Browse, OfManyDueMessagesKeepsToThePageSize) {
  EngineFixture broker;
  for (int i = 0; i < 50; ++i) broker.Publish("orders", std::to_string(i), {.delay = 1s});
  broker.Advance(1s);

  const MessagePage first = broker.List("orders", MessageState::kReady, /*limit=*/10);
  const MessagePage rest = broker.List("orders", MessageState::kReady, /*limit=*/100, first.after);

  EXPECT_EQ(first.messages.size(), 10u);
  EXPECT_EQ(first.messages.front().body, "0");
  EXPECT_EQ(rest.messages.size(), 40u);
  EXPECT_EQ(rest.messages.front().body, "10");
  EXPECT_FALSE(rest.after.has_value());
}

TEST(Browse, OfManyAtOnceReadsAFewAtATimeAndAnswersAll) {
  EngineFixture broker;
  broker.PublishMany("orders", 3);
  broker.Hold(EngineFixture::Work::kReads);
  const uint64_t before = broker.reads_started();
  std::vector<CallId> calls;
  for (int i = 0; i < 200; ++i)
    calls.push_back(
        broker.Start(ListMessages{.call = {}, .client = ClientId(1), .queue = "orders", .after = {}}));
  EXPECT_LE(broker.reads_started() - before, 2u) << "each takes the memory of a page";
  broker.LetGo(EngineFixture::Work::kReads);
  for (const CallId call : calls) EXPECT_TRUE(broker.TakeAnswer(call).ok());
}

TEST(Browse, RefusesAClientThatWantsTooMuchAtOnceAndNobodyElse) {
  EngineFixture broker;
  broker.PublishMany("orders", 3);
  broker.Hold(EngineFixture::Work::kReads);
  const auto list = [&](uint64_t client) {
    return broker.Start(ListMessages{.call = {}, .client = ClientId(client), .queue = "orders", .after = {}});
  };
  CallId last;
  for (int i = 0; i < 300; ++i) last = list(1);
  ASSERT_TRUE(broker.IsAnswered(last));
  EXPECT_EQ(ReasonOf(broker.TakeAnswer(last).status()), reason::kBrokerBusy);
  const CallId other = list(2);
  EXPECT_FALSE(broker.IsAnswered(other));
  broker.LetGo(EngineFixture::Work::kReads);
  EXPECT_TRUE(broker.TakeAnswer(other).ok());
}

TEST(Browse, CutsBodiesAndSaysTheirSize) {
  EngineFixture broker;
  broker.Publish("orders", std::string(1'000, 'x'));

  const auto page =
      broker.Ask<MessagePage>(ListMessages{.call = {}, .queue = "orders", .after = {}, .body_bytes_max = 10});

  EXPECT_EQ(page->messages.at(0).body, std::string(10, 'x'));
  EXPECT_EQ(page->messages.at(0).body_bytes, 1'000u);
}

TEST(Browse, WithAPageTokenOfAnotherListIsRefused) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("mail").ok());
  broker.PublishMany("mail", 2);
  const auto of_mail = broker.List("mail", MessageState::kReady, 1).after;
  broker.PublishMany("orders", 2, {.delay = 1h});
  const auto of_delayed = broker.List("orders", MessageState::kDelayed, 1).after;
  ASSERT_TRUE(of_mail.has_value() && of_delayed.has_value());

  for (const auto& after : {of_mail, of_delayed}) {
    const auto refused =
        broker.Ask<MessagePage>(ListMessages{.call = {}, .queue = "orders", .after = after}).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ReasonOf(refused), reason::kInvalidArgument);
  }
}

TEST(Browse, GoesOnFromAnyPositionWhetherOrNotAMessageIsThere) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 5, {.priority = 7});
  const auto after = [&](ReadyPosition position) {
    return MessageKeyParts{.kind = RowKind::kReady,
                           .queue = broker.Queue("orders").number,
                           .seq = position.seq,
                           .ready = position,
                           .delayed = {}};
  };

  EXPECT_THAT(broker.List("orders", MessageState::kReady, 10, after({})).messages, SizeIs(5));
  EXPECT_THAT(broker.List("orders", MessageState::kReady, 10, after({.rank = UINT64_MAX})).messages,
              IsEmpty());
  EXPECT_THAT(broker.List("orders", MessageState::kReady, 10, after(kReadyEnd)).messages, IsEmpty());
}

TEST(Browse, ShowsNothingOfBeforeAPurge) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  broker.PublishMany("orders", 10);
  broker.Hold(EngineFixture::Work::kAnswers);
  const CallId list = broker.Start(ListMessages{.call = {}, .queue = "orders", .after = {}});
  broker.Purge("orders");

  broker.LetGo(EngineFixture::Work::kAnswers);

  EXPECT_THAT(BodiesOf(std::get<MessagePage>(*broker.TakeAnswer(list))), IsEmpty());
}

TEST(GetMessage, FindsItInEveryState) {
  EngineFixture broker({.attempts_max = 1});
  const MessageId parked = broker.Publish("orders", "parked");
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  const MessageId leased = broker.Publish("orders", "leased");
  broker.Receive("orders", 1h);
  const MessageId ready = broker.Publish("orders", "ready", {.priority = 4, .ttl = 1h});
  const MessageId delayed = broker.Publish("orders", "delayed", {.delay = 1h});

  EXPECT_EQ(broker.Get(parked)->state, MessageState::kParked);
  EXPECT_EQ(broker.Get(leased)->state, MessageState::kLeased);
  EXPECT_EQ(broker.Get(delayed)->state, MessageState::kDelayed);
  EXPECT_EQ(broker.Get(delayed)->due, broker.now() + 1h);
  const auto info = broker.Get(ready);
  EXPECT_EQ(info->state, MessageState::kReady);
  EXPECT_EQ(info->body, "ready");
  EXPECT_EQ(info->queue, "orders");
  EXPECT_EQ(info->priority, 4u);
  EXPECT_EQ(info->expires, broker.now() + 1h);
  EXPECT_EQ(info->published, broker.now());
  EXPECT_EQ(info->due, kNever);
}

TEST(GetMessage, FindsItOnDiskByAFewPointReads) {
  EngineFixture broker({.attempts_max = 2}, {.window_messages = 2, .chunk_rows = 2});
  const MessageId moved = broker.Publish("orders", "moved", {.delay = 1s});
  broker.PublishMany("orders", 50, {.priority = 1});
  broker.Advance(1s);  // due, and moved to its place among the ready ones, on disk
  broker.Restart();
  const uint64_t before = broker.rows_read();

  EXPECT_EQ(broker.Get(moved)->body, "moved");
  EXPECT_EQ(broker.Get(moved)->state, MessageState::kReady);

  EXPECT_LE(broker.rows_read() - before, 2 * 3u);
}

TEST(GetMessage, OfAnExpiredOneFindsNothingThoughItIsStillThere) {
  EngineFixture broker({}, {.window_messages = 2, .chunk_rows = 2});
  const MessageId id = broker.Publish("orders", "a", {.ttl = 10s});
  broker.PublishMany("orders", 10, {.priority = 1});
  broker.Restart();
  broker.Hold(EngineFixture::Work::kAnswers);
  broker.Advance(10s);
  const CallId get = broker.Start(GetMessage{.call = {}, .id = id});

  broker.LetGo(EngineFixture::Work::kAnswers);

  EXPECT_EQ(ReasonOf(broker.TakeAnswer(get).status()), reason::kMessageNotFound);
}

TEST(GetMessage, SeesWhatHappenedWhileItWasRead) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  const MessageId id = broker.Publish("orders", "a");
  broker.PublishMany("orders", 10, {.priority = 1});
  broker.Hold(EngineFixture::Work::kAnswers);
  const CallId first = broker.Start(DeleteMessage{.call = {}, .id = id});
  const CallId second = broker.Start(GetMessage{.call = {}, .id = id});

  broker.LetGo(EngineFixture::Work::kAnswers);

  EXPECT_TRUE(broker.TakeAnswer(first).ok());
  EXPECT_EQ(ReasonOf(broker.TakeAnswer(second).status()), reason::kMessageNotFound);
}

TEST(DeleteMessage, TakesItInEveryStateButLeased) {
  EngineFixture broker({.attempts_max = 1});
  const MessageId parked = broker.Publish("orders", "parked");
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  const MessageId leased = broker.Publish("orders", "leased");
  const Delivery held = broker.Receive("orders", 1h).value();
  const MessageId ready = broker.Publish("orders", "ready", {.ttl = 1h});
  const MessageId delayed = broker.Publish("orders", "delayed", {.delay = 1h});

  for (const MessageId& id : {parked, ready, delayed}) EXPECT_TRUE(broker.DeleteMessage(id).ok());
  const absl::Status refused = broker.DeleteMessage(leased);

  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(refused), reason::kMessageLeased);
  EXPECT_EQ(ReasonOf(broker.DeleteMessage(ready)), reason::kMessageNotFound);
  EXPECT_TRUE(broker.Ack(held).ok());
  for (const RowKind kind : {RowKind::kReady, RowKind::kDelayed, RowKind::kParked, RowKind::kExpiry,
                             RowKind::kAttempts, RowKind::kLocator})
    EXPECT_EQ(broker.store().CountOf(kind), 0u) << static_cast<char>(kind);
}

TEST(DeleteMessage, TakesItFromDisk) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 2});
  std::vector<MessageId> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(broker.Publish("orders", std::to_string(i)));

  for (size_t i = 1; i < ids.size(); i += 2) EXPECT_TRUE(broker.DeleteMessage(ids.at(i)).ok());

  EXPECT_EQ(broker.Queue("orders").ready, 10u);
  EXPECT_THAT(broker.Drain("orders"), ElementsAre("0", "2", "4", "6", "8", "10", "12", "14", "16", "18"));
}

TEST(DeleteMessage, WhileTheWindowReadsItLeavesNoGhost) {
  EngineFixture broker({}, {.window_messages = 3, .chunk_rows = 8});
  std::vector<MessageId> ids;
  for (int i = 0; i < 6; ++i) ids.push_back(broker.Publish("orders", std::to_string(i)));
  broker.Restart();
  broker.Hold(EngineFixture::Work::kAnswers);
  const SessionId session = broker.Connect();
  const CallId deleted = broker.Start(DeleteMessage{.call = {}, .id = ids.at(2)});
  broker.Subscribe(session, "orders");  // reads behind the delete's read, before its commit

  broker.LetGo(EngineFixture::Work::kAnswers);

  EXPECT_TRUE(broker.TakeAnswer(deleted).ok());
  EXPECT_THAT(BodiesOf(broker.Take(session)), ElementsAre("0", "1", "3", "4", "5"));
}

TEST(DeleteMessage, IsAnsweredWhenItIsDurable) {
  EngineFixture broker;
  const MessageId id = broker.Publish("orders", "a");
  broker.Hold(EngineFixture::Work::kSyncs);
  const CallId call = broker.Start(DeleteMessage{.call = {}, .id = id});
  EXPECT_FALSE(broker.IsAnswered(call));

  broker.LetGo(EngineFixture::Work::kSyncs);

  EXPECT_TRUE(broker.TakeAnswer(call).ok());
}

}  // namespace
}  // namespace baton
