// Finding records in a log file, whole and damaged.
#include "storage/rocks/log_scanner.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/crc32c.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr size_t kBlock = 32768;

// Writes records as RocksDB does (doc: "Write Ahead Log File Format").
class LogWriter {
 public:
  void Add(const std::string& record) {
    size_t at = 0;
    bool first = true;
    do {
      const size_t left = kBlock - log_.size() % kBlock;
      if (left < 7) log_.append(left, '\0');
      const size_t room = kBlock - log_.size() % kBlock - 7;
      const size_t length = std::min(room, record.size() - at);
      const bool last = at + length == record.size();
      AddFragment(static_cast<char>(first && last ? 1 : first ? 2 : last ? 4 : 3), record.substr(at, length));
      at += length;
      first = false;
    } while (at < record.size());
    ends_.push_back(log_.size());
  }
  std::string& log() { return log_; }
  // Where record i ends.
  size_t end(size_t i) const { return ends_.at(i); }
  size_t begin(size_t i) const { return i == 0 ? 0 : ends_.at(i - 1); }

 private:
  void AddFragment(char type, const std::string& payload) {
    const uint32_t crc = Crc32c(type + payload);
    const uint32_t masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
    for (int shift = 0; shift < 32; shift += 8) log_.push_back(static_cast<char>(masked >> shift));
    log_.push_back(static_cast<char>(payload.size()));
    log_.push_back(static_cast<char>(payload.size() >> 8));
    log_.push_back(type);
    log_.append(payload);
  }

  std::string log_;
  std::vector<size_t> ends_;
};

// "head" for a record, "!offset" for damage.
std::vector<std::string> Scan(const std::string& log, size_t head_bytes = 4) {
  size_t at = 0;
  LogScanner scanner(
      [&](char* buffer, size_t size) -> absl::StatusOr<size_t> {
        const size_t count = std::min(size, log.size() - at);
        std::copy_n(log.data() + at, count, buffer);
        at += count;
        return count;
      },
      head_bytes);
  std::vector<std::string> found;
  while (true) {
    const auto item = scanner.Next();
    EXPECT_TRUE(item.ok());
    if (!item->has_value()) return found;
    found.push_back((*item)->kind == LogScanner::Item::Kind::kRecord ? (*item)->head
                                                                     : fmt::format("!{}", (*item)->begin));
  }
}

LogWriter ThreeRecords() {
  LogWriter writer;
  writer.Add("aaaa first");
  writer.Add("bbbb second");
  writer.Add("cccc third");
  return writer;
}

TEST(Crc32c, IsTheCastagnoliSum) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST(Crc32c, IsTheSameInPiecesAndWithoutTheProcessorsInstruction) {
  std::string text;
  for (size_t i = 0; i < 2'000; ++i) text.push_back(static_cast<char>(i * 37 + i / 256));
  for (size_t length = 0; length < text.size(); ++length) {
    const std::string_view whole = std::string_view(text).substr(0, length);
    EXPECT_EQ(Crc32c(whole), ExtendCrc32cByTables(0, whole)) << length;
    const size_t cut = length / 3;
    EXPECT_EQ(ExtendCrc32c(Crc32c(whole.substr(0, cut)), whole.substr(cut)), Crc32c(whole)) << length;
  }
}

TEST(LogScanner, FindsNothingInAnEmptyFile) { EXPECT_THAT(Scan(""), IsEmpty()); }

TEST(LogScanner, FindsRecordsOfAllSizesAcrossBlocks) {
  LogWriter writer;
  std::vector<std::string> expected;
  for (size_t size = 4; size < 200'000; size = size * 5 / 3 + 1) {
    const std::string head = fmt::format("{:04}", expected.size());
    writer.Add(head + std::string(size - 4, 'x'));
    expected.push_back(head);
  }
  EXPECT_EQ(Scan(writer.log()), expected);
}

TEST(LogScanner, GathersAHeadThatIsSplitBetweenBlocks) {
  LogWriter writer;
  writer.Add("aaaa" + std::string(kBlock - 7 - 4 - 7 - 2, 'x'));  // leaves room for a header and two bytes
  writer.Add("head of the second");
  EXPECT_THAT(Scan(writer.log()), ElementsAre("aaaa", "head"));
}

TEST(LogScanner, TakesZerosUpToTheEndForTheEnd) {
  for (const size_t zeros : {1, 6, 7, 100, 40'000, 100'000}) {
    EXPECT_THAT(Scan(ThreeRecords().log() + std::string(zeros, '\0')), ElementsAre("aaaa", "bbbb", "cccc"))
        << zeros;
  }
}

TEST(LogScanner, ReportsATornEndOnceWhereItsRecordBegins) {
  const LogWriter whole = ThreeRecords();
  for (size_t size = whole.begin(2) + 1; size < whole.end(2); ++size) {
    LogWriter torn = whole;
    torn.log().resize(size);
    EXPECT_THAT(Scan(torn.log()), ElementsAre("aaaa", "bbbb", fmt::format("!{}", whole.begin(2)))) << size;
  }
}

TEST(LogScanner, FindsTheRecordsPastADamagedOneWhateverByteIsDamaged) {
  LogWriter writer = ThreeRecords();
  for (size_t at = writer.begin(1); at < writer.end(1); ++at) {
    std::string log = writer.log();
    log[at] ^= 0x40;
    EXPECT_THAT(Scan(log), ElementsAre("aaaa", fmt::format("!{}", writer.begin(1)), "cccc")) << at;
  }
}

TEST(LogScanner, FindsTheRecordsPastAHoleOfZeros) {
  LogWriter writer;
  writer.Add("aaaa");
  writer.Add("bbbb" + std::string(100'000, 'x'));
  writer.Add("cccc");
  std::string log = writer.log();
  std::fill(log.begin() + static_cast<long>(writer.begin(1)), log.begin() + static_cast<long>(writer.end(1)),
            '\0');
  EXPECT_THAT(Scan(log), ElementsAre("aaaa", fmt::format("!{}", writer.begin(1)), "cccc"));
}

TEST(LogScanner, LosesALongRecordFromItsBeginningWhereverItIsDamaged) {
  LogWriter writer;
  writer.Add("aaaa");
  writer.Add("bbbb" + std::string(100'000, 'x'));
  writer.Add("cccc");
  for (size_t at = writer.begin(1); at < writer.end(1); at += 977) {
    std::string log = writer.log();
    log[at] ^= 0x01;
    EXPECT_THAT(Scan(log), ElementsAre("aaaa", fmt::format("!{}", writer.begin(1)), "cccc")) << at;
  }
}

TEST(LogScanner, NeverInventsARecord) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(fmt::format("BATON_SEED={}", seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 60; ++round) {
    LogWriter writer;
    std::vector<std::string> written;
    for (int i = 0; i < 30; ++i) {
      written.push_back(fmt::format("{:04}", i));
      writer.Add(written.back() + std::string(random() % 5000, static_cast<char>(random() % 5)));
    }
    std::string log = writer.log();
    for (uint64_t damage = 1 + random() % 4; damage > 0; --damage) {
      const size_t at = random() % log.size();
      const size_t length = std::min<size_t>(random() % 6000, log.size() - at);
      for (size_t i = at; i < at + length; ++i)
        log[i] = random() % 2 == 0 ? '\0' : static_cast<char>(random());
    }
    std::vector<std::string> found = Scan(log);
    std::erase_if(found, [](const std::string& item) { return item.front() == '!'; });
    EXPECT_TRUE(std::includes(written.begin(), written.end(), found.begin(), found.end())) << round;
  }
}

}  // namespace
}  // namespace baton
