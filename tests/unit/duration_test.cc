#include "base/duration.h"

#include <gtest/gtest.h>

#include <string>

namespace baton {
namespace {

using std::chrono::milliseconds;

TEST(Duration, IsANumberWithAUnit) {
  EXPECT_EQ(ParseDuration("250ms").value(), milliseconds(250));
  EXPECT_EQ(ParseDuration("30s").value(), milliseconds(30'000));
  EXPECT_EQ(ParseDuration("5m").value(), milliseconds(300'000));
  EXPECT_EQ(ParseDuration("12h").value(), milliseconds(43'200'000));
  EXPECT_EQ(ParseDuration("3650d").value(), milliseconds(315'360'000'000));
}

TEST(Duration, MayHaveSeveralUnitsLargestFirst) {
  EXPECT_EQ(ParseDuration("1h30m").value(), milliseconds(5'400'000));
  EXPECT_EQ(ParseDuration("1m0s5ms").value(), milliseconds(60'005));
  EXPECT_FALSE(ParseDuration("30m1h").ok());
  EXPECT_FALSE(ParseDuration("1h1h").ok());
}

TEST(Duration, OfZeroNeedsNoUnit) {
  EXPECT_EQ(ParseDuration("0").value(), milliseconds(0));
  EXPECT_EQ(ParseDuration("0s").value(), milliseconds(0));
}

TEST(Duration, WithoutAUnitIsRefusedAndTheUnitsAreNamed) {
  const absl::Status status = ParseDuration("30").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string message(status.message());
  EXPECT_NE(message.find("\"30\""), std::string::npos) << message;
  EXPECT_NE(message.find("unit is missing"), std::string::npos) << message;
  EXPECT_NE(message.find("ms, s, m, h or d"), std::string::npos) << message;
}

TEST(Duration, ThatIsMalformedIsRefused) {
  for (const char* text : {"", "s", "-1s", "1.5s", "1 s", "30sec", "30S", "1h30", " 1s", "1s ",
                           "99999999999999999999s", "9223372036854775807s"}) {
    EXPECT_EQ(ParseDuration(text).status().code(), absl::StatusCode::kInvalidArgument) << '"' << text << '"';
  }
}

TEST(Duration, IsFormattedSoThatItReadsBack) {
  EXPECT_EQ(FormatDuration(milliseconds(0)), "0s");
  EXPECT_EQ(FormatDuration(milliseconds(90'000)), "1m30s");
  EXPECT_EQ(FormatDuration(milliseconds(86'400'000)), "1d");
  EXPECT_EQ(FormatDuration(milliseconds(-90'000)), "-1m30s");
  EXPECT_EQ(FormatDuration(milliseconds::min()), "-106751991167d7h12m55s808ms");
  for (const int64_t millis : {int64_t{1}, int64_t{999}, int64_t{61'001}, int64_t{123'456'789}, INT64_MAX}) {
    const std::string text = FormatDuration(milliseconds(millis));
    EXPECT_EQ(ParseDuration(text).value(), milliseconds(millis)) << text;
  }
}

}  // namespace
}  // namespace baton
