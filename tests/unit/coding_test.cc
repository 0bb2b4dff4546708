#include "base/coding.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/support/golden_file.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

std::string Varint(uint64_t value) {
  std::string out;
  AppendVarint(out, value);
  return out;
}

TEST(Coding, WritesWhatItAlwaysWrote) {
  std::string out;
  AppendFixed32(out, 0x01020304);
  AppendFixed64(out, 0x05060708090a0b0c);
  AppendLengthPrefixed(out, "ab");
  EXPECT_EQ(ToHex(out), "01 02 03 04 05 06 07 08 09 0a 0b 0c 02 61 62");
  EXPECT_EQ(ToHex(Varint(0)), "00");
  EXPECT_EQ(ToHex(Varint(127)), "7f");
  EXPECT_EQ(ToHex(Varint(128)), "80 01");
  EXPECT_EQ(ToHex(Varint(300)), "ac 02");
  EXPECT_EQ(ToHex(Varint(UINT64_MAX)), "ff ff ff ff ff ff ff ff ff 01");
}

TEST(Coding, ReadsBackEveryNumber) {
  std::vector<uint64_t> numbers = {0, 1, UINT32_MAX, UINT64_MAX};
  for (int bit = 0; bit < 64; ++bit) {
    numbers.push_back(uint64_t{1} << bit);
    numbers.push_back((uint64_t{1} << bit) - 1);
  }
  for (const uint64_t number : numbers) {
    std::string bytes = Varint(number);
    AppendFixed64(bytes, number);
    AppendFixed32(bytes, static_cast<uint32_t>(number));
    ByteReader reader(bytes);
    EXPECT_EQ(reader.Varint(), number);
    EXPECT_EQ(reader.Fixed64(), number);
    EXPECT_EQ(reader.Fixed32(), static_cast<uint32_t>(number));
    EXPECT_TRUE(reader.AtEnd());
  }
}

TEST(ByteReader, NeverReadsPastItsInputAndRemembersTheFirstFailure) {
  ByteReader reader("abc");
  EXPECT_EQ(reader.Fixed32(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.Byte(), 0u);
  EXPECT_EQ(reader.Rest(), "");
  EXPECT_FALSE(reader.AtEnd());
}

TEST(ByteReader, RefusesANumberOfMoreThan64Bits) {
  for (const std::string& bytes : {std::string(10, '\xff') + '\1', std::string(9, '\xff') + '\2',
                                   std::string(20, '\x80'), std::string("\x80")}) {
    ByteReader reader(bytes);
    reader.Varint();
    EXPECT_FALSE(reader.ok()) << ToHex(bytes);
  }
}

TEST(ByteReader, RefusesALengthLongerThanWhatIsThere) {
  for (const uint64_t length : {uint64_t{4}, uint64_t{1} << 32, UINT64_MAX}) {
    const std::string bytes = Varint(length) + "abc";
    ByteReader reader(bytes);
    EXPECT_EQ(reader.LengthPrefixed(), "");
    EXPECT_FALSE(reader.ok());
  }
}

TEST(ByteReader, OfHostileBytesStaysWithinThem) {
  std::mt19937_64 random(RandomSeed());
  for (int i = 0; i < 50'000; ++i) {
    std::string bytes(random() % 24, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    ByteReader reader(bytes);
    for (int reads = 0; reads < 8; ++reads) {
      std::string_view part;
      switch (random() % 5) {
        case 0:
          reader.Varint();
          break;
        case 1:
          reader.Fixed32();
          break;
        case 2:
          reader.Fixed64();
          break;
        case 3:
          part = reader.Bytes(random() % 32);
          break;
        default:
          part = reader.LengthPrefixed();
      }
      if (part.empty()) continue;
      EXPECT_GE(part.data(), bytes.data());
      EXPECT_LE(part.data() + part.size(), bytes.data() + bytes.size());
    }
  }
}

}  // namespace
}  // namespace baton
