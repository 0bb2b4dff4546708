// Whose commands come next: lines take turns by what their commands cost.
#include "server/loop/command_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

namespace baton {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

constexpr CommandCost kAll{.bytes = SIZE_MAX, .steps = SIZE_MAX};

Post Credit(uint64_t session, uint64_t subscription = 1) {
  return {.command = SetCredit{.session = SessionId(session), .subscription = SubscriptionId(subscription)}};
}

Post Publishing(uint64_t session, size_t messages, size_t body_bytes) {
  Publish publish{.session = SessionId(session), .call = {}, .queue = "q", .producer = {}, .messages = {}};
  for (size_t i = 0; i < messages; ++i)
    publish.messages.push_back({.headers = {}, .body = std::string(body_bytes, 'x')});
  return {.command = std::move(publish)};
}

Post Settling(uint64_t session, std::vector<TagRange> tags) {
  return {.command = SettleTags{.session = SessionId(session), .settlement = {}, .tags = std::move(tags)}};
}

uint64_t SessionOf(const Post& post) {
  return std::visit(
      [](const auto& value) -> uint64_t {
        if constexpr (requires { value.session; }) return value.session.value();
        return 0;
      },
      post.command);
}

std::map<uint64_t, size_t> BySession(const std::vector<Post>& posts) {
  std::map<uint64_t, size_t> counts;
  for (const Post& post : posts) ++counts[SessionOf(post)];
  return counts;
}

TEST(CommandLines, KeepTheOrderOfEachSession) {
  CommandLines lines;
  for (uint64_t i = 1; i <= 500; ++i) lines.Add(Credit(1 + i % 3, i), Growth::kShrinks);
  std::vector<Post> posts;
  lines.Take(kAll, posts);
  ASSERT_THAT(posts, SizeIs(500));
  std::map<uint64_t, uint64_t> last;
  for (const Post& post : posts) {
    const auto& credit = std::get<SetCredit>(post.command);
    EXPECT_LT(last[credit.session.value()], credit.subscription.value());
    last[credit.session.value()] = credit.subscription.value();
  }
  EXPECT_TRUE(lines.empty());
  EXPECT_EQ(lines.total(Growth::kShrinks).commands, 0u);
  EXPECT_EQ(lines.total(Growth::kShrinks).bytes, 0u);
}

TEST(CommandLines, LetOneWithLittleWaitForAShareOfTheOthersOnly) {
  CommandLines lines;
  for (uint64_t session = 1; session <= 10; ++session) {
    for (int i = 0; i < 16'384; ++i) lines.Add(Credit(session), Growth::kShrinks);
  }
  lines.Add(Credit(11), Growth::kShrinks);
  std::vector<Post> posts;
  lines.Take({.bytes = SIZE_MAX, .steps = 4'096}, posts);
  const auto counts = BySession(posts);
  EXPECT_EQ(counts.at(11), 1u);
  for (uint64_t session = 1; session <= 10; ++session) {
    EXPECT_GT(counts.at(session), 300u);
    EXPECT_LT(counts.at(session), 500u);
  }
}

TEST(CommandLines, ChargeBytesAndMessagesAlike) {
  CommandLines lines;
  for (int i = 0; i < 100; ++i) lines.Add(Publishing(1, 1, 512u << 10), Growth::kGrows);
  for (int i = 0; i < 100; ++i) lines.Add(Publishing(2, 256, 1), Growth::kGrows);
  for (int i = 0; i < 100'000; ++i) lines.Add(Publishing(3, 1, 1), Growth::kGrows);
  std::vector<Post> posts;
  lines.Take({.bytes = SIZE_MAX, .steps = 8'000}, posts);
  const auto counts = BySession(posts);
  EXPECT_NEAR(static_cast<double>(counts.at(1)), static_cast<double>(counts.at(2)), 3);
  EXPECT_NEAR(static_cast<double>(counts.at(3)), 128.0 * static_cast<double>(counts.at(2)), 500);
}

TEST(CommandLines, GiveAllOfATurnToOneThatIsAlone) {
  CommandLines lines;
  for (int i = 0; i < 10'000; ++i) lines.Add(Credit(1), Growth::kShrinks);
  std::vector<Post> posts;
  lines.Take({.bytes = SIZE_MAX, .steps = 4'096}, posts);
  EXPECT_THAT(posts, SizeIs(4'096));
}

TEST(CommandLines, CutALongSettlementIntoParts) {
  CommandLines lines;
  lines.Add(Settling(1, {{.first = 1, .last = 60'000},
                         {.first = 70'001, .last = 70'001},
                         {.first = 80'001, .last = 80'500}}),
            Growth::kShrinks);
  lines.Add(Credit(1), Growth::kShrinks);
  size_t tags = 0;
  uint64_t last = 0;
  bool whole = false;
  std::vector<Post> posts;
  while (!lines.empty()) {
    posts.clear();
    lines.Take({.bytes = SIZE_MAX, .steps = 1'000}, posts);
    size_t in_turn = 0;
    for (const Post& post : posts) {
      const auto* settle = std::get_if<SettleTags>(&post.command);
      if (settle == nullptr) {
        EXPECT_TRUE(whole) << "what the session said next came before the rest";
        continue;
      }
      EXPECT_FALSE(whole);
      whole = !settle->goes_on;
      for (const TagRange& range : settle->tags) {
        EXPECT_GT(range.first, last);
        last = range.last;
        in_turn += range.last - range.first + 1;
      }
    }
    EXPECT_LE(in_turn, 1'100u);
    tags += in_turn;
  }
  EXPECT_TRUE(whole);
  EXPECT_EQ(tags, 60'000u + 1 + 500);
  EXPECT_EQ(lines.total(Growth::kShrinks).bytes, 0u);
}

Post Call(uint64_t client, size_t body_bytes = 1) {
  Post post = Publishing(0, 1, body_bytes);
  std::get<Publish>(post.command).call = CallId(client);  // to know it again
  post.client = ClientId(client);
  return post;
}

size_t CallsOf(uint64_t client, const std::vector<Post>& posts) {
  return static_cast<size_t>(std::count_if(posts.begin(), posts.end(), [client](const Post& post) {
    return std::get<Publish>(post.command).call == CallId(client);
  }));
}

TEST(CommandLines, LetACallWaitForAShareOfTheCallsOfOtherClientsOnly) {
  CommandLines lines;
  for (int i = 0; i < 10'000; ++i) lines.Add(Call(1), Growth::kGrows);
  for (int i = 0; i < 100; ++i) lines.Add(Call(2, 1u << 20), Growth::kGrows);
  lines.Add(Call(3), Growth::kGrows);
  std::vector<Post> posts;
  lines.Take({.bytes = SIZE_MAX, .steps = 8'000}, posts);
  EXPECT_EQ(CallsOf(3, posts), 1u);
  EXPECT_GT(CallsOf(1, posts), 3'900u);
  EXPECT_NEAR(static_cast<double>(CallsOf(2, posts)), 8'000 / 514.0, 2) << "charged by its bytes";
}

TEST(CommandLines, ChargeAClientForItsOwnCallsAndForgetItWithTheLast) {
  CommandLines lines;
  lines.Add(Call(1), Growth::kGrows);
  lines.Add(Call(1), Growth::kGrows);
  EXPECT_EQ(lines.OfLine(Call(1), Growth::kGrows).commands, 2u);
  EXPECT_EQ(lines.OfLine(Call(2), Growth::kGrows).commands, 0u);
  std::vector<Post> posts;
  lines.Take(kAll, posts);
  EXPECT_THAT(posts, SizeIs(2));
  EXPECT_EQ(lines.lines(), 0u);
}

TEST(CommandLines, AreForgottenWithTheirSession) {
  CommandLines lines;
  lines.Add(Credit(1), Growth::kShrinks);
  lines.Add({.command = CloseSession{SessionId(1)}}, Growth::kShrinks);
  std::vector<Post> posts;
  lines.Take(kAll, posts);
  EXPECT_THAT(posts, SizeIs(2));
  EXPECT_EQ(lines.OfLine(Credit(1), Growth::kShrinks).commands, 0u);
  lines.Add(Credit(1), Growth::kShrinks);
  EXPECT_EQ(lines.OfLine(Credit(1), Growth::kShrinks).commands, 1u);
}

}  // namespace
}  // namespace baton
