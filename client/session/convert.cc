#include "client/session/convert.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "client/session/headers.h"

namespace baton::client {
namespace {

using std::chrono::milliseconds;

UnixTime Time(int64_t unix_ms) { return UnixTime(milliseconds(unix_ms)); }

std::optional<UnixTime> OptionalTime(int64_t unix_ms) {
  if (unix_ms == 0) return std::nullopt;
  return Time(unix_ms);
}

milliseconds Millis(uint64_t value) { return milliseconds(static_cast<int64_t>(value)); }

QueueConfig ConfigOf(const v1::QueueConfig& config) {
  QueueConfig out;
  if (config.has_durability()) out.durability = FromProto(config.durability());
  if (config.has_delivery()) out.delivery = static_cast<DeliveryMode>(config.delivery());
  if (config.has_lease_ms()) out.lease = Millis(config.lease_ms());
  if (config.has_attempts_max()) out.attempts_max = config.attempts_max();
  if (config.has_backoff_ms()) out.backoff = Millis(config.backoff_ms());
  if (config.has_backoff_max_ms()) out.backoff_max = Millis(config.backoff_max_ms());
  if (config.has_exhausted()) out.exhausted = static_cast<Disposal>(config.exhausted());
  if (config.has_expired()) out.expired = static_cast<Disposal>(config.expired());
  if (config.has_dead_letter_queue()) out.dead_letter_queue = config.dead_letter_queue();
  if (config.has_ttl_ms()) out.ttl = Millis(config.ttl_ms());
  if (config.has_messages_max()) out.messages_max = config.messages_max();
  if (config.has_bytes_max()) out.bytes_max = config.bytes_max();
  if (config.has_in_flight_max()) out.in_flight_max = config.in_flight_max();
  if (config.has_overflow()) out.overflow = static_cast<OverflowPolicy>(config.overflow());
  return out;
}

QueueCounts CountsOf(const v1::QueueCounts& counts) {
  return {.ready = counts.ready(),
          .leased = counts.leased(),
          .delayed = counts.delayed(),
          .parked = counts.parked(),
          .bytes = counts.bytes(),
          .resident = counts.resident(),
          .oldest_age = Millis(counts.oldest_age_ms()),
          .subscriptions = counts.subscriptions(),
          .published = counts.published(),
          .delivered = counts.delivered(),
          .acked = counts.acked(),
          .returned = counts.returned(),
          .expired = counts.expired(),
          .dead_lettered = counts.dead_lettered(),
          .dropped = counts.dropped(),
          .found = counts.found(),
          .arrived = counts.arrived(),
          .purged = counts.purged(),
          .deleted = counts.deleted(),
          .parked_since = counts.parked_since(),
          .lost = counts.lost()};
}

SessionInfo SessionOf(const v1::SessionInfo& session) {
  return {.session_id = session.session_id(),
          .client_name = session.client_name(),
          .peer = session.peer(),
          .subscriptions = session.subscriptions(),
          .unsettled = session.unsettled(),
          .unconfirmed = session.unconfirmed(),
          .connected = Time(session.connected_unix_ms())};
}

MemoryQueuesStatus MemoryQueuesOf(const v1::MemoryQueuesStatus& status) {
  return {.shared_used_bytes = status.shared_used_bytes(),
          .shared_limit_bytes = status.shared_limit_bytes(),
          .index_used_bytes = status.index_used_bytes(),
          .index_limit_bytes = status.index_limit_bytes(),
          .nearest = static_cast<MemoryBound>(status.nearest()),
          .full = status.full()};
}

// 0 when absent, an error when negative.
absl::StatusOr<uint64_t> NotNegative(std::string_view name, const std::optional<milliseconds>& value) {
  if (!value.has_value()) return 0;
  if (value->count() < 0) {
    return MakeError(absl::StatusCode::kInvalidArgument, reason::kOutOfRange,
                     fmt::format("{} is {} ms; it cannot be negative", name, value->count()));
  }
  return static_cast<uint64_t>(value->count());
}

}  // namespace

absl::Status FromProto(const v1::Error& error) {
  // Codes past UNAUTHENTICATED (16) are no codes.
  const auto code = error.code() == 0 || error.code() > 16 ? absl::StatusCode::kUnknown
                                                           : static_cast<absl::StatusCode>(error.code());
  return MakeError(code, error.reason(), error.message());
}

Durability FromProto(v1::Durability durability) {
  switch (durability) {
    case v1::DURABLE:
      return Durability::kDurable;
    case v1::RELAXED:
      return Durability::kRelaxed;
    case v1::MEMORY:
      return Durability::kMemory;
    default:
      return Durability::kUnspecified;
  }
}

QueueInfo FromProto(const v1::Queue& queue) {
  return {.name = queue.name(),
          .config = ConfigOf(queue.config()),
          .counts = CountsOf(queue.counts()),
          .paused = queue.paused(),
          .created = Time(queue.created_unix_ms()),
          .number = queue.number(),
          .damage = queue.damage(),
          .skips_damage = queue.skips_damage(),
          .is_over_limits = queue.is_over_limits()};
}

MessageInfo FromProto(const v1::Message& message) {
  return {.message_id = message.message_id(),
          .queue = message.queue(),
          .state = static_cast<MessageState>(message.state()),
          .priority = message.priority(),
          .attempts = message.attempts(),
          .headers = FromProto(message.headers()),
          .body = message.body(),
          .body_bytes = message.body_bytes(),
          .published = Time(message.published_unix_ms()),
          .due = OptionalTime(message.due_unix_ms()),
          .expires = OptionalTime(message.expires_unix_ms()),
          .lease_end = OptionalTime(message.lease_end_unix_ms()),
          .last_reason = message.last_reason(),
          .producer_id = message.producer_id(),
          .sequence = message.sequence()};
}

BrokerStatus FromProto(const v1::BrokerStatus& status) {
  BrokerStatus out{.version = status.version(),
                   .epoch = status.epoch(),
                   .started = Time(status.started_unix_ms()),
                   .now = Time(status.now_unix_ms()),
                   .pid = status.pid(),
                   .data_dir = status.data_dir(),
                   .queues = status.queues(),
                   .sessions = status.sessions(),
                   .messages = status.messages(),
                   .bytes = status.bytes(),
                   .memory_budget_bytes = status.memory_budget_bytes(),
                   .memory_used_bytes = status.memory_used_bytes(),
                   .outbox_bytes = status.outbox_bytes(),
                   .unsettled_bytes = status.unsettled_bytes(),
                   .producer_bytes = status.producer_bytes(),
                   .ring_bytes = status.ring_bytes(),
                   .producers_pushed_out = status.producers_pushed_out(),
                   .memory_queues = {},
                   .disk_bytes = status.disk_bytes(),
                   .disk_free_bytes = status.disk_free_bytes(),
                   .disk_low = status.disk_low(),
                   .wall_clock_ahead = Millis(status.wall_clock_ahead_ms()),
                   .commits = status.commits(),
                   .writes = status.writes(),
                   .syncs = status.syncs(),
                   .listening = {status.listening().begin(), status.listening().end()},
                   .session_list = {}};
  if (status.has_memory_queues()) out.memory_queues = MemoryQueuesOf(status.memory_queues());
  for (const v1::SessionInfo& session : status.session_list()) out.session_list.push_back(SessionOf(session));
  return out;
}

ReceivedMessage FromProto(v1::ReceivedMessage&& message) {
  return {.message_id = std::move(*message.mutable_message_id()),
          .token = std::move(*message.mutable_token()),
          .body = std::move(*message.mutable_body()),
          .headers = FromProto(message.headers()),
          .priority = message.priority(),
          .attempt = message.attempt(),
          .redelivered = message.redelivered(),
          .published = Time(message.published_unix_ms()),
          .lease_end = Time(message.lease_end_unix_ms()),
          .producer_id = message.producer_id(),
          .sequence = message.sequence()};
}

absl::Status ToProto(const QueueConfig& config, v1::QueueConfig& out) {
  const auto lease = NotNegative("lease", config.lease);
  const auto backoff = NotNegative("backoff", config.backoff);
  const auto backoff_max = NotNegative("backoff_max", config.backoff_max);
  const auto ttl = NotNegative("ttl", config.ttl);
  for (const auto* time : {&lease, &backoff, &backoff_max, &ttl}) {
    if (!time->ok()) return time->status();
  }
  if (config.durability.has_value()) out.set_durability(static_cast<v1::Durability>(*config.durability));
  if (config.delivery.has_value()) out.set_delivery(static_cast<v1::DeliveryMode>(*config.delivery));
  if (config.lease.has_value()) out.set_lease_ms(*lease);
  if (config.attempts_max.has_value()) out.set_attempts_max(*config.attempts_max);
  if (config.backoff.has_value()) out.set_backoff_ms(*backoff);
  if (config.backoff_max.has_value()) out.set_backoff_max_ms(*backoff_max);
  if (config.exhausted.has_value()) out.set_exhausted(static_cast<v1::Disposal>(*config.exhausted));
  if (config.expired.has_value()) out.set_expired(static_cast<v1::Disposal>(*config.expired));
  if (config.dead_letter_queue.has_value()) out.set_dead_letter_queue(*config.dead_letter_queue);
  if (config.ttl.has_value()) out.set_ttl_ms(*ttl);
  if (config.messages_max.has_value()) out.set_messages_max(*config.messages_max);
  if (config.bytes_max.has_value()) out.set_bytes_max(*config.bytes_max);
  if (config.in_flight_max.has_value()) out.set_in_flight_max(*config.in_flight_max);
  if (config.overflow.has_value()) out.set_overflow(static_cast<v1::OverflowPolicy>(*config.overflow));
  return absl::OkStatus();
}

v1::MessageState ToProto(MessageState state) { return static_cast<v1::MessageState>(state); }

}  // namespace baton::client
