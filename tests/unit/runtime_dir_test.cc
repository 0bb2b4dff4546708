#include "base/runtime_dir.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace baton {
namespace {

TEST(RuntimeDir, FollowsXdgForEveryone) {
  EXPECT_EQ(
      DefaultRuntimeDir({.uid = 1000, .xdg_runtime_dir = "/run/user/1000", .xdg_data_home = "", .home = ""}),
      "/run/user/1000/baton");
  EXPECT_EQ(DefaultRuntimeDir({.uid = 0, .xdg_runtime_dir = "/run/user/0", .xdg_data_home = "", .home = ""}),
            "/run/user/0/baton");
}

TEST(RuntimeDir, WithoutXdgDependsOnTheUser) {
  EXPECT_EQ(DefaultRuntimeDir({.uid = 0, .xdg_runtime_dir = "", .xdg_data_home = "", .home = "/root"}),
            "/run/baton");
  EXPECT_EQ(DefaultRuntimeDir({.uid = 1000, .xdg_runtime_dir = "", .xdg_data_home = "", .home = "/home/u"}),
            "/tmp/baton-1000");
  EXPECT_EQ(
      DefaultRuntimeDir({.uid = 1000, .xdg_runtime_dir = "relative", .xdg_data_home = "", .home = "/home/u"}),
      "/tmp/baton-1000");
}

TEST(RuntimeDir, LeavesRoomForTheNamesOfItsSockets) {
  EXPECT_TRUE(CheckSocketPaths(std::string(96, 'x')).ok());
  const absl::Status refused = CheckSocketPaths(std::string(97, 'x'));
  EXPECT_TRUE(absl::IsInvalidArgument(refused));
  EXPECT_NE(refused.message().find("97 bytes, and at most 96 are possible"), std::string::npos) << refused;
}

TEST(DataDir, IsInTheUsersDataHome) {
  EXPECT_EQ(DefaultDataDir({.uid = 0, .xdg_runtime_dir = "", .xdg_data_home = "/x", .home = "/root"}).value(),
            "/var/lib/baton");
  EXPECT_EQ(
      DefaultDataDir({.uid = 7, .xdg_runtime_dir = "", .xdg_data_home = "/x", .home = "/home/u"}).value(),
      "/x/baton");
  EXPECT_EQ(DefaultDataDir({.uid = 7, .xdg_runtime_dir = "", .xdg_data_home = "", .home = "/home/u"}).value(),
            "/home/u/.local/share/baton");
  EXPECT_EQ(
      DefaultDataDir({.uid = 7, .xdg_runtime_dir = "", .xdg_data_home = "", .home = ""}).status().code(),
      absl::StatusCode::kFailedPrecondition);
}

class PrivateDir : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "private_dir_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::string root_;
};

TEST_F(PrivateDir, IsMadeWithItsParentsForThisUserAlone) {
  const std::string path = root_ + "/a/b";
  EXPECT_EQ(CheckPrivateDir(path).code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(EnsurePrivateDir(path).ok());
  ASSERT_TRUE(EnsurePrivateDir(path).ok());  // again changes nothing
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
}

TEST_F(PrivateDir, ThatOthersMayWriteToIsRefused) {
  const std::string path = root_ + "/open";
  ASSERT_TRUE(EnsurePrivateDir(path).ok());
  ASSERT_EQ(::chmod(path.c_str(), 0777), 0);
  EXPECT_EQ(EnsurePrivateDir(path).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(PrivateDir, ThatIsALinkOrAFileIsRefused) {
  ASSERT_TRUE(EnsurePrivateDir(root_ + "/real").ok());
  std::filesystem::create_directory_symlink(root_ + "/real", root_ + "/link");
  std::ofstream(root_ + "/file") << "x";
  EXPECT_EQ(CheckPrivateDir(root_ + "/link").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CheckPrivateDir(root_ + "/file").code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace baton
