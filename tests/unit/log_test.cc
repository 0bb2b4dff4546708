#include "server/log.h"

#include <gtest/gtest.h>

namespace baton {
namespace {

TEST(Log, ValuesThatAreNotOneWordAreQuotedSoThatALineStaysALine) {
  EXPECT_EQ(FormatLogText("serving", {{"epoch", "3"}, {"peer", "unix:/run/x"}}),
            "serving  epoch=3 peer=unix:/run/x");
  EXPECT_EQ(FormatLogText("odd", {{"name", "a\nb=\"c\""}, {"none", ""}}),
            "odd  name=\"a\\nb=\\\"c\\\"\" none=\"\"");
}

TEST(Log, JsonKeepsTheOrderAndSurvivesBytesThatAreNoText) {
  EXPECT_EQ(FormatLogJson("t", "info", "odd", {{"name", "a\xff"}}),
            "{\"time\":\"t\",\"level\":\"info\",\"event\":\"odd\",\"name\":\"a\xEF\xBF\xBD\"}");
}

}  // namespace
}  // namespace baton
