// HttpServer answers a few paths with text: /metrics and /healthz. Loopback only (config.cc), no TLS.
// THREADS: handlers run on its own threads, and may block for seconds.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/config/tcp_address.h"

struct mg_context;
struct mg_connection;

namespace baton {

class HttpServer {
 public:
  struct Page {
    int status = 200;
    std::string content_type = "text/plain; charset=utf-8";
    std::string text;
  };
  using Handler = std::function<Page()>;

  // ERRORS: ALREADY_EXISTS when the port is in use.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const TcpAddress& address,
                                                           std::map<std::string, Handler> handlers);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  // BLOCKS until every request under way is answered.
  ~HttpServer();

  int port() const;  // as bound

 private:
  explicit HttpServer(std::map<std::string, Handler> handlers) : handlers_(std::move(handlers)) {}
  static int OnRequest(mg_connection* connection, void* server);

  const std::map<std::string, Handler> handlers_;
  mg_context* context_ = nullptr;
};

}  // namespace baton
