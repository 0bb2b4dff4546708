// batond's configuration as its operator meets it: flags, environment, files, and what it says of them.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "baton/client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/exit_code.h"
#include "tests/support/batond_fixture.h"
#include "tests/support/tls_pair.h"

namespace baton {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST_F(BatondTest, NamesFileLineAndNearestKeyForAnUnknownKey) {
  const std::string file = WriteFile("baton.toml", "log_level = \"info\"\nmemory_budgte = \"1GiB\"\n");
  EXPECT_THAT(
      Run({.flags = {"--config", file}}),
      Refuses(kExitConfigInvalid, file + ":2", "\"memory_budgte\"", "did you mean \"memory_budget\"?"));
}

TEST_F(BatondTest, AsksForTheUnitThatIsMissing) {
  const std::string file = WriteFile("baton.toml", "memory_budget = 268435456\n");
  EXPECT_THAT(Run({.flags = {"--config", file}}),
              Refuses(kExitConfigInvalid, file + ":1", "memory_budget", "the unit is missing", "256MiB"));
  EXPECT_THAT(Run({.flags = {"--wal-bytes-max", "64"}}),
              Refuses(kExitConfigInvalid, "flag", "wal_bytes_max", "the unit is missing"));
  EXPECT_THAT(Run({.environment = {"BATON_BODY_BYTES_MAX=4"}}),
              Refuses(kExitConfigInvalid, "BATON_BODY_BYTES_MAX", "the unit is missing"));
}

TEST_F(BatondTest, RefusesFlagsAndFilesItDoesNotKnow) {
  EXPECT_THAT(Run({.flags = {"--memory-budgt", "1GiB"}}),
              Refuses(kExitConfigInvalid, "--memory-budgt", "did you mean --memory-budget?"));
  EXPECT_THAT(Run({.flags = {"--config", directory_.path() + "/none.toml"}}),
              Refuses(kExitConfigInvalid, directory_.path() + "/none.toml"));
  EXPECT_THAT(Run({.flags = {"--config", directory_.path()}}),
              Refuses(kExitConfigInvalid, directory_.path() + " is a directory", "TOML file"));
  EXPECT_THAT(Run({.flags = {"--config", WriteFile("bad.toml", "data_dir = \n")}}),
              Refuses(kExitConfigInvalid, "bad.toml:1"));
}

TEST_F(BatondTest, DoesNotListenToOtherMachinesWithoutTls) {
  EXPECT_THAT(Run({.flags = {"--listen", "0.0.0.0:0"}}),
              Refuses(kExitConfigInvalid, "0.0.0.0:0", "tls_cert", "127.0.0.1"));
  EXPECT_THAT(Run({.flags = {"--http", "0.0.0.0:0"}}), Refuses(kExitConfigInvalid, "0.0.0.0:0", "loopback"));
}

TEST_F(BatondTest, ServesOverTlsAndTellsATlsPairThatDoesNotMatchFromAPortInUse) {
  const TlsPair pair = MakeTlsPair();
  const std::string cert = WriteFile("cert.pem", pair.cert);
  const std::string key = WriteFile("key.pem", pair.key);
  const std::string other = WriteFile("other.pem", MakeTlsPair().key);
  const auto with = [](const std::string& tls_cert, const std::string& tls_key) {
    return std::vector<std::string>{"--listen", "127.0.0.1:0", "--tls-cert", tls_cert, "--tls-key", tls_key};
  };
  EXPECT_THAT(Run({.flags = with(cert, other)}),
              Refuses(kExitConfigInvalid, "tls_key: " + other + " is not the key of tls_cert " + cert));
  EXPECT_THAT(Run({.flags = with(key, cert)}), Refuses(kExitConfigInvalid, "tls_cert: " + key));
  BrokerProcess broker({.flags = with(cert, key)});
  ASSERT_EQ(broker.Start(), "");
  Client client = Connect(broker);
  EXPECT_THAT(Listening(client, "grpcs://"), Not(IsEmpty()));
}

TEST_F(BatondTest, ChecksAConfigurationWithoutTouchingAnything) {
  const std::string good = WriteFile("good.toml", "memory_budget = \"1GiB\"\n");
  BrokerProcess broker({.flags = {"--check-config", "--config", good}});
  EXPECT_THAT(broker.Run(), Prints("the configuration is good\n"));
  EXPECT_FALSE(std::filesystem::exists(broker.data_dir()));
  EXPECT_FALSE(std::filesystem::exists(broker.runtime_dir()));
  const std::string bad = WriteFile("bad.toml", "memory_budget = \"1GB\"\nlog_level = \"loud\"\n");
  EXPECT_THAT(Run({.flags = {"--check-config", "--config", bad}}),
              Refuses(kExitConfigInvalid, bad + ":2", "log_level", "\"loud\"", "warning"));
}

TEST_F(BatondTest, ChecksTheDirectoryOfMemoryQueuesAndSaysWhatAStartSays) {
  const std::vector<std::string> nowhere = {"--memory-queue-dir", "/proc"};
  std::vector<std::string> check = nowhere;
  check.push_back("--check-config");
  const BrokerProcess::Outcome checked = Run({.flags = check});
  EXPECT_EQ(checked.exit_code, 0);
  EXPECT_EQ(checked.output, "the configuration is good\n");
  EXPECT_THAT(checked.errors, HasSubstr("warning: memory queues cannot be kept in /proc"));
  BrokerProcess broker({.flags = nowhere});
  ASSERT_EQ(broker.Start(), "");
  EXPECT_THAT(broker.errors(), HasSubstr("memory queues cannot be kept in /proc"));
  EXPECT_EQ(ReasonOf(Connect(broker).CreateQueue("fast", {.durability = Durability::kMemory}).status()),
            "MEMORY_QUEUES_UNAVAILABLE");
}

TEST_F(BatondTest, ChecksTheFilesThatAConfigurationNames) {
  const TlsPair pair = MakeTlsPair();
  const std::string cert = WriteFile("cert.pem", pair.cert);
  const std::string key = WriteFile("key.pem", pair.key);
  const std::string none = directory_.path() + "/none.pem";
  const auto check = [](const std::string& tls_cert, const std::string& tls_key) {
    return std::vector<std::string>{"--check-config", "--tls-cert", tls_cert, "--tls-key", tls_key};
  };
  EXPECT_THAT(Run({.flags = check(none, key)}),
              Refuses(kExitConfigInvalid, "tls_cert: cannot read " + none, "No such file"));
  EXPECT_THAT(Run({.flags = check(cert, WriteFile("other.pem", MakeTlsPair().key))}),
              Refuses(kExitConfigInvalid, "is not the key of"));
  EXPECT_THAT(Run({.flags = check(cert, key)}), Prints("the configuration is good\n"));

  BrokerProcess broker({.flags = {"--tls-cert", none, "--tls-key", key}});
  EXPECT_THAT(broker.Run(), Refuses(kExitConfigInvalid, none));
  EXPECT_FALSE(std::filesystem::exists(broker.data_dir()));
}

TEST_F(BatondTest, PrintsWhatIsInForceAndWhereItComesFromAsAFileItReads) {
  const std::string file =
      WriteFile("baton.toml", "memory_budget = \"1GiB\"\nsessions_max = 7\nmemory_queue_bytes = \"24MiB\"\n");
  const BrokerProcess::Outcome printed =
      Run({.flags = {"--print-config", "--config", file, "--log-format", "json"},
           .environment = {"BATON_SESSIONS_MAX=8"}});
  EXPECT_THAT(printed, Prints(AllOf(HasSubstr("memory_budget = '1GiB'  # " + file + ":1\n"),
                                    HasSubstr("sessions_max = 8  # environment BATON_SESSIONS_MAX\n"),
                                    HasSubstr("log_format = 'json'  # flag\n"),
                                    HasSubstr("wal_bytes_max = '64MiB'  # default\n"))));
  const std::string copy = WriteFile("copy.toml", printed.output);
  EXPECT_THAT(Run({.flags = {"--check-config", "--config", copy}}), Prints("the configuration is good\n"));
}

TEST_F(BatondTest, TellsHelpAndVersionOnStandardOutput) {
  EXPECT_THAT(Run({.flags = {"--help"}}), Prints(AllOf(HasSubstr("--data-dir"), HasSubstr("examples:"))));
  EXPECT_THAT(Run({.flags = {"--version"}}),
              Prints(testing::MatchesRegex("batond [0-9]+\\.[0-9]+\\.[0-9]+\n")));
}

TEST_F(BatondTest, WarnsOfAVariableThatIsNearlyOneOfOursAndServes) {
  BrokerProcess broker({.environment = {"BATON_MEMORY_BUDGT=1GiB"}});
  ASSERT_EQ(broker.Start(), "");
  EXPECT_THAT(broker.errors(), AllOf(HasSubstr("BATON_MEMORY_BUDGT"), HasSubstr("BATON_MEMORY_BUDGET")));

  const BrokerProcess::Outcome checked =
      Run({.flags = {"--check-config"}, .environment = {"BATON_MEMORY_BUDGT=1GiB", "BATON_URL=unix:x"}});
  EXPECT_EQ(checked.exit_code, 0);
  EXPECT_EQ(checked.output, "the configuration is good\n");
  EXPECT_THAT(checked.errors,
              AllOf(HasSubstr("warning: the variable BATON_MEMORY_BUDGT"),
                    HasSubstr("did you mean BATON_MEMORY_BUDGET?"), Not(HasSubstr("BATON_URL"))));
}

TEST_F(BatondTest, WarnsOfAServiceManagerThatCannotBeToldAndServes) {
  const std::string nowhere = directory_.path() + "/nowhere";
  BrokerProcess broker({.environment = {"NOTIFY_SOCKET=" + nowhere}});
  ASSERT_EQ(broker.Start(), "");
  EXPECT_EQ(broker.Stop(SIGTERM, kStopMax), kExitStopped);
  EXPECT_THAT(broker.errors(),
              AllOf(HasSubstr("warning"), HasSubstr("NOTIFY_SOCKET=" + nowhere), HasSubstr("No such file")));
}

}  // namespace
}  // namespace baton
