// What a client says of a local address where no broker answers: the same over both carriers, what is wrong
// and what to do about it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "baton/client.h"
#include "client/transport/address.h"
#include "client/transport/socket_fault.h"
#include "local/descriptor.h"
#include "tests/support/temporary_directory.h"

namespace baton {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class NobodyAnswers : public testing::TestWithParam<std::string> {
 protected:
  std::string url(const std::string& path) const { return GetParam() + path; }
  // Of connecting there, without its patience.
  absl::Status ErrorAt(const std::string& path) const {
    return Client::Connect({.url = url(path), .connect_timeout = std::chrono::milliseconds(0)}).status();
  }
  auto Says(const std::string& path, const std::string& what) const {
    return AllOf(HasSubstr("no broker answers at " + url(path) + " (" + what),
                 HasSubstr("(BATON_URL, --url)"));
  }
  void ExpectUnreachable(const std::string& path, const std::string& what, const std::string& remedy) const {
    const absl::Status status = ErrorAt(path);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(ReasonOf(status), "BROKER_UNREACHABLE");
    EXPECT_THAT(std::string(status.message()), AllOf(Says(path, what), HasSubstr(remedy)));
  }

  TemporaryDirectory directory_;
};

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  BATON_CHECK(path.size() < sizeof(address.sun_path)) << path;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Descriptor BoundTo(const std::string& path) {
  const sockaddr_un address = AddressOf(path);
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  BATON_CHECK_EQ(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  return socket;
}

// Bound, and not listened on any more.
void LeaveASocketBehind(const std::string& path) { BoundTo(path).Reset(); }

// Listens, and takes no connection; as many wait as may.
class BusyListener {
 public:
  explicit BusyListener(const std::string& path) : listener_(BoundTo(path)) {
    BATON_CHECK_EQ(listen(listener_.get(), 0), 0);
    const sockaddr_un address = AddressOf(path);
    int connected = 0;
    while (connected == 0) {
      waiting_.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      connected =
          connect(waiting_.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    }
    BATON_CHECK_EQ(errno, EAGAIN);
  }

 private:
  Descriptor listener_;
  std::vector<Descriptor> waiting_;
};

// While it lives this process gets no more descriptors.
class NoDescriptors {
 public:
  NoDescriptors() {
    BATON_CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit none{.rlim_cur = 0, .rlim_max = before_.rlim_max};
    BATON_CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_P(NobodyAnswers, WhereThereIsNoSocket) {
  const std::string path = directory_.path() + "/none.sock";
  ExpectUnreachable(path, "there is no socket " + path, "start one with `batond`");
}

TEST_P(NobodyAnswers, WhereThereIsNoDirectory) {
  const std::string path = directory_.path() + "/none/x.sock";
  ExpectUnreachable(path, "there is no directory " + directory_.path() + "/none", "start one with `batond`");
}

TEST_P(NobodyAnswers, OnTheSocketOfABrokerThatHasEnded) {
  const std::string path = directory_.path() + "/old.sock";
  LeaveASocketBehind(path);
  ExpectUnreachable(path, "nobody listens on " + path, "start one with `batond`");
}

TEST_P(NobodyAnswers, OnAFile) {
  const std::string path = directory_.path() + "/file";
  std::ofstream(path) << "no socket";
  ExpectUnreachable(path, path + " is a file, and no socket", "give the address of a broker's socket, as ");
}

TEST_P(NobodyAnswers, OnADirectoryWhoseSocketIsNamed) {
  const std::string path = directory_.path();
  const std::string name = GetParam() == "unix:" ? "/baton.sock" : "/grpc.sock";
  ExpectUnreachable(path, path + " is a directory",
                    "give the address of the socket in it: " + url(path + name) + " ");
}

TEST_P(NobodyAnswers, OnALinkToNothing) {
  const std::string path = directory_.path() + "/link.sock";
  std::filesystem::create_symlink(directory_.path() + "/nothing", path);
  ExpectUnreachable(path, path + " is a link to nothing", "start one with `batond`");
}

TEST_P(NobodyAnswers, AtAPathTooLongForASocket) {
  const absl::Status status = ErrorAt("/" + std::string(107, 'x'));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("the path has 108 bytes, and a socket's has at most 107"));
}

TEST_P(NobodyAnswers, WhereABrokerHasTooManyConnectionsWaitingAndIsNotToBeStarted) {
  const std::string path = directory_.path() + "/busy.sock";
  const BusyListener busy(path);
  const absl::Status status = ErrorAt(path);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(status), "BROKER_UNREACHABLE");
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("the broker at " + url(path) + " has as many connections waiting as it may"),
                    HasSubstr("try again later"), Not(HasSubstr("batond"))));
}

// Of the text alone: without descriptors gRPC does not even begin.
TEST_P(NobodyAnswers, ToAClientThatCannotAskIsNotSaidOfTheBroker) {
  const std::string path = directory_.path() + "/alive.sock";
  const Descriptor broker = BoundTo(path);
  ASSERT_EQ(listen(broker.get(), 1), 0);
  const auto address = client::ParseAddress(url(path));
  ASSERT_TRUE(address.ok()) << address.status();
  std::optional<client::SocketFault> fault;
  {
    const NoDescriptors shortage;
    fault = client::FindSocketFault(path);
  }
  ASSERT_TRUE(fault.has_value());
  EXPECT_THAT(client::Describe(*fault, *address),
              AllOf(HasSubstr("cannot connect to " + url(path)), HasSubstr("Too many open files"),
                    HasSubstr("ulimit -n"), Not(HasSubstr("broker"))));
}

INSTANTIATE_TEST_SUITE_P(OfBothCarriers, NobodyAnswers, testing::Values("unix:", "grpc+unix:"),
                         [](const auto& carrier) { return carrier.param == "unix:" ? "Rings" : "Grpc"; });

}  // namespace
}  // namespace baton
