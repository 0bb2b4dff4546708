// What is written behind the end of a log, and when.
#include "storage/rocks/rocks_log_ahead.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr uint64_t kMiB = 1u << 20;

// What reached the file system.
struct Traffic {
  int zero_writes = 0;
  uint64_t zeros_begin = 0;
  uint64_t zeros_end = 0;
  uint64_t truncated_to = UINT64_MAX;
  bool refuse_zeros = false;
  bool reserved_counts_as_length = false;
};

class WatchedFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WatchedFile(std::unique_ptr<rocksdb::FSWritableFile>&& target, Traffic* traffic)
      : FSWritableFileOwnerWrapper(std::move(target)), traffic_(traffic) {}

  IOStatus PositionedAppend(const Slice& data, uint64_t offset, const IOOptions& options,
                            IODebugContext* debug) override {
    if (traffic_->refuse_zeros) return IOStatus::NoSpace("full");
    EXPECT_TRUE(std::all_of(data.data(), data.data() + data.size(), [](char c) { return c == '\0'; }));
    ++traffic_->zero_writes;
    traffic_->zeros_begin = offset;
    traffic_->zeros_end = offset + data.size();
    return target()->PositionedAppend(data, offset, options, debug);
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    traffic_->truncated_to = size;
    return target()->Truncate(size, options, debug);
  }

 private:
  Traffic* const traffic_;
};

class WatchedFileSystem : public rocksdb::FileSystemWrapper {
 public:
  explicit WatchedFileSystem(Traffic* traffic)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), traffic_(traffic) {}
  const char* Name() const override { return "WatchedFileSystem"; }

  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) override {
    std::unique_ptr<rocksdb::FSWritableFile> opened;
    IOStatus status = FileSystemWrapper::NewWritableFile(path, options, &opened, debug);
    traffic_->reserved_counts_as_length = !options.fallocate_with_keep_size;
    if (status.ok()) *file = std::make_unique<WatchedFile>(std::move(opened), traffic_);
    return status;
  }

 private:
  Traffic* const traffic_;
};

class RocksLogAheadTest : public testing::Test {
 protected:
  void Open(const std::string& name) {
    path_ = directory_.path() + "/" + name;
    ASSERT_TRUE(file_system_->NewWritableFile(path_, rocksdb::FileOptions(), &file_, nullptr).ok());
  }
  void Reserve(uint64_t bytes) { ASSERT_TRUE(file_->Allocate(0, bytes, IOOptions(), nullptr).ok()); }
  void Append(size_t bytes) {
    written_.append(bytes, 'x');
    ASSERT_TRUE(file_->Append(Slice(std::string(bytes, 'x')), IOOptions(), nullptr).ok());
  }
  void Sync() { ASSERT_TRUE(file_->Sync(IOOptions(), nullptr).ok()); }
  void Close() { ASSERT_TRUE(file_->Close(IOOptions(), nullptr).ok()); }
  std::string Contents() {
    std::string contents;
    EXPECT_TRUE(rocksdb::ReadFileToString(rocksdb::Env::Default(), path_, &contents).ok());
    return contents;
  }

  TemporaryDirectory directory_;
  Traffic traffic_;
  std::shared_ptr<rocksdb::FileSystem> file_system_ =
      MakeRocksLogAhead(std::make_shared<WatchedFileSystem>(&traffic_));
  std::unique_ptr<rocksdb::FSWritableFile> file_;
  std::string path_;
  std::string written_;
};

TEST_F(RocksLogAheadTest, ALogIsWrittenAheadOnceForManySmallSyncs) {
  Open("1.log");
  Reserve(8 * kMiB);
  EXPECT_TRUE(traffic_.reserved_counts_as_length);
  for (int i = 0; i < 100; ++i) {
    Append(1000);
    Sync();
  }
  EXPECT_EQ(traffic_.zero_writes, 1);
  EXPECT_EQ(traffic_.zeros_begin, 1000u);
  EXPECT_GE(traffic_.zeros_end, 128u << 10);
  EXPECT_EQ(traffic_.zeros_end % 4096, 0u);
  const std::string contents = Contents();
  EXPECT_EQ(contents.substr(0, written_.size()), written_);
  EXPECT_EQ(contents.find_first_not_of('\0', written_.size()), std::string::npos);
}

TEST_F(RocksLogAheadTest, TheNextStretchFollowsWhenTheFirstIsUsedUp) {
  Open("1.log");
  Reserve(8 * kMiB);
  Append(10);
  const uint64_t end = traffic_.zeros_end;
  while (written_.size() <= end) {
    EXPECT_EQ(traffic_.zero_writes, 1);
    Append(8000);
    Sync();
  }
  EXPECT_EQ(traffic_.zero_writes, 2);
  EXPECT_EQ(traffic_.zeros_begin, written_.size());
}

TEST_F(RocksLogAheadTest, ZerosStayWithinTheSpaceThatWasReserved) {
  Open("1.log");
  Append(100);
  EXPECT_EQ(traffic_.zero_writes, 0);
  Reserve(10'000);
  Append(100);
  EXPECT_EQ(traffic_.zeros_end, 10'000u);
  Append(10'000);
  EXPECT_EQ(traffic_.zero_writes, 1);
}

TEST_F(RocksLogAheadTest, WhatIsSyncedInLargePiecesIsNotWrittenTwice) {
  Open("1.log");
  Reserve(64 * kMiB);
  for (int i = 0; i < 20; ++i) {
    Append(kMiB);
    Sync();
  }
  EXPECT_EQ(traffic_.zero_writes, 0);
  Append(100);
  EXPECT_EQ(traffic_.zero_writes, 1);
}

TEST_F(RocksLogAheadTest, WhatIsHardlyEverSyncedIsNotWrittenTwice) {
  Open("1.log");
  Reserve(64 * kMiB);
  while (written_.size() < 4 * kMiB) Append(1000);
  EXPECT_EQ(traffic_.zero_writes, 1);
}

TEST_F(RocksLogAheadTest, AClosedLogEndsWhereItEnds) {
  Open("1.log");
  Reserve(8 * kMiB);
  Append(1234);
  EXPECT_EQ(file_->GetFileSize(IOOptions(), nullptr), 1234u);
  Close();
  EXPECT_EQ(traffic_.truncated_to, 1234u);
  EXPECT_EQ(Contents(), written_);
}

TEST_F(RocksLogAheadTest, SoDoesOneThatWentPastItsZeros) {
  Open("1.log");
  Reserve(8 * kMiB);
  Append(10);
  Append(3 * kMiB);
  Close();
  EXPECT_EQ(Contents(), written_);
}

TEST_F(RocksLogAheadTest, WithoutZerosALogIsAsGood) {
  traffic_.refuse_zeros = true;
  Open("1.log");
  Reserve(8 * kMiB);
  Append(1234);
  Append(1234);
  Close();
  EXPECT_EQ(traffic_.zero_writes, 0);
  EXPECT_EQ(Contents().substr(0, written_.size()), written_);
}

TEST_F(RocksLogAheadTest, OtherFilesAreNotWrittenAhead) {
  Open("1.sst");
  EXPECT_FALSE(traffic_.reserved_counts_as_length);
  Reserve(8 * kMiB);
  Append(1234);
  Sync();
  EXPECT_EQ(traffic_.zero_writes, 0);
}

}  // namespace
}  // namespace baton
