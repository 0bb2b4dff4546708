#include "tests/support/http_get.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>

#include "base/check.h"

namespace baton {
namespace {

constexpr std::string_view kScheme = "http://";
constexpr timeval kPatience{.tv_sec = 30, .tv_usec = 0};

int ConnectTo(const std::string& host, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  BATON_CHECK_EQ(inet_pton(AF_INET, host.c_str(), &address.sin_addr), 1) << host;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  BATON_CHECK(fd >= 0);
  BATON_CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience)), 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return fd;
  close(fd);
  return -1;
}

}  // namespace

HttpReply HttpGet(std::string_view url) {
  BATON_CHECK(url.starts_with(kScheme)) << url;
  url.remove_prefix(kScheme.size());
  const size_t slash = url.find('/');
  const std::string authority(url.substr(0, slash));
  const size_t colon = authority.find(':');
  BATON_CHECK(slash != std::string_view::npos && colon != std::string::npos) << url;
  const int fd =
      ConnectTo(authority.substr(0, colon), static_cast<uint16_t>(std::atoi(authority.c_str() + colon + 1)));
  if (fd < 0) return {};
  const std::string request =
      fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", url.substr(slash), authority);
  std::string reply;
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
    char buffer[4096];
    for (ssize_t count = 0; (count = recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
      reply.append(buffer, static_cast<size_t>(count));
    }
  }
  close(fd);
  const size_t body = reply.find("\r\n\r\n");
  const size_t status = reply.find(' ');
  if (body == std::string::npos || status == std::string::npos) return {};
  return {.status = std::atoi(reply.c_str() + status), .body = reply.substr(body + 4)};
}

}  // namespace baton
