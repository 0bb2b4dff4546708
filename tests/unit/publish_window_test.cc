#include "client/session/publish_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace baton::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

constexpr PublishWindow::Limits kLimits{.credit_messages = 4'096, .credit_bytes = 8u << 20};

// A window with one producer, and the frames a session would write.
class Window {
 public:
  absl::Status Publish(const Message& message, std::string_view queue = "orders", bool want_ids = false) {
    PublishCallback done = [this, number = ++published_](const absl::StatusOr<Confirmation>& answer) {
      answers_.emplace_back(number, answer);
    };
    const PublishWindow::Envelope to{
        .queue = queue, .headers = {}, .want_ids = want_ids, .producer = producer};
    return window.Add(to, message, done, std::chrono::milliseconds(0));
  }

  // The batches of the next frame: each as its sequences.
  std::vector<std::vector<uint64_t>> Send() {
    v1::ClientFrame frame;
    window.Lend(frame);
    std::vector<std::vector<uint64_t>> batches;
    for (const v1::PublishBatch& batch : frame.publish()) {
      batches.emplace_back();
      for (int i = 0; i < batch.body_sizes_size(); ++i) {
        batches.back().push_back(batch.first_sequence() + static_cast<uint64_t>(i));
      }
    }
    sent = frame;
    PublishWindow::GiveBack(frame);
    return batches;
  }

  absl::Status Confirm(uint64_t first, uint64_t last, std::vector<uint64_t> refused = {}) {
    v1::Confirm confirm;
    confirm.set_first_sequence(first);
    confirm.set_last_sequence(last);
    confirm.set_durability(v1::DURABLE);
    for (const uint64_t sequence : refused) {
      v1::PublishError& error = *confirm.add_errors();
      error.set_sequence(sequence);
      error.mutable_error()->set_code(8);
      error.mutable_error()->set_reason("QUEUE_FULL");
    }
    return window.OnConfirm(confirm);
  }

  // Number of the publish, in order of the answers, and whether it was stored.
  std::vector<std::pair<int, bool>> TakeAnswers() {
    std::vector<std::pair<int, bool>> taken;
    for (const auto& [number, answer] : std::exchange(answers_, {})) taken.emplace_back(number, answer.ok());
    return taken;
  }

  PublishWindow window;
  std::shared_ptr<ProducerState> producer = std::make_shared<ProducerState>();
  v1::ClientFrame sent;

 private:
  int published_ = 0;
  std::vector<std::pair<int, absl::StatusOr<Confirmation>>> answers_;
};

TEST(PublishWindow, NumbersMessagesFromOneAndSendsThemInOneBatch) {
  Window w;
  w.window.OnConnected(kLimits);
  for (const char* body : {"a", "bb", "ccc"}) ASSERT_TRUE(w.Publish({.body = body}).ok());
  EXPECT_THAT(w.Send(), ElementsAre(ElementsAre(1, 2, 3)));
  EXPECT_EQ(w.sent.publish(0).bodies(), "abbccc");
  EXPECT_EQ(w.sent.publish(0).queue(), "orders");
  EXPECT_THAT(w.sent.publish(0).priorities(), IsEmpty());
  EXPECT_THAT(w.Send(), IsEmpty());
}

TEST(PublishWindow, CountsWhatBecomesOfAProducersMessages) {
  Window w;
  w.window.OnConnected(kLimits);
  for (const char* body : {"a", "b", "c", "d"}) ASSERT_TRUE(w.Publish({.body = body}).ok());
  w.Send();
  ASSERT_TRUE(w.Confirm(1, 3, /*refused=*/{2}).ok());

  const ProducerCounters counters = w.window.CountersOf(*w.producer);
  EXPECT_EQ(counters.published, 4u);
  EXPECT_EQ(counters.confirmed, 2u);
  EXPECT_EQ(counters.failed, 1u);
  EXPECT_THAT(w.window.Describe(), HasSubstr("sequences 4 to 4 unanswered"));
}

TEST(PublishWindow, LeavesColumnsEmptyUntilAValueIsNotTheDefault) {
  Window w;
  w.window.OnConnected(kLimits);
  ASSERT_TRUE(w.Publish({.body = "a"}).ok());
  ASSERT_TRUE(w.Publish({.body = "b", .priority = 7, .ttl = std::chrono::milliseconds(9)}).ok());
  ASSERT_TRUE(w.Publish({.body = "c"}).ok());
  w.Send();
  EXPECT_THAT(w.sent.publish(0).priorities(), ElementsAre(0, 7, 0));
  EXPECT_THAT(w.sent.publish(0).ttl_ms(), ElementsAre(0, 9, 0));
  EXPECT_THAT(w.sent.publish(0).delay_ms(), IsEmpty());
}

TEST(PublishWindow, StartsABatchForAnotherQueueAndForIds) {
  Window w;
  w.window.OnConnected(kLimits);
  ASSERT_TRUE(w.Publish({.body = "a"}, "one").ok());
  ASSERT_TRUE(w.Publish({.body = "b"}, "other").ok());
  ASSERT_TRUE(w.Publish({.body = "c"}, "other", /*want_ids=*/true).ok());
  EXPECT_THAT(w.Send(), ElementsAre(ElementsAre(1), ElementsAre(2), ElementsAre(3)));
}

TEST(PublishWindow, AnswersEachMessageOnceInWhateverOrderConfirmsCome) {
  Window w;
  w.window.OnConnected(kLimits);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(w.Publish({.body = "x"}).ok());
  w.Send();
  ASSERT_TRUE(w.Confirm(3, 4).ok());
  ASSERT_TRUE(w.Confirm(1, 2, {2}).ok());
  ASSERT_TRUE(w.Confirm(1, 4).ok());
  EXPECT_THAT(w.TakeAnswers(), ElementsAre(Pair(3, true), Pair(4, true), Pair(1, true), Pair(2, false)));
  EXPECT_EQ(ReasonOf(w.window.Flush(w.producer, SteadyTime{})), "QUEUE_FULL");
  EXPECT_TRUE(w.window.Flush(w.producer, SteadyTime{}).ok());
}

TEST(PublishWindow, LetsGoOfACallbackAndWhatItOwnsOnceItHasRun) {
  Window w;
  w.window.OnConnected(kLimits);
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = owned;
  PublishCallback done = [owned = std::move(owned)](const absl::StatusOr<Confirmation>&) {};
  const PublishWindow::Envelope to{
      .queue = "orders", .headers = {}, .want_ids = false, .producer = w.producer};
  ASSERT_TRUE(w.window.Add(to, {.body = "x"}, done, std::chrono::milliseconds(0)).ok());
  w.Send();
  EXPECT_FALSE(watched.expired());

  ASSERT_TRUE(w.Confirm(1, 1).ok());
  EXPECT_TRUE(watched.expired());
}

TEST(PublishWindow, SendsWhatIsUnansweredAgainUnderTheSameSequences) {
  Window w;
  w.window.OnConnected(kLimits);
  for (int i = 0; i < 6; ++i)
    ASSERT_TRUE(w.Publish({.body = std::string(1, static_cast<char>('a' + i))}).ok());
  w.Send();
  ASSERT_TRUE(w.Confirm(2, 3, {3}).ok());
  w.window.OnDisconnected();
  EXPECT_THAT(w.Send(), IsEmpty());
  ASSERT_TRUE(w.Publish({.body = "g"}).ok());

  w.window.OnConnected(kLimits);
  EXPECT_THAT(w.Send(), ElementsAre(ElementsAre(1), ElementsAre(4, 5, 6), ElementsAre(7)));
  EXPECT_EQ(w.sent.publish(1).bodies(), "def");
  ASSERT_TRUE(w.Confirm(1, 7).ok());
  EXPECT_THAT(w.TakeAnswers(), ElementsAre(Pair(2, true), Pair(3, false), Pair(1, true), Pair(4, true),
                                           Pair(5, true), Pair(6, true), Pair(7, true)));
  EXPECT_TRUE(w.window.WaitUntilEmpty(SteadyTime{}));
}

TEST(PublishWindow, DoesNotAppendToABatchThatEndsBeforeTheNextSequence) {
  Window w;
  w.window.OnConnected(kLimits);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(w.Publish({.body = "x"}).ok());
  w.Send();
  ASSERT_TRUE(w.Confirm(3, 3).ok());
  w.window.OnDisconnected();
  w.window.OnConnected(kLimits);
  ASSERT_TRUE(w.Publish({.body = "y"}).ok());
  EXPECT_THAT(w.Send(), ElementsAre(ElementsAre(1, 2), ElementsAre(4)));
}

TEST(PublishWindow, NeverHasMoreOnItsWayThanTheCredit) {
  Window w;
  w.window.OnConnected({.credit_messages = 3, .credit_bytes = 8u << 20});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(w.Publish({.body = "x"}).ok());
  EXPECT_EQ(ReasonOf(w.Publish({.body = "x"})), reason::kPublishWindowFull);
  EXPECT_THAT(w.Send(), ElementsAre(ElementsAre(1, 2, 3)));
  ASSERT_TRUE(w.Confirm(1, 1).ok());
  EXPECT_TRUE(w.Publish({.body = "x"}).ok());
  EXPECT_THAT(w.Send(), ElementsAre(ElementsAre(4)));
}

TEST(PublishWindow, CutsABatchWhenTheCreditShrinks) {
  Window w;
  w.window.OnConnected(kLimits);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(w.Publish({.body = "xy"}).ok());
  w.window.SetCredit(2, 8u << 20);
  EXPECT_THAT(w.Send(), ElementsAre(ElementsAre(1, 2)));
  EXPECT_EQ(w.sent.publish(0).bodies(), "xyxy");
  EXPECT_THAT(w.Send(), IsEmpty());
  w.window.SetCredit(0, 8u << 20);
  ASSERT_TRUE(w.Confirm(1, 2).ok());
  EXPECT_THAT(w.Send(), IsEmpty());
  w.window.SetCredit(100, 5);
  EXPECT_THAT(w.Send(), ElementsAre(ElementsAre(3, 4)));
}

TEST(PublishWindow, LetsOneMessageLargerThanTheCreditStandAlone) {
  Window w;
  w.window.OnConnected({.credit_messages = 100, .credit_bytes = 10});
  ASSERT_TRUE(w.Publish({.body = std::string(50, 'x')}).ok());
  EXPECT_FALSE(w.Publish({.body = "y"}).ok());
  EXPECT_THAT(w.Send(), ElementsAre(ElementsAre(1)));
  ASSERT_TRUE(w.Confirm(1, 1).ok());
  EXPECT_TRUE(w.Publish({.body = "y"}).ok());
}

TEST(PublishWindow, NeverSpansMoreSequencesThanTheBrokerRemembers) {
  Window w;
  w.window.OnConnected(kLimits);
  uint64_t count = 0;
  while (w.Publish({.body = "x"}).ok()) ++count;
  EXPECT_EQ(count, PublishWindow::kSpanMax);
  w.Send();
  ASSERT_TRUE(w.Confirm(2, count).ok());  // all but the first
  EXPECT_FALSE(w.Publish({.body = "x"}).ok());
  ASSERT_TRUE(w.Confirm(1, 1).ok());
  EXPECT_TRUE(w.Publish({.body = "x"}).ok());
}

TEST(PublishWindow, RefusesWhatTheBrokerWouldRefuse) {
  Window w;
  w.window.OnConnected({.credit_messages = 100, .credit_bytes = 1000, .body_bytes_max = 10});
  EXPECT_EQ(ReasonOf(w.Publish({.body = std::string(11, 'x')})), reason::kBodyTooLarge);
  EXPECT_EQ(ReasonOf(w.Publish({.body = "x"}, "no spaces")), reason::kQueueNameInvalid);
  EXPECT_EQ(ReasonOf(w.Publish({.body = "x", .ttl = std::chrono::milliseconds(-1)})), reason::kOutOfRange);
  EXPECT_EQ(ReasonOf(w.Publish({.body = "x", .delay = std::chrono::hours(24 * 4000)})), reason::kOutOfRange);
  EXPECT_THAT(w.Send(), IsEmpty());
}

TEST(PublishWindow, RefusesAfterAReconnectWhatIsTooLargeForTheBrokerNow) {
  Window w;
  w.window.OnConnected(kLimits);
  ASSERT_TRUE(w.Publish({.body = std::string(100'000, 'x')}).ok());
  ASSERT_TRUE(w.Publish({.body = "y"}).ok());
  w.Send();
  w.window.OnDisconnected();
  PublishWindow::Limits lower = kLimits;
  lower.body_bytes_max = 1'000;
  w.window.OnConnected(lower);
  EXPECT_THAT(w.TakeAnswers(), ElementsAre(Pair(1, false)));
  EXPECT_THAT(w.Send(), ElementsAre(ElementsAre(2)));
}

TEST(PublishWindow, ReportsAConfirmOfWhatWasNeverPublished) {
  Window w;
  w.window.OnConnected(kLimits);
  ASSERT_TRUE(w.Publish({.body = "x"}).ok());
  w.Send();
  EXPECT_EQ(ReasonOf(w.Confirm(1, 2)), reason::kProtocolViolation);
  EXPECT_EQ(ReasonOf(w.Confirm(2, 1)), reason::kProtocolViolation);
  EXPECT_TRUE(w.Confirm(1, 1).ok());
}

TEST(PublishWindow, AnswersEverythingWhenItFails) {
  Window w;
  w.window.OnConnected(kLimits);
  ASSERT_TRUE(w.Publish({.body = "x"}).ok());
  w.Send();
  ASSERT_TRUE(w.Publish({.body = "y"}).ok());
  w.window.Fail(absl::UnauthenticatedError("no"));
  EXPECT_THAT(w.TakeAnswers(), ElementsAre(Pair(1, false), Pair(2, false)));
  EXPECT_EQ(w.Publish({.body = "z"}).code(), absl::StatusCode::kUnauthenticated);
}

}  // namespace
}  // namespace baton::client
