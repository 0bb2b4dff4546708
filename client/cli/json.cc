#include "client/cli/json.h"

#include <string>

#include "client/cli/text.h"

namespace baton::cli {
namespace {

// Any 64 bits: many readers of JSON have only doubles, which are exact up to 2^53.
std::string IdText(uint64_t id) { return std::to_string(id); }

void PutBytes(Json& json, const std::string& name, std::string_view bytes) {
  if (IsUtf8(bytes)) {
    json[name] = std::string(bytes);
  } else {
    json[name + "_base64"] = ToBase64(bytes);
  }
}

Json HeadersJson(const Headers& headers) {
  Json list = Json::array();
  for (const Header& header : headers) {
    Json one;
    one["name"] = header.name;
    PutBytes(one, "value", header.value);
    list.push_back(std::move(one));
  }
  return list;
}

template <class T>
void Put(Json& json, const char* name, const std::optional<T>& value) {
  if (value.has_value()) json[name] = *value;
}
template <class T>
void PutWord(Json& json, const char* name, const std::optional<T>& value) {
  if (value.has_value()) json[name] = std::string(WordOf(*value));
}
void PutMillis(Json& json, const char* name, const std::optional<std::chrono::milliseconds>& value) {
  if (value.has_value()) json[name] = value->count();
}
int64_t Millis(UnixTime time) { return time.time_since_epoch().count(); }
void PutTime(Json& json, const char* name, const std::optional<UnixTime>& value) {
  if (value.has_value()) json[name] = Millis(*value);
}

Json ConfigJson(const QueueConfig& config) {
  Json json = Json::object();
  PutWord(json, "durability", config.durability);
  PutWord(json, "delivery", config.delivery);
  PutMillis(json, "lease_ms", config.lease);
  Put(json, "attempts_max", config.attempts_max);
  PutMillis(json, "backoff_ms", config.backoff);
  PutMillis(json, "backoff_max_ms", config.backoff_max);
  PutWord(json, "exhausted", config.exhausted);
  PutWord(json, "expired", config.expired);
  Put(json, "dead_letter_queue", config.dead_letter_queue);
  PutMillis(json, "ttl_ms", config.ttl);
  Put(json, "messages_max", config.messages_max);
  Put(json, "bytes_max", config.bytes_max);
  Put(json, "in_flight_max", config.in_flight_max);
  PutWord(json, "overflow", config.overflow);
  return json;
}

Json CountsJson(const QueueCounts& counts) {
  return {{"ready", counts.ready},
          {"leased", counts.leased},
          {"delayed", counts.delayed},
          {"parked", counts.parked},
          {"bytes", counts.bytes},
          {"resident", counts.resident},
          {"oldest_age_ms", counts.oldest_age.count()},
          {"subscriptions", counts.subscriptions},
          {"published", counts.published},
          {"delivered", counts.delivered},
          {"acked", counts.acked},
          {"returned", counts.returned},
          {"expired", counts.expired},
          {"dead_lettered", counts.dead_lettered},
          {"dropped", counts.dropped},
          {"found", counts.found},
          {"arrived", counts.arrived},
          {"purged", counts.purged},
          {"deleted", counts.deleted},
          {"parked_since", counts.parked_since},
          {"lost", counts.lost}};
}

Json SessionJson(const SessionInfo& session) {
  return {{"session_id", IdText(session.session_id)},
          {"client_name", session.client_name},
          {"peer", session.peer},
          {"subscriptions", session.subscriptions},
          {"unsettled", session.unsettled},
          {"unconfirmed", session.unconfirmed},
          {"connected_unix_ms", Millis(session.connected)}};
}

Json MemoryQueuesJson(const MemoryQueuesStatus& status) {
  return {{"shared_used_bytes", status.shared_used_bytes},  {"shared_limit_bytes", status.shared_limit_bytes},
          {"index_used_bytes", status.index_used_bytes},    {"index_limit_bytes", status.index_limit_bytes},
          {"nearest", std::string(WordOf(status.nearest))}, {"full", status.full}};
}

}  // namespace

Json ToJson(const QueueInfo& queue) {
  return {{"name", queue.name},
          {"paused", queue.paused},
          {"created_unix_ms", Millis(queue.created)},
          {"number", queue.number},
          {"damage", queue.damage},
          {"skips_damage", queue.skips_damage},
          {"is_over_limits", queue.is_over_limits},
          {"config", ConfigJson(queue.config)},
          {"counts", CountsJson(queue.counts)}};
}

Json ToJson(const MessageInfo& message) {
  Json json = {{"message_id", message.message_id},
               {"queue", message.queue},
               {"state", std::string(WordOf(message.state))},
               {"priority", message.priority},
               {"attempts", message.attempts},
               {"published_unix_ms", Millis(message.published)}};
  PutTime(json, "due_unix_ms", message.due);
  PutTime(json, "expires_unix_ms", message.expires);
  PutTime(json, "lease_end_unix_ms", message.lease_end);
  if (!message.last_reason.empty()) PutBytes(json, "last_reason", message.last_reason);
  if (message.producer_id != 0) {
    json["producer_id"] = IdText(message.producer_id);
    json["sequence"] = IdText(message.sequence);
  }
  json["headers"] = HeadersJson(message.headers);
  json["body_bytes"] = message.body_bytes;
  PutBytes(json, "body", message.body);
  return json;
}

Json ToJson(const BrokerStatus& status) {
  Json sessions = Json::array();
  for (const SessionInfo& session : status.session_list) sessions.push_back(SessionJson(session));
  Json json = {{"version", status.version},
               {"epoch", status.epoch},
               {"started_unix_ms", Millis(status.started)},
               {"now_unix_ms", Millis(status.now)},
               {"pid", status.pid},
               {"data_dir", status.data_dir},
               {"listening", status.listening},
               {"queues", status.queues},
               {"sessions", status.sessions},
               {"messages", status.messages},
               {"bytes", status.bytes},
               {"memory_budget_bytes", status.memory_budget_bytes},
               {"memory_used_bytes", status.memory_used_bytes},
               {"outbox_bytes", status.outbox_bytes},
               {"unsettled_bytes", status.unsettled_bytes},
               {"producer_bytes", status.producer_bytes},
               {"ring_bytes", status.ring_bytes},
               {"producers_pushed_out", status.producers_pushed_out},
               {"disk_bytes", status.disk_bytes},
               {"disk_free_bytes", status.disk_free_bytes},
               {"disk_low", status.disk_low},
               {"wall_clock_ahead_ms", status.wall_clock_ahead.count()},
               {"commits", status.commits},
               {"writes", status.writes},
               {"syncs", status.syncs},
               {"session_list", std::move(sessions)}};
  if (status.memory_queues.has_value()) json["memory_queues"] = MemoryQueuesJson(*status.memory_queues);
  return json;
}

Json ToJson(const Delivery& delivery) {
  Json json = {
      {"message_id", delivery.message_id()},
      {"queue", std::string(delivery.queue())},
      {"priority", delivery.priority()},
      {"attempt", delivery.attempt()},
      {"redelivered", delivery.redelivered()},
      {"published_unix_ms",
       std::chrono::floor<std::chrono::milliseconds>(delivery.published_at()).time_since_epoch().count()}};
  if (delivery.producer_id() != 0) {
    json["producer_id"] = IdText(delivery.producer_id());
    json["sequence"] = IdText(delivery.sequence());
  }
  json["headers"] = HeadersJson(delivery.headers());
  PutBytes(json, "body", delivery.body());
  return json;
}

std::string Line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace baton::cli
