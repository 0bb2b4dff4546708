#include "server/http/http_server.h"

#include <civetweb.h>
#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "base/error.h"

namespace baton {

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const TcpAddress& address,
                                                              std::map<std::string, Handler> handlers) {
  std::unique_ptr<HttpServer> server(new HttpServer(std::move(handlers)));
  // civetweb takes addresses only.
  TcpAddress numeric = address;
  if (numeric.host == "localhost") numeric.host = "127.0.0.1";
  const std::string ports = numeric.ToText();
  const char* options[] = {
      "listening_ports", ports.c_str(),       "num_threads", "2",    "request_timeout_ms",
      "10000",           "enable_keep_alive", "no",          nullptr};
  mg_callbacks callbacks{};
  mg_init_data init{.callbacks = &callbacks, .user_data = server.get(), .configuration_options = options};
  unsigned code = 0;
  char text[256] = {};
  mg_error_data error{.code = &code, .text = text, .text_buffer_size = sizeof(text)};
  server->context_ = mg_start2(&init, &error);
  if (server->context_ == nullptr) {
    return MakeError(
        absl::StatusCode::kAlreadyExists, reason::kInvalidArgument,
        fmt::format(
            "cannot serve HTTP on {}: the port is in use, or the host is not one of this machine; stop "
            "what uses it, or choose another --http",
            address.ToText()));
  }
  mg_set_request_handler(server->context_, "/", &HttpServer::OnRequest, server.get());
  return server;
}

HttpServer::~HttpServer() {
  if (context_ != nullptr) mg_stop(context_);
}

int HttpServer::port() const {
  mg_server_port port{};
  return mg_get_server_ports(context_, 1, &port) == 1 ? port.port : 0;
}

int HttpServer::OnRequest(mg_connection* connection, void* server) {
  const mg_request_info* request = mg_get_request_info(connection);
  const auto& handlers = static_cast<HttpServer*>(server)->handlers_;
  const auto found = handlers.find(request->local_uri);
  const bool reads =
      std::strcmp(request->request_method, "GET") == 0 || std::strcmp(request->request_method, "HEAD") == 0;
  Page page{.status = 404, .text = "not found; there are:\n"};
  if (found == handlers.end()) {
    for (const auto& [path, handler] : handlers) page.text += path + "\n";
  } else if (!reads) {
    page = {.status = 405, .text = "GET only\n"};
  } else {
    page = found->second();
  }
  mg_printf(connection,
            "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: "
            "no-store\r\nConnection: close\r\n\r\n",
            page.status, mg_get_response_code_text(connection, page.status), page.content_type.c_str(),
            page.text.size());
  if (std::strcmp(request->request_method, "HEAD") != 0)
    mg_write(connection, page.text.data(), page.text.size());
  return page.status;
}

}  // namespace baton
