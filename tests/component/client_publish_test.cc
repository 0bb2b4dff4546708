// Producers of the real client against a broker that does what the test says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "base/message_id.h"
#include "baton/client.h"
#include "tests/support/scripted_broker.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Answer = absl::StatusOr<Confirmation>;

class ClientPublish : public testing::Test {
 protected:
  void SetUp() override {
    auto connected = Client::Connect(
        {.url = broker_.url(), .close_timeout = milliseconds(100), .reconnect_pause_max = milliseconds(100)});
    ASSERT_TRUE(connected.ok()) << connected.status();
    client_.emplace(*std::move(connected));
    auto made = client_->NewProducer();
    ASSERT_TRUE(made.ok()) << made.status();
    producer_.emplace(*std::move(made));
    session_ = broker_.AwaitSession();
  }

  ScriptedBroker broker_;
  std::optional<Client> client_;
  std::optional<Producer> producer_;
  std::shared_ptr<ScriptedSession> session_;
};

TEST_F(ClientPublish, IntroducesItselfWithARandomProducerId) {
  const v1::Hello hello = session_->NextHello();
  EXPECT_EQ(hello.protocol_version(), 1u);
  EXPECT_NE(hello.producer_id(), 0u);
  EXPECT_NE(hello.client_name().find("client_publish"), std::string::npos) << hello.client_name();
}

TEST_F(ClientPublish, CarriesEverythingAMessageHas) {
  auto answer = producer_->Publish("orders", {.body = "body",
                                              .headers = {{"name", "value"}},
                                              .priority = 7,
                                              .ttl = seconds(60),
                                              .delay = seconds(5)});
  const Published published = session_->NextPublish();
  EXPECT_EQ(published.queue, "orders");
  EXPECT_EQ(published.sequence, 1u);
  EXPECT_EQ(published.body, "body");
  EXPECT_EQ(published.priority, 7u);
  EXPECT_EQ(published.ttl_ms, 60'000u);
  EXPECT_EQ(published.delay_ms, 5'000u);
  v1::Headers headers;
  ASSERT_TRUE(headers.ParseFromString(published.headers));
  EXPECT_EQ(headers.headers(0).name(), "name");
  EXPECT_EQ(headers.headers(0).value(), "value");

  session_->Confirm(1, 1);
  const Answer confirmation = answer.get();
  ASSERT_TRUE(confirmation.ok());
  EXPECT_EQ(confirmation->durability, Durability::kDurable);
  EXPECT_FALSE(confirmation->duplicate);
}

TEST_F(ClientPublish, TellsWhatItWaitsFor) {
  auto answer = producer_->Publish("orders", {.body = "body"});
  session_->NextPublish();
  const std::string waiting = client_->Describe();
  EXPECT_NE(waiting.find("link up"), std::string::npos) << waiting;
  EXPECT_NE(waiting.find("sequences 1 to 1 unanswered"), std::string::npos) << waiting;
  EXPECT_EQ(producer_->counters().confirmed, 0u);

  session_->Confirm(1, 1);
  ASSERT_TRUE(answer.get().ok());
  EXPECT_EQ(producer_->counters().published, 1u);
  EXPECT_TRUE(producer_->Flush(seconds(30)).ok());
  EXPECT_EQ(producer_->counters().confirmed, 1u);
}

TEST_F(ClientPublish, GivesTheIdsThatWereAskedFor) {
  auto producer = client_->NewProducer({.want_ids = true});
  ASSERT_TRUE(producer.ok());
  auto stored = producer->Publish("orders", {.body = "a"});
  auto duplicate = producer->Publish("orders", {.body = "b"});
  EXPECT_TRUE(session_->NextPublish().want_id);
  session_->NextPublish();
  v1::ServerFrame frame;
  v1::Confirm& confirm = *frame.add_confirms();
  confirm.set_first_sequence(1);
  confirm.set_last_sequence(2);
  confirm.set_durability(v1::RELAXED);
  confirm.add_duplicates(2);
  confirm.set_ids(TestId(77) + std::string(MessageId::kBytes, '\0'));
  session_->Send(frame);
  EXPECT_EQ(stored.get()->message_id, MessageId::FromBytes(TestId(77))->ToText());
  const Answer second = duplicate.get();
  EXPECT_TRUE(second->duplicate);
  EXPECT_EQ(second->message_id, "");
  EXPECT_EQ(second->durability, Durability::kRelaxed);
}

TEST_F(ClientPublish, PassesTheBrokersRefusalOnAndDoesNotTryAgain) {
  auto answer = producer_->Publish("orders", {.body = "a"});
  session_->NextPublish();
  v1::ServerFrame frame;
  v1::Confirm& confirm = *frame.add_confirms();
  confirm.set_first_sequence(1);
  confirm.set_last_sequence(1);
  v1::PublishError& error = *confirm.add_errors();
  error.set_sequence(1);
  error.mutable_error()->set_code(8);
  error.mutable_error()->set_reason("QUEUE_FULL");
  error.mutable_error()->set_message("full");
  session_->Send(frame);
  const absl::Status status = answer.get().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), "QUEUE_FULL");

  session_->End();
  auto next = producer_->Publish("orders", {.body = "b"});
  auto again = broker_.AwaitSession();
  const Published published = again->NextPublish();
  EXPECT_EQ(published.sequence, 2u);  // not 1
  again->Confirm(2, 2);
  EXPECT_TRUE(next.get().ok());
}

