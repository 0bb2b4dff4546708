#include "server/grpc/grpc_watch.h"

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

namespace baton {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kLookUpPause{50};  // of all connections, for one that is new
constexpr size_t kMessagesMin = 4;  // of the largest size: what may come in between, headers and windows
constexpr std::string_view kResets = "a client resets its requests faster than they are served";
constexpr std::string_view kLocalTransport = "chttp2 unix:";
constexpr std::string_view kTransport = "chttp2 ";  // how gRPC names a connection: this, and its peer

// gRPC answers in JSON; "discarded", which has no members, when there is no such thing.
json Parse(char* text) {
  json parsed = text == nullptr ? json() : json::parse(text, nullptr, false);
  gpr_free(text);
  return parsed;
}

// Numbers of 64 bits are written as texts, and zeros not at all.
uint64_t NumberOf(const json& object, const char* name) {
  uint64_t number = 0;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return 0;
  const auto& text = found->get_ref<const std::string&>();
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

const json& MemberOf(const json& object, const char* name) {
  static const json kNone;
  const auto found = object.find(name);
  return found == object.end() ? kNone : *found;
}

}  // namespace

std::optional<GrpcWatch::Figures> GrpcWatch::FiguresOf(intptr_t socket) {
  const json answer = Parse(grpc_channelz_get_socket(socket));
  const json& data = MemberOf(MemberOf(answer, "socket"), "data");
  if (!data.is_object()) return std::nullopt;
  const uint64_t over = NumberOf(data, "streamsSucceeded") + NumberOf(data, "streamsFailed");
  const uint64_t begun = NumberOf(data, "streamsStarted");
  return Figures{.streams = begun > over ? begun - over : 0,
                 .messages = NumberOf(data, "messagesReceived") + NumberOf(data, "messagesSent")};
}

// Of all servers in this process: a peer's text is one connection's.
void GrpcWatch::LookUp() {
  const auto now = std::chrono::steady_clock::now();
  if (now - looked_up_ < kLookUpPause) return;
  looked_up_ = now;
  absl::flat_hash_map<std::string, Known> all;
  const json servers = Parse(grpc_channelz_get_servers(0));
  for (const json& server : MemberOf(servers, "server")) {
    const auto id = static_cast<intptr_t>(NumberOf(MemberOf(server, "ref"), "serverId"));
    intptr_t from = 0;
    for (bool more = true; more;) {
      const json page = Parse(grpc_channelz_get_server_sockets(id, from, 0));
      more = !MemberOf(page, "end").is_boolean() && MemberOf(page, "socketRef").is_array();
      for (const json& socket : MemberOf(page, "socketRef")) {
        const std::string name = socket.value("name", "");
        const auto number = static_cast<intptr_t>(NumberOf(socket, "socketId"));
        from = number + 1;
        if (!name.starts_with(kTransport)) continue;
        const std::string peer = name.substr(kTransport.size());
        const auto known = known_.find(peer);
        const bool same = known != known_.end() && known->second.socket == number;
        all.emplace(peer, same ? known->second : Known{.socket = number});
      }
    }
  }
  known_ = std::move(all);
}

// gRPC has made it by the time that it has taken the socket. When there is more than one that was not there
// before, none of them is taken for it.
intptr_t GrpcWatch::NewestLocal() {
  intptr_t found = 0;
  size_t count = 0;
  const intptr_t before = newest_local_;
  const json servers = Parse(grpc_channelz_get_servers(0));
  for (const json& server : MemberOf(servers, "server")) {
    const auto id = static_cast<intptr_t>(NumberOf(MemberOf(server, "ref"), "serverId"));
    const json page = Parse(grpc_channelz_get_server_sockets(id, before + 1, 0));
    for (const json& socket : MemberOf(page, "socketRef")) {
      if (!socket.value("name", "").starts_with(kLocalTransport)) continue;
      found = static_cast<intptr_t>(NumberOf(socket, "socketId"));
      newest_local_ = std::max(newest_local_, found);
      ++count;
    }
  }
  return count == 1 ? found : 0;
}

std::string_view GrpcWatch::JudgeLocal(intptr_t socket) const {
  const auto figures = FiguresOf(socket);
  return figures.has_value() && figures->streams > 2 * options_.streams_max ? kResets : "";
}

std::string_view GrpcWatch::Judge(const std::string& peer, uint64_t received) {
  if (!known_.contains(peer)) LookUp();
  const auto found = known_.find(peer);
  if (found == known_.end()) return "";  // not one of HTTP/2 yet
  Known& known = found->second;
  const auto figures = FiguresOf(known.socket);
  if (!figures.has_value()) {  // it has ended, and this is another
    known_.erase(found);
    return "";
  }
  if (figures->messages != known.messages || received < known.received) {
    known.messages = figures->messages;
    known.received = received;
  }
  if (figures->streams > 2 * options_.streams_max) return kResets;
  const uint64_t bytes_max = (figures->streams + kMessagesMin) * options_.message_bytes_max;
  if (received - known.received > bytes_max) return "a client sends headers or a message without an end";
  return "";
}

}  // namespace baton
