// What is refused before anything listens, and in which words.
#include "server/config/tls_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temporary_directory.h"
#include "tests/support/tls_pair.h"

namespace baton {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class TlsFilesTest : public testing::Test {
 protected:
  std::string File(const std::string& name, const std::string& text) {
    const std::string path = directory_.path() + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  static std::string ErrorOf(const TlsPaths& paths) {
    const auto files = ReadTlsFiles(paths);
    EXPECT_EQ(files.status().code(), absl::StatusCode::kInvalidArgument) << files.status();
    return std::string(files.status().message());
  }

  TemporaryDirectory directory_;
  const TlsPair pair_ = MakeTlsPair();
  const std::string cert_ = File("cert.pem", pair_.cert);
  const std::string key_ = File("key.pem", pair_.key);
};

TEST_F(TlsFilesTest, AreReadAsTheyAre) {
  const std::string chain = pair_.cert + MakeTlsPair().cert;
  const auto files = ReadTlsFiles({.cert = File("chain.pem", chain), .key = key_, .ca = cert_});
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(files->cert, chain);
  EXPECT_EQ(files->key, pair_.key);
  EXPECT_EQ(files->ca, pair_.cert);
}

TEST_F(TlsFilesTest, OfTwoPairsAreRefused) {
  const std::string other = File("other.pem", MakeTlsPair().key);
  EXPECT_EQ(ErrorOf({.cert = cert_, .key = other, .ca = {}}),
            "tls_key: " + other + " is not the key of tls_cert " + cert_);
}

TEST_F(TlsFilesTest, ThatAreSwappedAreRefusedWithAHint) {
  EXPECT_THAT(
      ErrorOf({.cert = key_, .key = cert_, .ca = {}}),
      AllOf(HasSubstr("tls_cert: " + key_ + " holds no certificate"), HasSubstr("belongs to tls_key")));
  EXPECT_THAT(
      ErrorOf({.cert = cert_, .key = cert_, .ca = {}}),
      AllOf(HasSubstr("tls_key: " + cert_ + " holds no private key"), HasSubstr("belongs to tls_cert")));
}

TEST_F(TlsFilesTest, ThatAreSomethingElseAreRefused) {
  const std::string text = File("text.pem", "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n");
  EXPECT_THAT(ErrorOf({.cert = text, .key = key_, .ca = {}}), HasSubstr("tls_cert: " + text));
  EXPECT_THAT(ErrorOf({.cert = cert_, .key = text, .ca = {}}), HasSubstr("tls_key: " + text));
  EXPECT_THAT(ErrorOf({.cert = cert_, .key = key_, .ca = text}), HasSubstr("tls_ca: " + text));
  const std::string half = File("half.pem", pair_.cert + pair_.cert.substr(0, pair_.cert.size() / 2));
  EXPECT_THAT(ErrorOf({.cert = half, .key = key_, .ca = {}}), HasSubstr("damaged certificate"));
}

TEST_F(TlsFilesTest, ThatCannotBeReadAreRefusedWithTheReason) {
  const std::string none = directory_.path() + "/none.pem";
  EXPECT_EQ(ErrorOf({.cert = none, .key = key_, .ca = {}}),
            "tls_cert: cannot read " + none + ": No such file or directory");
  EXPECT_THAT(ErrorOf({.cert = cert_, .key = none, .ca = {}}), HasSubstr("tls_key: cannot read " + none));
  EXPECT_THAT(ErrorOf({.cert = directory_.path(), .key = key_, .ca = {}}), HasSubstr("directory"));
  EXPECT_THAT(ErrorOf({.cert = File("empty.pem", ""), .key = key_, .ca = {}}), HasSubstr("empty"));
}

TEST_F(TlsFilesTest, ThatAreTooWeakAreNotTakenForAPairThatDoesNotMatch) {
  const TlsPair weak = MakeWeakTlsPair();
  const auto files =
      ReadTlsFiles({.cert = File("weak.pem", weak.cert), .key = File("weak.key", weak.key), .ca = {}});
  if (files.ok()) GTEST_SKIP() << "this machine's rules allow 512 bits";
  EXPECT_THAT(std::string(files.status().message()),
              AllOf(HasSubstr("cannot be used"), Not(HasSubstr("not the key"))));
}

}  // namespace
}  // namespace baton