TEST_F(ClientPublish, ReplaysTheUnconfirmedInOrderUnderTheSameSequencesAfterALostConnection) {
  constexpr int kCount = 200;
  std::vector<int> answered(kCount, 0);
  for (int i = 0; i < kCount; ++i) {
    producer_->Publish("orders", {.body = std::to_string(i)}, [&answered, i](const Answer& answer) {
      if (answer.ok()) ++answered[i];
    });
  }
  for (int i = 0; i < kCount; ++i) session_->NextPublish();
  session_->Confirm(1, 50);
  session_->Confirm(101, 110);
  const uint64_t producer_id = session_->NextHello().producer_id();
  session_->End();

  auto again = broker_.AwaitSession();
  EXPECT_EQ(again->NextHello().producer_id(), producer_id);
  // Which confirms arrived before the end is up to the socket; what comes again is in order, without gaps
  // after 110.
  uint64_t last = 0;
  std::vector<uint64_t> replayed;
  while (last < kCount) {
    const Published published = again->NextPublish();
    EXPECT_GT(published.sequence, last);
    EXPECT_EQ(published.body, std::to_string(published.sequence - 1));
    last = published.sequence;
    replayed.push_back(last);
  }
  EXPECT_GE(replayed.size(), 140u);
  again->Confirm(1, kCount);
  again->Confirm(1, kCount);
  ASSERT_TRUE(producer_->Flush(kPatience).ok());
  EXPECT_THAT(answered, testing::Each(1));  // each callback ran once
}

TEST_F(ClientPublish, SurvivesABrokerThatIsKilledAndStartedAgain) {
  auto before = producer_->Publish("orders", {.body = "a"});
  session_->NextPublish();
  broker_.Kill();
  auto meanwhile = producer_->Publish("orders", {.body = "b"});
  EXPECT_EQ(before.wait_for(milliseconds(0)), std::future_status::timeout);
  broker_.Start();
  auto again = broker_.AwaitSession();
  EXPECT_EQ(again->NextPublish().body, "a");
  EXPECT_EQ(again->NextPublish().body, "b");
  again->Confirm(1, 2);
  EXPECT_TRUE(before.get().ok());
  EXPECT_TRUE(meanwhile.get().ok());
}

TEST_F(ClientPublish, BlocksAtTheCreditAndGoesOnWhenThereIsRoom) {
  auto first = producer_->Publish("orders", {.body = "x"});
  session_->NextPublish();
  v1::ServerFrame frame;
  frame.mutable_publish_credit()->set_messages(2);
  frame.mutable_publish_credit()->set_bytes(1u << 20);
  session_->Send(frame);
  session_->Confirm(1, 1);
  ASSERT_TRUE(first.get().ok());  // the credit came before this answer
  EXPECT_TRUE(producer_->TryPublish("orders", {.body = "x"}, nullptr).ok());
  EXPECT_TRUE(producer_->TryPublish("orders", {.body = "x"}, nullptr).ok());
  EXPECT_EQ(producer_->TryPublish("orders", {.body = "x"}, nullptr).code(),
            absl::StatusCode::kResourceExhausted);

  std::future<Answer> blocked =
      std::async(std::launch::async, [&] { return producer_->Publish("orders", {.body = "late"}).get(); });
  EXPECT_EQ(session_->NextPublish().sequence, 2u);
  EXPECT_EQ(session_->NextPublish().sequence, 3u);
  session_->Confirm(2, 2);
  EXPECT_EQ(session_->NextPublish().body, "late");
  session_->Confirm(3, 4);
  EXPECT_TRUE(blocked.get().ok());
}

TEST_F(ClientPublish, WithoutRoomForLongIsAnError) {
  auto producer = client_->NewProducer({.room_timeout = milliseconds(1)});
  ASSERT_TRUE(producer.ok());
  while (producer->TryPublish("orders", {.body = "x"}, nullptr).ok()) {
  }
  const absl::Status status = producer->Publish("orders", {.body = "x"}).get().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), "PUBLISH_WINDOW_FULL");
}

TEST_F(ClientPublish, FromACallbackNeverBlocks) {
  std::promise<absl::Status> outcome;
  producer_->Publish("orders", {.body = "first"}, [&](const Answer&) {
    absl::Status status;
    while (status.ok()) status = producer_->TryPublish("orders", {.body = "more"}, nullptr);
    producer_->Publish("orders", {.body = "one too many"},
                       [&](const Answer& answer) { outcome.set_value(answer.status()); });
  });
  session_->NextPublish();
  session_->Confirm(1, 1);
  EXPECT_EQ(outcome.get_future().get().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(ClientPublish, CoalescesWhatWaitsIntoFewFrames) {
  constexpr int kCount = 900;
  for (int i = 0; i < kCount; ++i) producer_->Publish("orders", {.body = "x"}, nullptr);
  for (int i = 0; i < kCount; ++i) session_->NextPublish();
  EXPECT_LT(session_->frames_with_publishes(), kCount / 2u);
}

TEST_F(ClientPublish, FlushWaitsForTheAnswersAndReportsTheDeadline) {
  EXPECT_TRUE(producer_->Flush(milliseconds(0)).ok());
  producer_->Publish("orders", {.body = "x"}, nullptr);
  session_->NextPublish();
  EXPECT_EQ(producer_->Flush(milliseconds(1)).code(), absl::StatusCode::kDeadlineExceeded);
  session_->Confirm(1, 1);
  EXPECT_TRUE(producer_->Flush(kPatience).ok());
}

TEST_F(ClientPublish, IsAnsweredWithAnErrorWhenTheClientIsClosed) {
  auto answer = producer_->Publish("orders", {.body = "x"});
  session_->NextPublish();
  std::future<absl::Status> closed = std::async(std::launch::async, [&] { return client_->Close(); });
  session_->AwaitGoodbye();
  EXPECT_EQ(answer.get().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(closed.get().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(producer_->Publish("orders", {.body = "x"}).get().status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace baton
