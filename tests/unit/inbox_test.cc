#include "server/inbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace baton {
namespace {

using std::chrono::seconds;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<Post> Growing(uint64_t subscription = 1, size_t body_bytes = 0) {
  std::vector<Post> posts;
  Publish publish{
      .session = SessionId(subscription), .call = {}, .queue = "q", .producer = {}, .messages = {}};
  publish.messages.push_back({.headers = {}, .body = std::string(body_bytes, 'x')});
  posts.push_back({.command = std::move(publish)});
  return posts;
}

std::vector<Post> Settling() {
  std::vector<Post> posts;
  posts.push_back(
      {.command = SettleTags{.session = SessionId(1), .settlement = {}, .tags = {{.first = 1, .last = 1}}}});
  return posts;
}

TEST(Inbox, GivesPostsInTheirOrder) {
  Inbox inbox({});
  for (uint64_t i = 1; i <= 3; ++i) {
    auto posts = Growing(i);
    ASSERT_TRUE(inbox.TryPost(posts));
    EXPECT_THAT(posts, IsEmpty());
  }
  Inbox::Batch batch;
  inbox.Take(batch, Duration(0));
  ASSERT_THAT(batch.posts, SizeIs(3));
  for (uint64_t i = 0; i < 3; ++i)
    EXPECT_EQ(std::get<Publish>(batch.posts[i].command).session, SessionId(i + 1));
}

TEST(Inbox, RefusesWhatGrowsWhenFullAndStillTakesWhatShrinks) {
  Inbox inbox({.commands_max = 2, .bytes_max = 1u << 20});
  for (int i = 0; i < 2; ++i) {
    auto posts = Growing();
    ASSERT_TRUE(inbox.TryPost(posts));
  }
  auto refused = Growing();
  EXPECT_FALSE(inbox.TryPost(refused));
  EXPECT_THAT(refused, SizeIs(1)) << "a refused post stays with its carrier";
  for (int i = 0; i < 2; ++i) {
    auto settling = Settling();
    EXPECT_TRUE(inbox.TryPost(settling));
  }
  auto settling = Settling();
  EXPECT_FALSE(inbox.TryPost(settling)) << "the reserved room has an end too";
  inbox.PostAlways(CloseSession{SessionId(1)});

  Inbox::Batch batch;
  inbox.Take(batch, Duration(0));
  EXPECT_TRUE(batch.refused);
  EXPECT_THAT(batch.posts, SizeIs(5));
  EXPECT_TRUE(inbox.TryPost(refused));
}

TEST(Inbox, CountsBytesAndTakesOneLargePostWhenEmpty) {
  Inbox inbox({.commands_max = 100, .bytes_max = 1'000});
  auto large = Growing(1, 5'000);
  EXPECT_TRUE(inbox.TryPost(large));
  auto small = Growing();
  EXPECT_FALSE(inbox.TryPost(small));
  EXPECT_GE(inbox.depth().bytes, 5'000u);
  Inbox::Batch batch;
  inbox.Take(batch, Duration(0));
  EXPECT_EQ(inbox.depth().bytes, 0u);
  EXPECT_TRUE(inbox.TryPost(small));
}

// The engine holds publishes back while the store is behind: they use up room until it has caught up.
TEST(Inbox, RefusesPublishesOfSessionsWhileTheEngineHoldsBackTooMuch) {
  Inbox inbox({.commands_max = 100, .bytes_max = 10'000});
  EXPECT_FALSE(inbox.HoldBack(9'000));
  auto publish = Growing(1, 5'000);
  EXPECT_FALSE(inbox.TryPost(publish));
  auto settling = Settling();
  EXPECT_TRUE(inbox.TryPost(settling)) << "what shrinks the broker goes on";
  std::vector<Post> subscribing;
  subscribing.push_back({.command = Subscribe{.session = SessionId(1), .queue = "q"}});
  EXPECT_TRUE(inbox.TryPost(subscribing)) << "consumers go on";
  std::vector<Post> call = Growing(1, 5'000);
  std::get<Publish>(call[0].command).session = {};
  EXPECT_TRUE(inbox.TryPost(call)) << "calls are answered instead";
  Inbox::Batch batch;
  inbox.Take(batch, Duration(0));

  EXPECT_FALSE(inbox.TryPost(publish)) << "an empty inbox is no room";
  EXPECT_TRUE(inbox.HoldBack(1'000)) << "whoever was refused may retry";
  EXPECT_FALSE(inbox.HoldBack(500)) << "and is told once";
  EXPECT_TRUE(inbox.TryPost(publish));
}

TEST(Inbox, LeavesPostsWhereTheyAreUntilTheLastOnesAreHandled) {
  Inbox inbox({});
  auto first = Growing(1);
  ASSERT_TRUE(inbox.TryPost(first));
  Inbox::Batch batch;
  inbox.Take(batch, Duration(0));
  auto second = Growing(2);
  ASSERT_TRUE(inbox.TryPost(second));
  inbox.PostProgress(CommitNumber(3), CommitNumber(2));
  inbox.Take(batch, Duration(0));
  EXPECT_THAT(batch.posts, SizeIs(1));
  EXPECT_TRUE(batch.progressed);
  EXPECT_EQ(batch.written, CommitNumber(3));
  EXPECT_EQ(batch.synced, CommitNumber(2));
  batch.posts.clear();
  inbox.Take(batch, Duration(0));
  EXPECT_THAT(batch.posts, SizeIs(1));
}

TEST(Inbox, WakesAThreadThatWaits) {
  Inbox inbox({});
  Inbox::Batch batch;
  size_t taken = 0;
  std::thread engine([&] {
    while (!batch.stop) {
      inbox.Take(batch, seconds(60));
      taken += batch.posts.size();
      batch.posts.clear();  // the stop comes after them, with an empty batch
    }
  });
  auto posts = Growing();
  EXPECT_TRUE(inbox.TryPost(posts));
  inbox.PostStop();
  engine.join();
  EXPECT_EQ(taken, 1u);
}

TEST(Inbox, ReturnsWhenTheWaitIsOver) {
  Inbox inbox({});
  Inbox::Batch batch;
  inbox.Take(batch, Duration(1'000));
  EXPECT_TRUE(batch.empty());
}

// No post is lost or handled twice, and every wake-up comes, whoever posts how much.
TEST(Inbox, ManyPostersAndOneTakerLoseNothing) {
  Inbox inbox({.commands_max = 16, .bytes_max = 1u << 20});
  constexpr uint64_t kPosters = 4;
  constexpr uint64_t kEach = 5'000;
  std::vector<std::thread> posters;
  for (uint64_t poster = 1; poster <= kPosters; ++poster) {
    posters.emplace_back([&inbox, poster] {
      for (uint64_t i = 0; i < kEach; ++i) {
        auto posts = Growing(poster);
        while (!inbox.TryPost(posts)) std::this_thread::yield();
      }
    });
  }
  std::vector<uint64_t> taken(kPosters + 1);
  uint64_t total = 0;
  Inbox::Batch batch;
  while (total < kPosters * kEach) {
    inbox.Take(batch, seconds(60));
    for (const Post& post : batch.posts) ++taken[std::get<Publish>(post.command).session.value()];
    total += batch.posts.size();
    batch.posts.clear();
  }
  for (std::thread& poster : posters) poster.join();
  for (uint64_t poster = 1; poster <= kPosters; ++poster) EXPECT_EQ(taken[poster], kEach);
}

}  // namespace
}  // namespace baton
