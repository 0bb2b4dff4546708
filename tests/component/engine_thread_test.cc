// The engine's loop between real callers and a real store: who takes the turns, and that each answer comes.
#include "server/loop/engine_thread.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "storage/rocks/rocks_store.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

struct Answered {
  absl::StatusOr<Reply> reply;
  std::string by;  // the thread's name
};

class WaitingCall final : public CallRecipient {
 public:
  void Answer(absl::StatusOr<Reply> reply) override {
    char name[16] = {};
    pthread_getname_np(pthread_self(), name, sizeof(name));
    answered_.set_value({.reply = std::move(reply), .by = name});
  }
  std::future<Answered> answered() { return answered_.get_future(); }

 private:
  std::promise<Answered> answered_;
};

// Of the test's clocks.
std::atomic<int64_t> wall_ahead{0};
std::atomic<int64_t> boot_ahead{0};

class EngineThreadTest : public testing::Test {
 protected:
  EngineThreadTest() {
    auto opened = RocksStore::Open(
        {.path = directory_.path() + "/data", .memory_budget_bytes = 16u << 20, .ballast_bytes = 0});
    BATON_CHECK(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    engine_.emplace(EngineOptions{.epoch = store_->epoch()}, &router_);
    engine_->Start(time_.Now());
    thread_.emplace(EngineThread::Options{}, &*engine_, &router_, store_.get(), &time_, &inbox_, &parking_);
    thread_->Start();
    const Answered created = Ask(CreateQueue{.call = NewCall(), .name = "orders", .config = {}}).get();
    BATON_CHECK(created.reply.ok()) << created.reply.status();
  }
  ~EngineThreadTest() override { StopAll(); }

  void StopAll() {
    if (std::exchange(stopped_, true)) return;
    thread_->Stop();
    store_->Stop();
  }

  CallId NewCall() { return CallId(++last_call_); }

  template <class Command>
  std::future<Answered> Ask(Command command) {
    auto call = std::make_shared<WaitingCall>();
    auto answered = call->answered();
    std::vector<Post> posts;
    posts.push_back({.command = std::move(command), .recipient = std::move(call)});
    BATON_CHECK(inbox_.TryPost(posts));
    return answered;
  }
  std::future<Answered> AskToPublish() {
    Publish publish{.session = {},
                    .call = NewCall(),
                    .queue = "orders",
                    .producer = {},
                    .want_ids = true,
                    .messages = {}};
    publish.messages.push_back({.headers = {}, .body = "a message"});
    return Ask(std::move(publish));
  }

  TemporaryDirectory directory_;
  std::unique_ptr<RocksStore> store_;
  OutputRouter router_;
  BrokerTime time_{
      {.wall_micros = [] { return BrokerTime::SystemSources().wall_micros() + boot_ahead + wall_ahead; },
       .boot_micros = [] { return BrokerTime::SystemSources().boot_micros() + boot_ahead; },
       .is_synchronized = [] { return false; }}};
  Parking parking_;
  Inbox inbox_{Inbox::Options{}, &parking_};
  std::optional<Engine> engine_;
  std::optional<EngineThread> thread_;
  std::atomic<uint64_t> last_call_{0};
  bool stopped_ = false;
};

TEST_F(EngineThreadTest, ALoneAnswerIsGivenByTheThreadThatMadeItTrue) {
  // The engine's thread may happen to be awake, so not every time.
  while (AskToPublish().get().by != "baton-commit") {
  }
}

TEST_F(EngineThreadTest, EveryCallIsAnsweredOnceWhoeverTakesTheTurn) {
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([this, i] {
      MessageId last;
      for (int round = 0; round < 100; ++round) {
        std::vector<std::future<Answered>> answers(static_cast<size_t>(1 + (round + i) % 4));
        for (auto& answer : answers) answer = AskToPublish();
        for (auto& answer : answers) {
          const Answered answered = answer.get();
          ASSERT_TRUE(answered.reply.ok()) << answered.reply.status();
          const PublishResult& result = std::get<PublishReply>(*answered.reply).results.at(0);
          ASSERT_TRUE(result.status.ok()) << result.status;
          EXPECT_LT(last.seq, result.id.seq) << "in the order in which they were asked";
          last = result.id;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST_F(EngineThreadTest, AWallClockThatWasSetIsFollowedWhenThatHasLasted) {
  Publish publish{
      .session = {}, .call = NewCall(), .queue = "orders", .producer = {}, .want_ids = true, .messages = {}};
  publish.messages.push_back({.delay = std::chrono::hours(24), .headers = {}, .body = "due tomorrow"});
  ASSERT_TRUE(Ask(std::move(publish)).get().reply.ok());
  const auto delayed = [this] {
    const Answered answered = Ask(GetQueue{.call = NewCall(), .name = "orders"}).get();
    return std::get<QueueInfo>(*answered.reply).delayed;
  };
  const auto steps = [this] {
    std::promise<uint64_t> told;
    auto answer = told.get_future();
    thread_->AskLoopStats([&told](const LoopStats& stats) { told.set_value(stats.clock_steps); });
    return answer.get();
  };
  wall_ahead = std::chrono::microseconds(std::chrono::hours(25)).count();
  boot_ahead += 2'000'000;  // it is looked at once a second
  EXPECT_EQ(delayed(), 1u);
  EXPECT_EQ(steps(), 0u);

  int looks = 0;
  for (; steps() == 0 && looks < 100; ++looks) {
    boot_ahead += 100'000'000;
    EXPECT_EQ(delayed(), 1u);  // given in this life, its delay keeps its length
  }

  EXPECT_LT(looks, 10);
  EXPECT_GT(time_.Now(),
            InstantFromMicros(BrokerTime::SystemSources().wall_micros()) + std::chrono::hours(24));
}

TEST_F(EngineThreadTest, WhatIsPostedBeforeTheStopIsAnswered) {
  std::vector<std::future<Answered>> answers(20);
  for (auto& answer : answers) answer = AskToPublish();
  StopAll();
  for (auto& answer : answers) EXPECT_TRUE(answer.get().reply.ok());
}

}  // namespace
}  // namespace baton
