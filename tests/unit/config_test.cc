#include "server/config/config.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/byte_size.h"
#include "base/check.h"
#include "server/config/config_option.h"
#include "server/config/memory_queue_dir.h"
#include "server/config/tcp_address.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ConfigFixture : public testing::Test {
 protected:
  std::string File(const std::string& text) {
    const std::string path = directory_.path() + "/batond.toml";
    std::ofstream(path) << text;
    return path;
  }
  std::string ErrorOf(const ConfigSources& sources) {
    return std::string(LoadConfig(sources).status().message());
  }
  std::string ErrorOfFile(const std::string& text) { return ErrorOf({.file = File(text)}); }
  TemporaryDirectory directory_;
};

TEST_F(ConfigFixture, DefaultsServeTheLocalSocketOnly) {
  const auto loaded = LoadConfig({});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.listen, "");
  EXPECT_EQ(loaded->config.http, "");
  EXPECT_EQ(loaded->config.memory_budget, 256u << 20);
}

TEST_F(ConfigFixture, AFlagBeatsTheEnvironmentAndTheEnvironmentBeatsTheFile) {
  ConfigSources sources{.file =
                            File("memory_budget = \"100MiB\"\nsessions_max = 5\nlog_format = \"json\"\n")};
  sources.environment = {{"BATON_MEMORY_BUDGET", "200MiB"}, {"BATON_SESSIONS_MAX", "6"}};
  sources.flags = {{"memory_budget", "300MiB"}};
  const auto loaded = LoadConfig(sources);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.memory_budget, 300u << 20);
  EXPECT_EQ(loaded->config.sessions_max, 6u);
  EXPECT_EQ(loaded->config.log_format, LogFormat::kJson);
  EXPECT_EQ(loaded->origins.at("memory_budget"), "flag");
  EXPECT_THAT(loaded->origins.at("sessions_max"), HasSubstr("BATON_SESSIONS_MAX"));
  EXPECT_THAT(loaded->origins.at("log_format"), HasSubstr("batond.toml:3"));
  EXPECT_EQ(loaded->origins.at("listen"), "default");
}

TEST_F(ConfigFixture, AnUnknownKeyNamesTheNearestKnownOne) {
  EXPECT_THAT(
      ErrorOfFile("\nmemory_buget = \"1GiB\"\n"),
      AllOf(HasSubstr(":2"), HasSubstr("\"memory_buget\""), HasSubstr("did you mean \"memory_budget\"")));
  EXPECT_THAT(ErrorOfFile("xyzzyplugh = 1\n"), HasSubstr("batond --help"));
}

