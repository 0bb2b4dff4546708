// batond as its operator meets it: what it prints and how it ends.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/check.h"
#include "baton/client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/broker_process.h"
#include "tests/support/temporary_directory.h"

namespace baton {

inline constexpr std::chrono::seconds kStopMax{5};  // promised in docs/operations.md

// One that does not serve, for this reason and with these words.
template <class... Words>
auto Refuses(int exit_code, const Words&... words) {
  return testing::AllOf(
      testing::Field("exit_code", &BrokerProcess::Outcome::exit_code, testing::Optional(exit_code)),
      testing::Field("output", &BrokerProcess::Outcome::output, testing::IsEmpty()),
      testing::Field("errors", &BrokerProcess::Outcome::errors,
                     testing::AllOf(testing::StartsWith("batond: "), testing::HasSubstr(words)...)));
}
inline auto Prints(const testing::Matcher<const std::string&>& output) {
  return testing::AllOf(testing::Field("exit_code", &BrokerProcess::Outcome::exit_code, testing::Optional(0)),
                        testing::Field("output", &BrokerProcess::Outcome::output, output),
                        testing::Field("errors", &BrokerProcess::Outcome::errors, testing::IsEmpty()));
}

class BatondTest : public testing::Test {
 protected:
  std::string WriteFile(const std::string& name, const std::string& text) const {
    const std::string path = directory_.path() + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
    return path;
  }
  static BrokerProcess::Outcome Run(const BrokerProcess::Options& options) {
    return BrokerProcess(options).Run();
  }
  static Client Connect(const BrokerProcess& broker) {
    auto client = Client::Connect({.url = broker.url()});
    BATON_CHECK(client.ok()) << client.status();
    return *std::move(client);
  }
  // The address in `baton status` that starts like this.
  static std::string Listening(Client& client, const std::string& scheme) {
    const auto status = client.Status();
    BATON_CHECK(status.ok()) << status.status();
    for (const std::string& address : status->listening) {
      if (address.starts_with(scheme)) return address;
    }
    return "";
  }

  TemporaryDirectory directory_;
};

}  // namespace baton
