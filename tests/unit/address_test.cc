#include "client/transport/address.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace baton::client {
namespace {

using Carrier = Address::Carrier;

TEST(Address, DecidesTheCarrier) {
  EXPECT_EQ(ParseAddress("grpc+unix:/run/baton/grpc.sock")->carrier, Carrier::kGrpcUnix);
  EXPECT_EQ(ParseAddress("grpc+unix:/run/baton/grpc.sock")->target, "/run/baton/grpc.sock");
  EXPECT_EQ(ParseAddress("grpc+unix:///run/baton/grpc.sock")->target, "/run/baton/grpc.sock");
  EXPECT_EQ(ParseAddress("grpc://localhost:7470")->carrier, Carrier::kGrpc);
  EXPECT_EQ(ParseAddress("grpc://localhost:7470/")->target, "localhost:7470");
  EXPECT_EQ(ParseAddress("grpc://[::1]:7470")->target, "[::1]:7470");
  EXPECT_EQ(ParseAddress("grpcs://broker.example:443")->carrier, Carrier::kGrpcTls);
  EXPECT_EQ(ParseAddress("unix:/run/baton/baton.sock")->carrier, Carrier::kLocal);
}

TEST(Address, ThatIsNoneIsRefusedWithTheFormsThereAre) {
  const std::string long_path(200, 'x');
  for (const std::string& url : std::initializer_list<std::string>{
           "localhost:7470", "http://localhost:7470", "grpc://localhost", "grpc://:7470",
           "grpc://localhost:0", "grpc://localhost:65536", "grpc://localhost:70000000000",
           "grpc://localhost:x", "grpc://::1:7470", "grpc://[::1]", "grpc://host/path:1",
           "grpc+unix:", "unix:", "grpc+unix:/" + long_path, ""}) {
    const auto address = ParseAddress(url);
    EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument) << url;
    EXPECT_NE(std::string(address.status().message()).find("grpc://HOST:PORT"), std::string::npos) << url;
  }
}

TEST(Address, OfTheRingsHasTheSocketOfCallsBesideIt) {
  EXPECT_EQ(GrpcSocketBeside(*ParseAddress("unix:/run/baton/baton.sock")), "/run/baton/grpc.sock");
  EXPECT_EQ(GrpcSocketBeside(*ParseAddress("unix:run/baton.sock")), "run/grpc.sock");
  EXPECT_EQ(GrpcSocketBeside(*ParseAddress("unix:baton.sock")), "./grpc.sock");
}

TEST(Address, ComesFromTheArgumentThenTheEnvironmentThenTheUsersBroker) {
  ::setenv("BATON_URL", "grpc://elsewhere:1", 1);
  ::setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
  EXPECT_EQ(ResolveAddress("grpc://here:1")->target, "here:1");
  EXPECT_EQ(ResolveAddress("")->target, "elsewhere:1");
  ::setenv("BATON_URL", "", 1);
  EXPECT_EQ(ResolveAddress("")->target, "/run/user/7/baton/baton.sock");
  ::unsetenv("BATON_URL");
  EXPECT_EQ(ResolveAddress("")->url, "unix:/run/user/7/baton/baton.sock");
}

}  // namespace
}  // namespace baton::client
