// One GET request, for the tests of what the broker serves over HTTP.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

namespace baton {

struct HttpReply {
  int status = 0;  // 0: no reply within 30 s
  std::string body;

  friend bool operator==(const HttpReply&, const HttpReply&) = default;
  friend std::ostream& operator<<(std::ostream& out, const HttpReply& reply) {
    return out << reply.status << " " << reply.body;
  }
};

// `url` is http://IPV4:PORT/PATH. BLOCKS.
HttpReply HttpGet(std::string_view url);

}  // namespace baton