TEST_F(ConfigFixture, AVariableThatIsNearlyOneOfOursIsWarnedOf) {
  const auto loaded = LoadConfig({.environment = {{"BATON_MEMORY_BUDGTE", "1GiB"}, {"BATON_URL", "unix:x"}}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_THAT(loaded->warnings, Contains(HasSubstr("did you mean BATON_MEMORY_BUDGET")));
}

class MemoryQueueDir : public ConfigFixture {
 protected:
  static std::vector<std::string> WarningsOf(const std::string& dir, const std::string& bytes = "24MiB") {
    const auto loaded = LoadConfig({.flags = {{"memory_queue_dir", dir}, {"memory_queue_bytes", bytes}}});
    BATON_CHECK(loaded.ok()) << loaded.status();
    return MemoryQueueDirWarnings(*loaded);
  }
};

TEST_F(MemoryQueueDir, WhereNoFileCanBeMadeIsWarnedOf) {
  for (const char* dir : {"/proc", "/dev/null", "/nowhere"}) {
    EXPECT_THAT(WarningsOf(dir),
                ElementsAre(AllOf(HasSubstr("memory queues cannot be kept in " + std::string(dir)),
                                  HasSubstr("/dev/shm"))));
  }
}

TEST_F(MemoryQueueDir, ThatIsNotInMemoryIsWarnedOfAndNothingIsLeftThere) {
  struct statfs system {};
  ASSERT_EQ(statfs(directory_.path().c_str(), &system), 0);
  if (system.f_type == TMPFS_MAGIC) GTEST_SKIP() << "the folder for temporary files is in memory";
  EXPECT_THAT(WarningsOf(directory_.path()),
              ElementsAre(AllOf(HasSubstr(directory_.path()), HasSubstr("not on a file system in memory"))));
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

TEST_F(MemoryQueueDir, ThatIsSmallerThanMemoryQueuesMayBeIsWarnedOfWithBothSizes) {
  const TemporaryDirectory shared(TemporaryDirectory::InMemory());
  struct statfs system {};
  ASSERT_EQ(statfs(shared.path().c_str(), &system), 0);
  if (system.f_type != TMPFS_MAGIC || system.f_blocks == 0) GTEST_SKIP() << "needs a tmpfs with a limit";
  struct statvfs size {};
  ASSERT_EQ(statvfs(shared.path().c_str(), &size), 0);
  const uint64_t bytes = uint64_t{size.f_blocks} * size.f_frsize;
  if (bytes >= uint64_t{1} << 40) GTEST_SKIP() << "it has room for all that can be configured";
  EXPECT_THAT(WarningsOf(shared.path(), "1TiB"),
              ElementsAre(AllOf(HasSubstr("memory_queue_bytes is 1TiB"),
                                HasSubstr("only " + FormatByteSizeRounded(bytes)))));
  EXPECT_THAT(WarningsOf(shared.path()), IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(shared.path()));
}

// From now on this process is told `error` when it opens a file without a name. False: the system lets nobody
// filter system calls.
bool RefuseFilesWithoutNames(int error) {
  constexpr uint32_t kOnlyFilesWithoutNames = O_TMPFILE & ~O_DIRECTORY;
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kOnlyFilesWithoutNames, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = std::size(program), .filter = program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST_F(MemoryQueueDir, ThatHasNoFilesWithoutNamesIsGood) {
  const TemporaryDirectory shared(TemporaryDirectory::InMemory());
  for (const int error : {EOPNOTSUPP, EISDIR, EINVAL, ENOSYS}) {
    const auto warnings_there = [&] {  // in a process of its own: there is no way back
      if (!RefuseFilesWithoutNames(error)) _exit(0);
      if (open(shared.path().c_str(), O_TMPFILE | O_RDWR, 0600) >= 0 || errno != error) _exit(2);
      for (const std::string& warning : WarningsOf(shared.path()))
        if (warning.find("no file can be made") != std::string::npos) _exit(1);
      _exit(0);
    };
    EXPECT_EXIT(warnings_there(), testing::ExitedWithCode(0), "") << std::strerror(error);
  }
  EXPECT_TRUE(std::filesystem::is_empty(shared.path()));
}

TEST_F(ConfigFixture, BadValuesSayWhereTheyAreAndWhatIsAllowed) {
  EXPECT_THAT(ErrorOfFile("memory_budget = \"300\"\n"), AllOf(HasSubstr("memory_budget"), HasSubstr("unit")));
  EXPECT_THAT(ErrorOfFile("memory_budget = 300\n"), HasSubstr("unit"));
  EXPECT_THAT(ErrorOfFile("memory_budget = \"1KiB\"\n"), HasSubstr("64MiB"));
  EXPECT_THAT(ErrorOfFile("sessions_max = -1\n"), HasSubstr("whole number"));
  EXPECT_THAT(ErrorOfFile("sessions_max = 1.5\n"), HasSubstr("whole number"));
  EXPECT_THAT(ErrorOfFile("log_level = \"loud\"\n"), HasSubstr("debug|info|warning|error"));
  EXPECT_THAT(ErrorOfFile("listen = \"7300\"\n"), HasSubstr("HOST:PORT"));
  EXPECT_THAT(ErrorOfFile("memory_budget = \n"), AllOf(HasSubstr("batond.toml:1:"), HasSubstr("rror")));
  EXPECT_THAT(ErrorOfFile("log_level = \"info\"\nmemory_budget = 512MiB\n"),
              AllOf(HasSubstr("batond.toml:2:"), HasSubstr("texts in quotes, as in \"512MiB\"")));
  EXPECT_THAT(ErrorOfFile("log_level = info\n"), HasSubstr("texts are in quotes"));
  EXPECT_THAT(ErrorOfFile("memory_budget = \"512MiB\n"), testing::Not(HasSubstr("in quotes")));
  EXPECT_THAT(ErrorOf({.file = "/nonexistent/batond.toml"}), HasSubstr("/nonexistent/batond.toml"));
  EXPECT_THAT(ErrorOf({.file = "/tmp"}), HasSubstr("/tmp is a directory"));
  EXPECT_THAT(ErrorOf({.environment = {{"BATON_BODY_BYTES_MAX", "1GiB"}}}),
              AllOf(HasSubstr("BATON_BODY_BYTES_MAX"), HasSubstr("64MiB")));
}

TEST_F(ConfigFixture, AnythingButLoopbackNeedsTls) {
  EXPECT_THAT(ErrorOf({.flags = {{"listen", "0.0.0.0:7300"}}}),
              AllOf(HasSubstr("tls_cert"), HasSubstr("127.0.0.1")));
  EXPECT_THAT(ErrorOf({.flags = {{"http", "0.0.0.0:7301"}}}), HasSubstr("loopback"));
  EXPECT_TRUE(LoadConfig({.flags = {{"listen", "127.0.0.1:7300"}, {"http", "[::1]:7301"}}}).ok());
  EXPECT_TRUE(LoadConfig({.flags = {{"listen", "0.0.0.0:7300"}, {"tls_cert", "c"}, {"tls_key", "k"}}}).ok());
  EXPECT_THAT(ErrorOf({.flags = {{"tls_cert", "c"}}}), HasSubstr("tls_key"));
  EXPECT_THAT(ErrorOf({.flags = {{"tls_ca", "c"}}}), HasSubstr("tls_cert"));
}

TEST_F(ConfigFixture, WhatIsPrintedReadsBackAsTheSame) {
  const auto loaded = LoadConfig({.flags = {{"data_dir", "/srv/\"odd\" dir"}, {"memory_budget", "1GiB"}}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const auto again = LoadConfig({.file = File(PrintConfig(*loaded))});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->config.data_dir, "/srv/\"odd\" dir");
  EXPECT_EQ(again->config.memory_budget, uint64_t{1} << 30);
}

TEST_F(ConfigFixture, EveryOptionHasAFlagAVariableAndHelp) {
  for (const OptionInfo& option : ConfigOptions()) {
    SCOPED_TRACE(option.key);
    EXPECT_EQ(option.flag.find('_'), std::string::npos);
    EXPECT_THAT(option.variable, HasSubstr("BATON_"));
    EXPECT_FALSE(option.help.empty());
    if (option.default_text.empty()) continue;
    EXPECT_TRUE(LoadConfig({.flags = {{option.key, option.default_text}}}).ok())
        << "its own default is refused";
  }
}

TEST(TcpAddress, KnowsWhatOnlyThisMachineReaches) {
  for (const char* text : {"127.0.0.1:1", "127.9.9.9:0", "[::1]:65535", "localhost:80"}) {
    const auto address = ParseTcpAddress(text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_TRUE(address->IsLoopback()) << text;
    EXPECT_EQ(address->ToText(), text);
  }
  for (const char* text : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1"}) {
    const auto address = ParseTcpAddress(text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_FALSE(address->IsLoopback()) << text;
  }
  for (const char* text : {"", "x", ":1", "h:", "h:65536", "h:-1", "h:1x", "::1:5", "[]:1"}) {
    EXPECT_FALSE(ParseTcpAddress(text).ok()) << text;
  }
}

TEST(NearestWord, IsOnlyGivenWhenItIsNear) {
  EXPECT_EQ(NearestWord("listne", {"listen", "http"}), "listen");
  EXPECT_EQ(NearestWord("zzzzzzzz", {"listen", "http"}), "");
}

}  // namespace
}  // namespace baton
