#include "server/loop/inbox.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

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

// As the engine's thread does.
void SleepAndTake(Inbox& inbox, Parking& parking, Inbox::Batch& batch) {
  std::vector<uint64_t> ready;
  if (inbox.Park()) parking.Wait(seconds(60), ready);
  inbox.Unpark();
  inbox.Take(batch);
}

std::vector<Post> Settling() {
  std::vector<Post> posts;
  posts.push_back(
      {.command = SettleTags{.session = SessionId(1), .settlement = {}, .tags = {{.first = 1, .last = 1}}}});
  return posts;
}

TEST(Inbox, GivesPostsInTheirOrder) {
  Parking parking;
  Inbox inbox({}, &parking);
  for (uint64_t i = 1; i <= 3; ++i) {
    auto posts = Growing(i);
    ASSERT_TRUE(inbox.TryPost(posts));
    EXPECT_THAT(posts, IsEmpty());
  }
  Inbox::Batch batch;
  inbox.Take(batch);
  ASSERT_THAT(batch.posts, SizeIs(3));
  for (uint64_t i = 0; i < 3; ++i)
    EXPECT_EQ(std::get<Publish>(batch.posts[i].command).session, SessionId(i + 1));
}

TEST(Inbox, RefusesWhatGrowsWhenFullAndStillTakesWhatShrinks) {
  Parking parking;
  Inbox inbox({.commands_max = 4, .bytes_max = 1u << 20}, &parking);
  for (int i = 0; i < 2; ++i) {
    auto posts = Growing();
    ASSERT_TRUE(inbox.TryPost(posts));
  }
  auto refused = Growing();
  EXPECT_FALSE(inbox.TryPost(refused)) << "half of the room is a session's own";
  EXPECT_THAT(refused, SizeIs(1)) << "a refused post stays with its carrier";
  for (int i = 0; i < 2; ++i) {
    auto settling = Settling();
    EXPECT_TRUE(inbox.TryPost(settling));
  }
  auto settling = Settling();
  EXPECT_FALSE(inbox.TryPost(settling)) << "the reserved room has an end too";
  inbox.PostAlways(CloseSession{SessionId(1)});

  Inbox::Batch batch;
  inbox.Take(batch);
  EXPECT_TRUE(batch.refused);
  EXPECT_THAT(batch.posts, SizeIs(5));
  EXPECT_TRUE(inbox.TryPost(refused));
}

