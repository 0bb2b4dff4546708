// A session with a scripted engine: the test takes what it posts, and says what the engine would say.
#include "server/session/client_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace baton {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Reading = ClientSession::Reading;

class SessionFixture : public testing::Test {
 protected:
  explicit SessionFixture(const Inbox::Options& inbox_options = {}) : inbox(inbox_options, &parking) {
    facts.inbox = &inbox;
    facts.time = &time;
    facts.publish_credit = {.messages = 8, .bytes = 100};
    session = std::make_shared<ClientSession>(&facts, "peer", [this](SessionId) { ++wakes; });
  }

  static v1::ClientFrame Hello() {
    v1::ClientFrame frame;
    frame.mutable_hello()->set_protocol_version(1);
    return frame;
  }
  static v1::ClientFrame PublishOne(uint64_t sequence, const std::string& body = "x",
                                    const std::string& queue = "q") {
    v1::ClientFrame frame;
    v1::PublishBatch* batch = frame.add_publish();
    batch->set_queue(queue);
    batch->set_first_sequence(sequence);
    batch->add_body_sizes(static_cast<uint32_t>(body.size()));
    batch->set_bodies(body);
    return frame;
  }

  // What was posted since, as the indices of the variant's kinds would be too dull: by name.
  std::vector<std::string> TakePosted() {
    Inbox::Batch batch;
    inbox.Take(batch);
    std::vector<std::string> names;
    for (const Post& post : batch.posts) {
      if (std::holds_alternative<OpenSession>(post.command)) names.emplace_back("open");
      if (std::holds_alternative<CloseSession>(post.command)) names.emplace_back("close");
      if (std::holds_alternative<Subscribe>(post.command)) names.emplace_back("subscribe");
      if (std::holds_alternative<Unsubscribe>(post.command)) names.emplace_back("unsubscribe");
      if (std::holds_alternative<Publish>(post.command)) names.emplace_back("publish");
      if (std::holds_alternative<SettleTags>(post.command)) names.emplace_back("settle");
      if (std::holds_alternative<SetCredit>(post.command)) names.emplace_back("credit");
    }
    return names;
  }
  void Open() {
    v1::ClientFrame frame = Hello();
    ASSERT_EQ(session->OnFrame(frame), Reading::kNext);
    session->SessionOpened(0);
    ASSERT_TRUE(TakeFrame().has_hello());
    ASSERT_THAT(TakePosted(), ElementsAre("open"));
  }
  v1::ServerFrame TakeFrame() {
    v1::ServerFrame frame;
    EXPECT_TRUE(session->TakeFrame(frame));
    return frame;
  }
  bool HasFrame() {
    v1::ServerFrame frame;
    return session->TakeFrame(frame);
  }

  Parking parking;
  Inbox inbox{{}, &parking};
  BrokerTime time;
  BrokerFacts facts;
  int wakes = 0;
  std::shared_ptr<ClientSession> session;
};

TEST_F(SessionFixture, EverythingOfAFrameIsPostedInTheOrderOfItsFields) {
  v1::ClientFrame frame = PublishOne(1);
  *frame.mutable_hello() = Hello().hello();
  frame.add_unsubscribe()->set_subscription(1);
  frame.add_credit()->set_subscription(1);
  v1::Settle* settle = frame.add_settle();
  settle->set_kind(v1::Settle::ACK);
  settle->add_tags(1);
  settle->add_tags(0);
  v1::Subscribe* subscribe = frame.add_subscribe();
  subscribe->set_subscription(1);
  subscribe->set_queue("q");
  subscribe->set_credit_messages(1);
  EXPECT_EQ(session->OnFrame(frame), Reading::kNext);
  EXPECT_THAT(TakePosted(), ElementsAre("open", "subscribe", "publish", "settle", "credit", "unsubscribe"));
}

TEST_F(SessionFixture, ASecondHelloEndsIt) {
  Open();
  v1::ClientFrame frame = Hello();
  EXPECT_EQ(session->OnFrame(frame), Reading::kStop);
  EXPECT_EQ(TakeFrame().go_away().error().reason(), "PROTOCOL_VIOLATION");
  EXPECT_TRUE(session->IsOver());
  EXPECT_EQ(ReasonOf(session->end_status()), "PROTOCOL_VIOLATION");
  EXPECT_THAT(TakePosted(), ElementsAre("close"));
}

TEST_F(SessionFixture, AFrameThatBreaksTheProtocolIsNotCarriedOutInPart) {
  Open();
  v1::ClientFrame frame = PublishOne(1);
  frame.add_settle()->set_kind(v1::Settle::ACK);  // without tags
  EXPECT_EQ(session->OnFrame(frame), Reading::kStop);
  EXPECT_THAT(TakePosted(), ElementsAre("close"));
}

