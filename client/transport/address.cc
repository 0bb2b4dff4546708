#include "client/transport/address.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/runtime_dir.h"

namespace baton::client {
namespace {

absl::Status Invalid(std::string_view url, std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason::kInvalidArgument,
                   fmt::format("\"{}\" is not a broker's address: {}; write unix:PATH, grpc+unix:PATH, "
                               "grpc://HOST:PORT or grpcs://HOST:PORT",
                               url, what));
}

bool TakePrefix(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

absl::StatusOr<Address> SocketAddress(Address::Carrier carrier, std::string_view url, std::string_view path) {
  if (path.substr(0, 3) == "///") path.remove_prefix(2);  // grpc+unix:///path, as other programs write it
  if (path.empty()) return Invalid(url, "the path is empty");
  if (path.size() > kSocketPathBytesMax) {
    return Invalid(url, fmt::format("the path has {} bytes, and a socket's has at most {}", path.size(),
                                    kSocketPathBytesMax));
  }
  return Address{.carrier = carrier, .url = std::string(url), .target = std::string(path)};
}

absl::StatusOr<Address> HostAddress(Address::Carrier carrier, std::string_view url,
                                    std::string_view host_port) {
  if (!host_port.empty() && host_port.back() == '/') host_port.remove_suffix(1);
  const size_t colon = host_port.rfind(':');
  const bool inside_brackets =
      host_port.find(']', colon == std::string_view::npos ? 0 : colon) != std::string_view::npos;
  if (colon == std::string_view::npos || inside_brackets) return Invalid(url, "the port is missing");
  const std::string_view host = host_port.substr(0, colon);
  const std::string_view port = host_port.substr(colon + 1);
  if (host.empty()) return Invalid(url, "the host is missing");
  if (host.find('/') != std::string_view::npos) return Invalid(url, "a path has no meaning here");
  if (host.front() != '[' && host.find(':') != std::string_view::npos) {
    return Invalid(url, "an IPv6 address needs brackets, as in grpc://[::1]:7470");
  }
  int number = 0;
  for (const char c : port) {
    if (c < '0' || c > '9' || number > 65'535)
      return Invalid(url, "the port is not a number from 1 to 65535");
    number = number * 10 + (c - '0');
  }
  if (number < 1 || number > 65'535) return Invalid(url, "the port is not a number from 1 to 65535");
  return Address{.carrier = carrier, .url = std::string(url), .target = std::string(host_port)};
}

}  // namespace

std::string GrpcSocketBeside(const Address& local) {
  const std::string directory = std::filesystem::path(local.target).parent_path();
  return GrpcSocketPath(directory.empty() ? "." : directory);
}

absl::StatusOr<Address> ParseAddress(std::string_view url) {
  std::string_view rest = url;
  if (TakePrefix(rest, "grpc+unix:")) return SocketAddress(Address::Carrier::kGrpcUnix, url, rest);
  if (TakePrefix(rest, "unix:")) return SocketAddress(Address::Carrier::kLocal, url, rest);
  if (TakePrefix(rest, "grpc://")) return HostAddress(Address::Carrier::kGrpc, url, rest);
  if (TakePrefix(rest, "grpcs://")) return HostAddress(Address::Carrier::kGrpcTls, url, rest);
  return Invalid(url, "it does not start with a scheme");
}

absl::StatusOr<Address> ResolveAddress(std::string_view url) {
  if (!url.empty()) return ParseAddress(url);
  const char* variable = std::getenv("BATON_URL");
  if (variable != nullptr && *variable != '\0') return ParseAddress(variable);
  const std::string directory = DefaultRuntimeDir();
  if (directory.rfind("/tmp/", 0) == 0) {
    // Anyone can make a directory there. One that is missing is no trap: connecting will say that nobody
    // answers.
    const absl::Status trusted = CheckPrivateDir(directory);
    if (!trusted.ok() && trusted.code() != absl::StatusCode::kNotFound) return trusted;
  }
  return ParseAddress("unix:" + LocalSocketPath(directory));
}

}  // namespace baton::client
