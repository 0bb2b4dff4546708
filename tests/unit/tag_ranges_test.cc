#include "client/session/tag_ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace baton::client {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

google::protobuf::RepeatedField<uint64_t> Ranges(const std::vector<uint64_t>& tags) {
  google::protobuf::RepeatedField<uint64_t> out;
  AppendTagRanges(tags, out);
  return out;
}

TEST(TagRanges, ArePairsOfAFirstTagAndTheNumberThatFollow) {
  EXPECT_THAT(Ranges({}), IsEmpty());
  EXPECT_THAT(Ranges({7}), ElementsAre(7, 0));
  EXPECT_THAT(Ranges({1, 2, 3}), ElementsAre(1, 2));
  EXPECT_THAT(Ranges({5, 9, 10, 11}), ElementsAre(5, 0, 9, 2));
  EXPECT_THAT(Ranges({1, 3, 5}), ElementsAre(1, 0, 3, 0, 5, 0));
}

}  // namespace
}  // namespace baton::client