TEST_F(SessionFixture, ConfirmsGiveCreditBackWhenTheyAreTaken) {
  Open();
  for (uint64_t round = 0; round < 5; ++round) {
    v1::ClientFrame frame = PublishOne(round + 1, std::string(100, 'x'));
    ASSERT_EQ(session->OnFrame(frame), Reading::kNext) << round;
    session->Confirm({.first = round + 1, .last = round + 1, .failures = {}, .duplicates = {}, .ids = {}});
    EXPECT_EQ(TakeFrame().confirms_size(), 1);
  }
  v1::ClientFrame first = PublishOne(6, std::string(100, 'x'));
  v1::ClientFrame second = PublishOne(7);
  EXPECT_EQ(session->OnFrame(first), Reading::kNext);
  EXPECT_EQ(session->OnFrame(second), Reading::kStop);
  EXPECT_EQ(TakeFrame().go_away().error().reason(), "CREDIT_EXCEEDED");
}

TEST_F(SessionFixture, LeavesWhenEverythingIsAnswered) {
  Open();
  v1::ClientFrame frame = PublishOne(1);
  frame.mutable_goodbye();
  v1::Settle* settle = frame.add_settle();
  settle->set_kind(v1::Settle::ACK);
  settle->add_tags(1);
  settle->add_tags(0);
  EXPECT_EQ(session->OnFrame(frame), Reading::kStop);
  EXPECT_THAT(TakePosted(), ElementsAre("publish", "settle"));
  EXPECT_FALSE(HasFrame());
  EXPECT_FALSE(session->IsOver());
  session->Confirm({.first = 1, .last = 1, .failures = {}, .duplicates = {}, .ids = {}});
  EXPECT_TRUE(HasFrame());
  EXPECT_FALSE(HasFrame());
  EXPECT_FALSE(session->IsOver()) << "the settlement is not answered yet";
  session->Settled(1, {});
  EXPECT_TRUE(HasFrame());
  EXPECT_FALSE(HasFrame());
  EXPECT_TRUE(session->IsOver());
  EXPECT_TRUE(session->end_status().ok());
  EXPECT_THAT(TakePosted(), ElementsAre("close"));
}

TEST_F(SessionFixture, GoodbyeEndsSubscriptionsFirst) {
  Open();
  v1::ClientFrame frame;
  v1::Subscribe* subscribe = frame.add_subscribe();
  subscribe->set_subscription(1);
  subscribe->set_queue("q");
  subscribe->set_credit_messages(1);
  frame.mutable_goodbye();
  EXPECT_EQ(session->OnFrame(frame), Reading::kStop);
  EXPECT_THAT(TakePosted(), ElementsAre("subscribe", "unsubscribe"));
}

TEST_F(SessionFixture, AClientThatIsLostIsClosedOnce) {
  Open();
  session->Lost();
  session->Lost();
  session->End(absl::InternalError("late"));
  EXPECT_THAT(TakePosted(), ElementsAre("close"));
  EXPECT_FALSE(HasFrame());
}

TEST_F(SessionFixture, OneThatNeverOpenedIsNotClosed) {
  v1::ClientFrame frame = PublishOne(1);
  EXPECT_EQ(session->OnFrame(frame), Reading::kStop);
  EXPECT_EQ(TakeFrame().go_away().error().reason(), "PROTOCOL_VIOLATION");
  EXPECT_THAT(TakePosted(), IsEmpty());
}

TEST_F(SessionFixture, EndedByTheEngineItIsClosedWhenTheClientHearsOfIt) {
  Open();
  session->EndSession(MakeError(absl::StatusCode::kAborted, "R", "taken over"));
  session->Flush();
  EXPECT_EQ(wakes, 1);
  EXPECT_EQ(TakeFrame().go_away().error().reason(), "R");
  EXPECT_THAT(TakePosted(), ElementsAre("close"));
}

TEST_F(SessionFixture, TooManySubscriptionsAreRefusedOneByOne) {
  Open();
  v1::ClientFrame frame;
  for (uint64_t id = 1; id <= kSubscriptionsPerSessionMax + 1; ++id) {
    v1::Subscribe* subscribe = frame.add_subscribe();
    subscribe->set_subscription(id);
    subscribe->set_queue("q");
    subscribe->set_credit_messages(1);
  }
  EXPECT_EQ(session->OnFrame(frame), Reading::kNext);
  EXPECT_THAT(TakePosted(), SizeIs(kSubscriptionsPerSessionMax));
  const v1::ServerFrame answer = TakeFrame();
  ASSERT_EQ(answer.subscribed_size(), 1);
  EXPECT_EQ(answer.subscribed(0).error().reason(), "SESSION_LIMIT");
}

// Each may be a few bytes of the client and an answer of many times that: no more is read before some are
// answered.
TEST_F(SessionFixture, ReadsNoMoreWhileTooManySettledTagsAreUnanswered) {
  Open();
  v1::ClientFrame frame;
  frame.add_settle()->set_kind(v1::Settle::ACK);
  frame.mutable_settle(0)->add_tags(1);
  frame.mutable_settle(0)->add_tags(kSettleTagsMax - 1);
  v1::ClientFrame same = frame;
  EXPECT_EQ(session->OnFrame(frame), Reading::kNext);
  EXPECT_FALSE(session->IsFull());
  EXPECT_EQ(session->OnFrame(same), Reading::kNext);
  EXPECT_TRUE(session->IsFull());
  session->Settled(1, {});
  EXPECT_TRUE(session->IsFull()) << "the client has not been told";
  TakeFrame();
  EXPECT_FALSE(session->IsFull());
}

