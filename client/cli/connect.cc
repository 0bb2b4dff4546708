#include "client/cli/connect.h"

#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "base/error.h"
#include "client/cli/report.h"

namespace baton::cli {
namespace {

std::string UrlInUse(const GlobalOptions& options) {
  if (!options.url.empty()) return options.url;
  const char* variable = std::getenv("BATON_URL");
  return variable != nullptr ? variable : "";
}

absl::Status Invalid(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason::kInvalidArgument, message);
}

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// What people write who think of a web server.
absl::Status CheckScheme(std::string_view url) {
  const bool plain = StartsWith(url, "http://");
  if (!plain && !StartsWith(url, "https://")) return absl::OkStatus();
  const std::string_view rest = url.substr(url.find("//"));
  return Invalid(fmt::format("\"{}\": a broker does not speak HTTP for browsers; its address is {}:{}", url,
                             plain ? "grpc" : "grpcs", rest));
}

// What is between the outermost parentheses: the words of who noticed it first.
std::string_view InnerText(std::string_view message) {
  const size_t open = message.find(" (");
  const size_t close = message.find("); start one");
  if (open == std::string_view::npos || close == std::string_view::npos || open >= close) return message;
  return message.substr(open + 2, close - open - 2);
}

absl::Status Explained(const absl::Status& status, std::string_view text) {
  return MakeError(status.code(), ReasonOf(status), text);
}

// By the words of gRPC and OpenSSL, since there is nothing else; what is not recognised stays as it is.
absl::Status ExplainTlsError(const absl::Status& status, std::string_view url, std::string_view inner) {
  if (Contains(inner, "certificate verify failed") || Contains(inner, "CERTIFICATE_VERIFY_FAILED")) {
    return Explained(status,
                     fmt::format("the certificate of the broker at {} is not signed by an authority that "
                                 "is trusted here ({}): name the right one's with --tls-ca",
                                 url, inner));
  }
  if (Contains(inner, "Peer name")) {
    return Explained(status,
                     fmt::format("the certificate of the broker at {} is for another name ({}): use a name "
                                 "that is in it as the address, or name that with --tls-server-name",
                                 url, inner));
  }
  if (Contains(inner, "empty address list")) {
    return Explained(status,
                     "TLS cannot be set up: --tls-ca, --tls-cert or --tls-key is not the PEM file that it "
                     "should be, or the key is not that of the certificate");
  }
  if (Contains(inner, "Socket closed") || Contains(inner, "alert")) {
    return Explained(status, fmt::format("the broker at {} refused the connection ({}): it may want a client "
                                         "certificate, signed by its tls_ca (--tls-cert, --tls-key)",
                                         url, inner));
  }
  return status;
}

// Runs on the client's thread.
class ConnectionNotice {
 public:
  void operator()(ConnectionState state, const absl::Status& why) {
    if (state == ConnectionState::kConnected) {
      if (std::exchange(lost_, false)) Say("connected again");
      return;
    }
    const bool comes_back = why.ok() || absl::IsUnavailable(why) || absl::IsDeadlineExceeded(why) ||
                            absl::IsResourceExhausted(why);
    if (!comes_back) return;  // it ends the command, which reports it
    lost_ = true;
    Say(fmt::format("connection lost ({}); trying again",
                    why.ok() ? "the broker ended it" : std::string(why.message())));
  }

 private:
  bool lost_ = false;
};

}  // namespace

absl::Status CheckTlsOptions(const TlsOptions& tls, std::string_view url) {
  const bool plain =
      url.empty() || StartsWith(url, "unix:") || StartsWith(url, "grpc+unix:") || StartsWith(url, "grpc://");
  if (!plain) return absl::OkStatus();  // also one that is no address at all: the client says so
  const std::pair<std::string_view, const std::string&> options[] = {{"--tls-ca", tls.ca_file},
                                                                     {"--tls-cert", tls.certificate_file},
                                                                     {"--tls-key", tls.key_file},
                                                                     {"--tls-server-name", tls.server_name}};
  for (const auto& [name, value] : options) {
    if (value.empty()) continue;
    return Invalid(fmt::format("{} is for grpcs:// addresses; the address is {}", name,
                               url.empty() ? "the local broker's socket" : url));
  }
  return absl::OkStatus();
}

absl::Status ExplainConnectError(const absl::Status& status, std::string_view url) {
  if (ReasonOf(status) != reason::kBrokerUnreachable) return status;
  const std::string message(status.message());
  const std::string_view inner = InnerText(message);
  if (StartsWith(url, "grpc+unix:") && Contains(inner, "HTTP/2")) {
    return Explained(
        status, fmt::format("what answers at {} does not speak gRPC ({}): is it another program's socket, "
                            "or the broker's for local clients (unix:)?",
                            url, inner));
  }
  if (StartsWith(url, "grpc://") && Contains(inner, "Socket closed")) {
    return Explained(
        status,
        fmt::format(
            "what answers at {} ended the connection ({}): if it wants TLS, its address is grpcs://{}", url,
            inner, url.substr(url.find("//") + 2)));
  }
  if (StartsWith(url, "grpcs://")) return ExplainTlsError(status, url, inner);
  return status;
}

absl::StatusOr<Client> Connect(const GlobalOptions& options) {
  const std::string url = UrlInUse(options);
  if (absl::Status scheme = CheckScheme(url); !scheme.ok()) return scheme;
  if (absl::Status tls = CheckTlsOptions(options.tls, url); !tls.ok()) return tls;
  auto client = Client::Connect({.url = options.url,
                                 .connect_timeout = options.wait,
                                 .tls = options.tls,
                                 .on_connection = ConnectionNotice()});
  if (!client.ok()) return ExplainConnectError(client.status(), url);
  return client;
}

}  // namespace baton::cli
