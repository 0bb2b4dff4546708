// Every way a data directory can be wrong has an error of its own that says what to do.
#include "storage/rocks/data_directory.h"

#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/posix_file.h"
#include "storage/rocks/ballast.h"
#include "storage/rocks/disk_watch.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

class DataDirectoryTest : public testing::Test {
 protected:
  std::string path() const { return directory_.path() + "/data"; }
  // The error of opening `path`, which must have the code and name what it is about.
  static std::string ErrorOf(const std::string& path, StatusCode code) {
    const absl::Status status = DataDirectory::Open(path).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
    return std::string(status.message());
  }
  void WriteIdentity(const std::string& text) {
    std::filesystem::create_directories(path());
    ASSERT_TRUE(WriteFileSynced(path() + "/identity", text).ok());
  }

  TemporaryDirectory directory_;
};

TEST_F(DataDirectoryTest, IsCreatedPrivateWithItsParents) {
  const std::string deep = directory_.path() + "/a/b/data/";
  const auto opened = DataDirectory::Open(deep);
  ASSERT_TRUE(opened.ok()) << opened.status();
  struct stat info;
  ASSERT_EQ(stat(deep.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  EXPECT_EQ((*opened)->store_path(), directory_.path() + "/a/b/data/store");
  EXPECT_EQ((*opened)->identity().uuid.size(), 36u);
}

TEST_F(DataDirectoryTest, KeepsItsIdentity) {
  DataIdentity first;
  {
    const auto opened = DataDirectory::Open(path());
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_FALSE((*opened)->identity().store_created);
    ASSERT_TRUE((*opened)->MarkStoreCreated().ok());
    first = (*opened)->identity();
  }
  const auto opened = DataDirectory::Open(path());
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ((*opened)->identity().uuid, first.uuid);
  EXPECT_EQ((*opened)->identity().secret, first.secret);
  EXPECT_TRUE((*opened)->identity().store_created);
}

TEST_F(DataDirectoryTest, TakesAnEmptyFolderAndOneWhoseFirstStartWasInterrupted) {
  std::filesystem::create_directories(path() + "/lost+found");  // a file system of its own
  ASSERT_TRUE(WriteFileSynced(path() + "/lock", "").ok());
  ASSERT_TRUE(WriteFileSynced(path() + "/identity.new", "half").ok());
  EXPECT_TRUE(DataDirectory::Open(path()).ok());
}

TEST_F(DataDirectoryTest, InUseNamesTheProcess) {
  const auto opened = DataDirectory::Open(path());
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_THAT(ErrorOf(path(), StatusCode::kAlreadyExists),
              HasSubstr(fmt::format("in use by process {}", getpid())));
}

TEST_F(DataDirectoryTest, ThatIsNotOursIsLeftAlone) {
  std::filesystem::create_directories(path());
  ASSERT_TRUE(WriteFileSynced(path() + "/thesis.txt", "years of work").ok());
  EXPECT_THAT(ErrorOf(path(), StatusCode::kFailedPrecondition), HasSubstr("not a data directory of Baton"));
  EXPECT_FALSE(std::filesystem::exists(path() + "/lock"));
}

TEST_F(DataDirectoryTest, OfANewerFormatIsRefused) {
  WriteIdentity(FormatIdentity({.format = kDataFormatVersion + 1, .uuid = std::string(36, 'u')}));
  EXPECT_THAT(
      ErrorOf(path(), StatusCode::kFailedPrecondition),
      testing::AllOf(HasSubstr(fmt::format("format {}", kDataFormatVersion + 1)), HasSubstr("newer")));
}

TEST_F(DataDirectoryTest, WithADamagedIdentityIsRefused) {
  const DataIdentity good{.uuid = std::string(36, 'u'), .secret = 7, .store_created = true};
  const std::string text = FormatIdentity(good);
  for (const std::string& damaged : {std::string(), std::string("hello"), text.substr(0, text.find("secret")),
                                     text.substr(text.find("format"))}) {
    WriteIdentity(damaged);
    EXPECT_THAT(ErrorOf(path(), StatusCode::kDataLoss), HasSubstr("identity"));
  }
  EXPECT_TRUE(ParseIdentity(text).ok());
}

TEST_F(DataDirectoryTest, ThatIsAFileIsRefused) {
  ASSERT_TRUE(WriteFileSynced(path(), "a file").ok());
  EXPECT_THAT(ErrorOf(path(), StatusCode::kFailedPrecondition), HasSubstr("not a directory"));
  EXPECT_THAT(ErrorOf(path() + "/below", StatusCode::kFailedPrecondition), HasSubstr("not a directory"));
}

// Root may do everything: the rest of these run in a child that is nobody.
template <class Body>
void AsNobody(Body&& body) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool dropped = geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0);
    body();
    std::_Exit(dropped && !testing::Test::HasFailure() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(DataDirectoryTest, WithoutPermissionSaysSo) {
  ASSERT_EQ(chmod(directory_.path().c_str(), 0755), 0);
  std::filesystem::create_directories(path());
  ASSERT_EQ(chmod(path().c_str(), 0500), 0);
  AsNobody([this] {
    EXPECT_THAT(ErrorOf(path(), StatusCode::kPermissionDenied), HasSubstr("check owner and permissions"));
    EXPECT_THAT(ErrorOf(directory_.path() + "/another", StatusCode::kPermissionDenied),
                HasSubstr("check owner and permissions"));
  });
}

TEST_F(DataDirectoryTest, OnAReadOnlyFileSystemSaysSo) {
  std::filesystem::create_directories(path());
  if (mount("none", path().c_str(), "tmpfs", MS_RDONLY, "size=1m") != 0) {
    GTEST_SKIP() << "needs the right to mount a small file system (root)";
  }
  const std::string error = ErrorOf(path(), StatusCode::kFailedPrecondition);
  ErrorOf(path() + "/below", StatusCode::kFailedPrecondition);
  umount2(path().c_str(), MNT_DETACH);
  EXPECT_THAT(error, HasSubstr("read-only"));
}

TEST_F(DataDirectoryTest, IsFreeAgainWhenItsHolderDies) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto opened = DataDirectory::Open(path());
    std::_Exit(opened.ok() ? 0 : 1);  // without unlocking
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(DataDirectory::Open(path()).ok());
}

class DiskWatchTest : public testing::Test {
 protected:
  static constexpr uint64_t kMiB = 1u << 20;
  static constexpr DiskLimits kLimits{
      .ballast_bytes = 2 * kMiB, .give_bytes = 1 * kMiB, .low_bytes = 4 * kMiB, .ok_bytes = 5 * kMiB};

  DiskWatch Watch(Ballast& ballast) {
    return {kLimits, &ballast, [this]() -> std::optional<uint64_t> { return free_; }};
  }
  std::string ballast_path() const { return directory_.path() + "/ballast"; }

  TemporaryDirectory directory_;
  uint64_t free_ = 100 * kMiB;
};

TEST_F(DiskWatchTest, TakesTheBallastWhereThereIsRoom) {
  Ballast ballast(ballast_path(), kLimits.ballast_bytes);
  EXPECT_EQ(Watch(ballast).state(), DiskState::kOk);
  EXPECT_TRUE(ballast.held());
  EXPECT_EQ(std::filesystem::file_size(ballast_path()), kLimits.ballast_bytes);
}

TEST_F(DiskWatchTest, StartsLowWithoutRoomForTheBallast) {
  free_ = 6 * kMiB;
  Ballast ballast(ballast_path(), kLimits.ballast_bytes);
  EXPECT_EQ(Watch(ballast).state(), DiskState::kLow);
  EXPECT_FALSE(ballast.held());
}

TEST_F(DiskWatchTest, KnowsTheBallastOfAnEarlierLife) {
  { ASSERT_TRUE(Ballast(ballast_path(), kLimits.ballast_bytes).Take().ok()); }
  free_ = 6 * kMiB;
  Ballast ballast(ballast_path(), kLimits.ballast_bytes);
  EXPECT_TRUE(ballast.held());
  EXPECT_EQ(Watch(ballast).state(), DiskState::kOk);
  Ballast other(ballast_path(), kLimits.ballast_bytes / 2);
  EXPECT_FALSE(other.held());
}

TEST_F(DiskWatchTest, IsLowBelowItsLimitAndOkOnlyWellAboveIt) {
  Ballast ballast(ballast_path(), kLimits.ballast_bytes);
  DiskWatch watch = Watch(ballast);
  free_ = 4 * kMiB + 1;
  EXPECT_EQ(watch.Check(), DiskState::kOk);
  free_ = 4 * kMiB - 1;
  EXPECT_EQ(watch.Check(), DiskState::kLow);
  free_ = 4 * kMiB + 1;
  EXPECT_EQ(watch.Check(), DiskState::kLow);
  free_ = 5 * kMiB;
  EXPECT_EQ(watch.Check(), DiskState::kOk);
}

TEST_F(DiskWatchTest, GivesTheBallastUpNearTheEndAndTakesItBackWhenThereIsRoomForBoth) {
  Ballast ballast(ballast_path(), kLimits.ballast_bytes);
  DiskWatch watch = Watch(ballast);
  free_ = kMiB - 1;
  EXPECT_EQ(watch.Check(), DiskState::kLow);
  EXPECT_FALSE(ballast.held());
  EXPECT_EQ(watch.free_bytes(), 3 * kMiB - 1);
  free_ = 6 * kMiB;  // enough to go on, not for the ballast as well
  EXPECT_EQ(watch.Check(), DiskState::kLow);
  EXPECT_FALSE(ballast.held());
  free_ = 7 * kMiB;
  EXPECT_EQ(watch.Check(), DiskState::kOk);
  EXPECT_TRUE(ballast.held());
}

TEST_F(DiskWatchTest, IsLowWhenSomebodyElseGaveTheBallastUp) {
  Ballast ballast(ballast_path(), kLimits.ballast_bytes);
  DiskWatch watch = Watch(ballast);
  EXPECT_TRUE(ballast.Release());
  EXPECT_FALSE(ballast.Release());
  free_ = 5 * kMiB;
  EXPECT_EQ(watch.Check(), DiskState::kLow);
}

TEST(DiskUsage, CountsBlocksOfFilesAndFoldersAtAnyDepth) {
  const TemporaryDirectory directory;
  const uint64_t empty = DiskUsageOf(directory.path());
  std::filesystem::create_directories(directory.path() + "/a/b");
  std::ofstream(directory.path() + "/a/b/file") << std::string(1 << 20, 'x');
  { std::ofstream hole(directory.path() + "/hole"); }
  std::filesystem::resize_file(directory.path() + "/hole", 64 << 20);  // a length without blocks

  EXPECT_GE(DiskUsageOf(directory.path()), empty + (1 << 20));
  EXPECT_LT(DiskUsageOf(directory.path()), empty + (2 << 20));
  EXPECT_EQ(DiskUsageOf(directory.path() + "/nowhere"), 0u);
}

TEST(DiskLimits, KeepWhatIsNeededButNoMoreThanATenthOfTheDisk) {
  EXPECT_EQ(PlanDiskLimits(100, 10'000).ballast_bytes, 100u);
  EXPECT_EQ(PlanDiskLimits(100, 500).ballast_bytes, 50u);
  const DiskLimits limits = PlanDiskLimits(1000, 1'000'000);
  EXPECT_LT(limits.give_bytes, limits.low_bytes);
  EXPECT_LT(limits.low_bytes, limits.ok_bytes);
}

}  // namespace
}  // namespace baton