TEST_F(SessionFixture, AFrameOfTooManySmallThingsBreaksTheProtocol) {
  Open();
  v1::ClientFrame frame;
  for (size_t i = 0; i <= 16 * kSubscriptionsPerSessionMax; ++i) frame.add_credit()->set_subscription(1);
  EXPECT_EQ(session->OnFrame(frame), Reading::kStop);
  EXPECT_EQ(TakeFrame().go_away().error().reason(), reason::kProtocolViolation);
}

TEST_F(SessionFixture, AsksForDeliveriesAgainWhenItsFullOutboxWasTaken) {
  Open();
  v1::ClientFrame frame;
  v1::Subscribe* subscribe = frame.add_subscribe();
  subscribe->set_subscription(4);
  subscribe->set_queue("q");
  subscribe->set_credit_messages(77);
  ASSERT_EQ(session->OnFrame(frame), Reading::kNext);
  TakePosted();
  DeliveryView delivery;
  const std::string body(1u << 20, 'x');
  delivery.body = body;
  while (session->TakesDeliveries(body.size())) session->Deliver(delivery);
  while (HasFrame()) {
  }
  Inbox::Batch batch;
  inbox.Take(batch);
  ASSERT_THAT(batch.posts, SizeIs(1));
  const auto& credit = std::get<SetCredit>(batch.posts[0].command);
  EXPECT_EQ(credit.subscription, SubscriptionId(4));
  EXPECT_EQ(credit.messages, 77u);
  EXPECT_EQ(credit.bytes, 0u);
}

// While the engine holds back what is for the disk.
TEST_F(SessionFixture, OnASlowDiskPublishesToMemoryQueuesUntilItHasSentSomethingToTheDisk) {
  Open();
  facts.memory_queues.Add("fast");
  uint64_t sequence = 0;
  const auto publish = [&](const std::string& queue) {
    v1::ClientFrame frame = PublishOne(++sequence, "x", queue);
    return session->OnFrame(frame);
  };
  const auto confirm = [&](uint64_t through) {
    session->Confirm({.first = through, .last = through, .failures = {}, .duplicates = {}, .ids = {}});
    session->Flush();
    (void)TakeFrame();
  };
  (void)inbox.HoldBack({.for_disk = SIZE_MAX / 2});
  EXPECT_EQ(publish("fast"), Reading::kNext);
  EXPECT_EQ(publish("fast"), Reading::kNext);
  (void)inbox.HoldBack({});
  EXPECT_EQ(publish("q"), Reading::kNext);
  (void)inbox.HoldBack({.for_disk = SIZE_MAX / 2});
  EXPECT_THAT(TakePosted(), ElementsAre("publish", "publish", "publish"));
  for (const uint64_t confirmed : {1, 2}) confirm(confirmed);
  EXPECT_EQ(publish("fast"), Reading::kRefused) << "it is decided after what was sent before";
  (void)inbox.HoldBack({});
  EXPECT_EQ(session->Retry(), Reading::kNext);
  for (const uint64_t confirmed : {3, 4}) confirm(confirmed);
  (void)inbox.HoldBack({.for_disk = SIZE_MAX / 2});
  EXPECT_EQ(publish("fast"), Reading::kNext) << "nothing of it is on its way to the disk any more";
  facts.memory_queues.Remove("fast");
  EXPECT_EQ(publish("fast"), Reading::kRefused);
}

class FullInboxFixture : public SessionFixture {
 protected:
  FullInboxFixture() : SessionFixture({.commands_max = 1, .bytes_max = 1u << 20}) {}
};

TEST_F(FullInboxFixture, KeepsWhatWasRefusedAndPostsItWhenThereIsRoom) {
  Open();
  v1::ClientFrame first = PublishOne(1);
  v1::ClientFrame second = PublishOne(2);
  ASSERT_EQ(session->OnFrame(first), Reading::kNext);
  EXPECT_EQ(session->OnFrame(second), Reading::kRefused);
  EXPECT_EQ(session->Retry(), Reading::kRefused);
  EXPECT_THAT(TakePosted(), ElementsAre("publish"));
  EXPECT_EQ(session->Retry(), Reading::kNext);
  EXPECT_THAT(TakePosted(), ElementsAre("publish"));
}

TEST_F(FullInboxFixture, ASessionRefusedAtItsHelloAndLostIsNeverOpened) {
  std::vector<Post> other;
  other.push_back({.command = GetQueue{.call = CallId(1), .name = "q"}});
  ASSERT_TRUE(inbox.TryPost(other));
  v1::ClientFrame hello = Hello();
  ASSERT_EQ(session->OnFrame(hello), Reading::kRefused);
  session->Lost();
  EXPECT_EQ(session->Retry(), Reading::kStop);
  EXPECT_THAT(TakePosted(), IsEmpty());
}

}  // namespace
}  // namespace baton
