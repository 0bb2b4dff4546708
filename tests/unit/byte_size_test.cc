#include "base/byte_size.h"

#include <gtest/gtest.h>

#include <string>

namespace baton {
namespace {

TEST(ByteSize, IsANumberWithAUnit) {
  EXPECT_EQ(ParseByteSize("512B").value(), 512u);
  EXPECT_EQ(ParseByteSize("16KiB").value(), 16u << 10);
  EXPECT_EQ(ParseByteSize("256MiB").value(), 256u << 20);
  EXPECT_EQ(ParseByteSize("2GiB").value(), uint64_t{2} << 30);
  EXPECT_EQ(ParseByteSize("1TiB").value(), uint64_t{1} << 40);
  EXPECT_EQ(ParseByteSize("10GB").value(), 10'000'000'000u);
  EXPECT_EQ(ParseByteSize("256mib").value(), 256u << 20);
  EXPECT_EQ(ParseByteSize("0").value(), 0u);
}

TEST(ByteSize, WithoutAUnitIsRefusedAndTheUnitsAreNamed) {
  const absl::Status status = ParseByteSize("256").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string message(status.message());
  EXPECT_NE(message.find("\"256\""), std::string::npos) << message;
  EXPECT_NE(message.find("B, KiB, MiB, GiB, TiB"), std::string::npos) << message;
}

TEST(ByteSize, ThatIsMalformedIsRefused) {
  for (const char* text :
       {"", "MiB", "-1B", "1.5GiB", "1 MiB", "1M", "1MiBs", " 1B", "99999999999999999999B", "99999999TiB"}) {
    EXPECT_EQ(ParseByteSize(text).status().code(), absl::StatusCode::kInvalidArgument) << '"' << text << '"';
  }
}

TEST(ByteSize, IsFormattedSoThatItReadsBack) {
  EXPECT_EQ(FormatByteSize(256u << 20), "256MiB");
  EXPECT_EQ(FormatByteSize(1000), "1000B");
  EXPECT_EQ(FormatByteSize(0), "0B");
  for (const uint64_t bytes : {uint64_t{1}, uint64_t{1025}, uint64_t{3} << 41, UINT64_MAX}) {
    EXPECT_EQ(ParseByteSize(FormatByteSize(bytes)).value(), bytes);
  }
}

TEST(ByteSize, IsRoundedForPeople) {
  EXPECT_EQ(FormatByteSizeRounded(0), "0 B");
  EXPECT_EQ(FormatByteSizeRounded(999), "999 B");
  EXPECT_EQ(FormatByteSizeRounded(1536), "1.5 KiB");
  EXPECT_EQ(FormatByteSizeRounded(1'000'000), "977 KiB");
  EXPECT_EQ(FormatByteSizeRounded(2u << 20), "2 MiB");
}

}  // namespace
}  // namespace baton