TEST(Inbox, KeepsRoomForASessionThatComesLateHoweverManyTakeWhatTheyCan) {
  Parking parking;
  Inbox inbox({.commands_max = 1'000, .bytes_max = 100u << 20}, &parking);
  for (uint64_t session = 1; session <= 5; ++session) {
    auto posts = Growing(session);
    while (inbox.TryPost(posts)) posts = Growing(session);
  }
  EXPECT_LT(inbox.depth().commands, 1'000u);
  auto posts = Growing(6);
  EXPECT_TRUE(inbox.TryPost(posts));
}

TEST(Inbox, RingsForThoseItRefusedWhenHalfOfItIsFree) {
  Parking parking;
  Inbox inbox({.commands_max = 100, .bytes_max = 100u << 20, .share = {.bytes = 1u << 20, .steps = 40}},
              &parking);
  for (uint64_t session = 1; session <= 3; ++session) {
    auto posts = Growing(session);
    while (inbox.TryPost(posts)) posts = Growing(session);
  }
  ASSERT_GT(inbox.depth().commands, 80u);
  Inbox::Batch batch;
  inbox.Take(batch);
  EXPECT_FALSE(batch.refused) << "it has just been full";
  batch.posts.clear();
  while (inbox.depth().commands > 50) {
    inbox.Take(batch);
    batch.posts.clear();
  }
  EXPECT_TRUE(batch.refused);
}

TEST(Inbox, CountsBytesAndTakesOneLargePostWhenEmpty) {
  Parking parking;
  Inbox inbox({.commands_max = 100, .bytes_max = 1'000}, &parking);
  auto large = Growing(1, 5'000);
  EXPECT_TRUE(inbox.TryPost(large));
  auto small = Growing();
  EXPECT_FALSE(inbox.TryPost(small));
  EXPECT_GE(inbox.depth().bytes, 5'000u);
  Inbox::Batch batch;
  inbox.Take(batch);
  EXPECT_EQ(inbox.depth().bytes, 0u);
  EXPECT_TRUE(inbox.TryPost(small));
}

// The engine holds publishes back while the store is behind: they use up room until it has caught up.
TEST(Inbox, RefusesPublishesOfSessionsWhileTheEngineHoldsBackTooMuch) {
  Parking parking;
  Inbox inbox({.commands_max = 100, .bytes_max = 10'000}, &parking);
  EXPECT_FALSE(inbox.HoldBack({.for_disk = 9'000}));
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
  inbox.Take(batch);

  EXPECT_FALSE(inbox.TryPost(publish)) << "an empty inbox is no room";
  EXPECT_TRUE(inbox.HoldBack({.for_disk = 1'000})) << "whoever was refused may retry";
  EXPECT_FALSE(inbox.HoldBack({.for_disk = 500})) << "and is told once";
  EXPECT_TRUE(inbox.TryPost(publish));
}

TEST(SlowDisk, LetsSessionsInThatPublishToMemoryQueuesOnly) {
  Parking parking;
  Inbox inbox({.commands_max = 100, .bytes_max = 10'000}, &parking);
  const auto to_memory = [](uint64_t session) {
    auto posts = Growing(session, 5'000);
    std::get<Publish>(posts[0].command).to_disk = false;
    return posts;
  };
  Inbox::Batch batch;
  EXPECT_FALSE(inbox.HoldBack({.for_disk = 1'000'000}));
  for (uint64_t session = 1; session < 20; ++session) {
    auto posts = to_memory(session);
    ASSERT_TRUE(inbox.TryPost(posts));
    inbox.Take(batch);
    batch.posts.clear();
  }
  auto both = to_memory(20);
  both.push_back(Growing(20)[0]);
  EXPECT_FALSE(inbox.TryPost(both)) << "one of them is for the disk";

  EXPECT_TRUE(inbox.HoldBack({.for_memory = 9'000})) << "the disk has caught up";
  auto posts = to_memory(21);
  EXPECT_FALSE(inbox.TryPost(posts)) << "their room has an end, too";
  auto to_disk = Growing(22, 5'000);
  EXPECT_TRUE(inbox.TryPost(to_disk));
}

TEST(Inbox, LeavesPostsWhereTheyAreUntilTheLastOnesAreHandled) {
  Parking parking;
  Inbox inbox({}, &parking);
  auto first = Growing(1);
  ASSERT_TRUE(inbox.TryPost(first));
  Inbox::Batch batch;
  inbox.Take(batch);
  auto second = Growing(2);
  ASSERT_TRUE(inbox.TryPost(second));
  EXPECT_FALSE(inbox.PostProgress(CommitNumber(3), CommitNumber(2)));
  inbox.Take(batch);
  EXPECT_THAT(batch.posts, SizeIs(1));
  EXPECT_TRUE(batch.progressed);
  EXPECT_EQ(batch.written, CommitNumber(3));
  EXPECT_EQ(batch.synced, CommitNumber(2));
  batch.posts.clear();
  inbox.Take(batch);
  EXPECT_THAT(batch.posts, SizeIs(1));
}

TEST(Inbox, WakesAThreadThatWaits) {
  Parking parking;
  Inbox inbox({}, &parking);
  Inbox::Batch batch;
  size_t taken = 0;
  std::thread engine([&] {
    while (!batch.stop) {
      SleepAndTake(inbox, parking, batch);
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

TEST(Inbox, WithSomethingInItLetsNobodySleep) {
  Parking parking;
  Inbox inbox({}, &parking);
  auto posts = Growing();
  ASSERT_TRUE(inbox.TryPost(posts));
  EXPECT_FALSE(inbox.Park());
}

TEST(Parking, ReturnsWhenTheWaitIsOver) {
  Parking parking;
  std::vector<uint64_t> ready;
  parking.Wait(Duration(1'000), ready);
  EXPECT_THAT(ready, IsEmpty());
}

TEST(Parking, TellsWhichDescriptorsCanBeReadUntilTheyAreRead) {
  Parking parking;
  int pipe[2];
  ASSERT_EQ(pipe2(pipe, O_CLOEXEC), 0);
  Descriptor reading(pipe[0]);
  Descriptor writing(pipe[1]);
  ASSERT_TRUE(parking.Watch(reading.get(), 7).ok());
  ASSERT_EQ(write(writing.get(), "x", 1), 1);
  for (int i = 0; i < 2; ++i) {
    std::vector<uint64_t> ready;
    parking.Wait(seconds(60), ready);
    EXPECT_THAT(ready, testing::ElementsAre(7u));
  }
  parking.Unwatch(reading.get());
  std::vector<uint64_t> ready;
  parking.Wait(Duration(0), ready);
  EXPECT_THAT(ready, IsEmpty());
}

// No post is lost or handled twice, and every wake-up comes, whoever posts how much.
TEST(Inbox, ManyPostersAndOneTakerLoseNothing) {
  Parking parking;
  Inbox inbox({.commands_max = 16, .bytes_max = 1u << 20}, &parking);
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
    SleepAndTake(inbox, parking, batch);
    for (const Post& post : batch.posts) ++taken[std::get<Publish>(post.command).session.value()];
    total += batch.posts.size();
    batch.posts.clear();
  }
  for (std::thread& poster : posters) poster.join();
  for (uint64_t poster = 1; poster <= kPosters; ++poster) EXPECT_EQ(taken[poster], kEach);
}

}  // namespace
}  // namespace baton
