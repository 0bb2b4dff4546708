// HOST:PORT as people write it: "127.0.0.1:7300", "localhost:7300", "[::1]:7300".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace baton {

struct TcpAddress {
  std::string host;   // without brackets
  uint16_t port = 0;  // 0 = any free one

  // Only this machine can reach it.
  bool IsLoopback() const;
  std::string ToText() const;  // ParseTcpAddress reads it back
};

// ERRORS: INVALID_ARGUMENT that quotes the text and shows the form.
absl::StatusOr<TcpAddress> ParseTcpAddress(std::string_view text);

}  // namespace baton
