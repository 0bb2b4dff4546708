// Memory for large frames: taken as bytes come, and always enough to finish one.
#include "server/session/large_frame_room.h"

#include <gtest/gtest.h>

namespace baton {
namespace {

constexpr SessionId kFirst(1);
constexpr SessionId kSecond(2);
constexpr SessionId kThird(3);

TEST(LargeFrameRoom, IsNotTakenByWhatIsOnlyAnnounced) {
  LargeFrameRoom room(1'000, 300);
  for (uint64_t session = 1; session <= 100; ++session) EXPECT_TRUE(room.Take(SessionId(session), 5, 300));
  EXPECT_TRUE(room.Take(SessionId(101), 200, 200));
  EXPECT_FALSE(room.SomeoneWaits());
}

TEST(LargeFrameRoom, LetsOneFinishWhenThePoolIsUsedUpByFramesThatAreNotWhole) {
  LargeFrameRoom room(1'000, 300);
  ASSERT_TRUE(room.Take(kFirst, 350, 650));
  ASSERT_TRUE(room.Take(kSecond, 350, 650));
  EXPECT_FALSE(room.Take(kFirst, 300, 300));
  EXPECT_FALSE(room.Take(kSecond, 200, 300));

  EXPECT_TRUE(room.HasNext());
  EXPECT_EQ(room.TakeNext(), kFirst);
  EXPECT_FALSE(room.HasNext()) << "one at a time";
  EXPECT_TRUE(room.Take(kFirst, 100, 100)) << "it has right of way";
  room.GiveBack(kFirst, 750);

  EXPECT_EQ(room.TakeNext(), kSecond);
  EXPECT_TRUE(room.Take(kSecond, 100, 100));
  room.GiveBack(kSecond, 650);
  EXPECT_TRUE(room.Take(kThird, 700, 700)) << "all is given back";
}

TEST(LargeFrameRoom, IsGivenFirstToWhomItMakesWhole) {
  LargeFrameRoom room(1'000, 300);
  ASSERT_TRUE(room.Take(kFirst, 600, 5'000));
  EXPECT_FALSE(room.Take(kSecond, 600, 4'000));
  EXPECT_EQ(room.TakeNext(), kSecond);  // right of way
  EXPECT_FALSE(room.Take(kFirst, 600, 4'400));
  EXPECT_TRUE(room.Take(kThird, 100, 100)) << "a small one passes those that lack much";
}

TEST(LargeFrameRoom, OfOneThatIsGoneGoesToTheNext) {
  LargeFrameRoom room(1'000, 300);
  ASSERT_TRUE(room.Take(kFirst, 700, 900));
  EXPECT_FALSE(room.Take(kSecond, 500, 500));
  EXPECT_FALSE(room.Take(kThird, 600, 600));
  EXPECT_EQ(room.TakeNext(), kSecond);
  room.Forget(kSecond);
  room.GiveBack(kSecond, 500);
  EXPECT_EQ(room.TakeNext(), kThird);
  room.Forget(kThird);
  room.GiveBack(kThird, 600);
  EXPECT_FALSE(room.SomeoneWaits());
  EXPECT_FALSE(room.HasNext());
}

}  // namespace
}  // namespace baton
