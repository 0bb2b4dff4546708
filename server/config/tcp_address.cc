#include "server/config/tcp_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>

#include "base/error.h"

namespace baton {
namespace {

absl::Status InvalidAddress(std::string_view text, std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason::kInvalidArgument,
                   fmt::format("\"{}\" is not an address: {}; write HOST:PORT, as in \"127.0.0.1:7300\", "
                               "\"localhost:7300\" or \"[::1]:7300\"",
                               text, what));
}

}  // namespace

bool TcpAddress::IsLoopback() const {
  if (host == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6) != 0;
  return false;  // a name may resolve to anything
}

std::string TcpAddress::ToText() const {
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

absl::StatusOr<TcpAddress> ParseTcpAddress(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return InvalidAddress(text, "the port is missing");
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return InvalidAddress(text, "an IPv6 address stands in brackets");
  }
  if (host.empty()) return InvalidAddress(text, "the host is missing");
  TcpAddress address{.host = std::string(host)};
  const char* end = port_text.data() + port_text.size();
  const auto [rest, error] = std::from_chars(port_text.data(), end, address.port);
  if (port_text.empty() || error != std::errc() || rest != end)
    return InvalidAddress(text, "the port is not a number up to 65535");
  return address;
}

}  // namespace baton
