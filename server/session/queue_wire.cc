#include "server/session/queue_wire.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/error.h"
#include "base/limits.h"

namespace baton {
namespace {

uint64_t Millis(Duration duration) { return static_cast<uint64_t>(duration.count() / 1000); }
// 0 = never.
int64_t MillisOrZero(Instant instant) { return instant == kNever ? 0 : ToMillis(instant); }

absl::Status InvalidProperty(std::string_view property, std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason::kQueueConfigInvalid,
                   fmt::format("{} {}", property, what));
}

// The numbers of the wire's enums are those of the engine's, 0 = unspecified.
template <class Enum>
absl::Status ReadEnum(std::string_view property, int value, int largest, std::optional<Enum>& field) {
  if (value < 1 || value > largest) {
    return InvalidProperty(
        property,
        fmt::format("is {}, which this version does not have; 1 to {} are allowed", value, largest));
  }
  field = static_cast<Enum>(value);
  return absl::OkStatus();
}

absl::Status ReadMillis(std::string_view property, uint64_t millis, std::optional<Duration>& field) {
  if (millis > static_cast<uint64_t>(kTtlMax.count())) {
    return InvalidProperty(property,
                           fmt::format("is {} ms; at most {} are allowed", millis, kTtlMax.count()));
  }
  field = std::chrono::milliseconds(millis);
  return absl::OkStatus();
}

v1::MessageState ToWire(MessageState state) {
  switch (state) {
    case MessageState::kReady:
      return v1::READY;
    case MessageState::kLeased:
      return v1::LEASED;
    case MessageState::kDelayed:
      return v1::DELAYED;
    case MessageState::kParked:
      return v1::STATE_PARKED;
  }
  return v1::MESSAGE_STATE_UNSPECIFIED;
}

void FillConfig(const QueueConfig& config, v1::QueueConfig* wire) {
  wire->set_durability(ToWire(config.durability));
  wire->set_delivery(static_cast<v1::DeliveryMode>(config.delivery));
  wire->set_lease_ms(Millis(config.lease));
  wire->set_attempts_max(config.attempts_max);
  wire->set_backoff_ms(Millis(config.backoff));
  wire->set_backoff_max_ms(Millis(config.backoff_max));
  wire->set_exhausted(static_cast<v1::Disposal>(config.exhausted));
  wire->set_expired(static_cast<v1::Disposal>(config.expired));
  wire->set_dead_letter_queue(config.dead_letter_queue);
  wire->set_ttl_ms(Millis(config.ttl));
  wire->set_messages_max(config.messages_max);
  wire->set_bytes_max(config.bytes_max);
  wire->set_in_flight_max(config.in_flight_max);
  wire->set_overflow(static_cast<v1::OverflowPolicy>(config.overflow));
}

}  // namespace

v1::Durability ToWire(Durability durability) { return static_cast<v1::Durability>(durability); }

void FillQueue(const QueueInfo& info, v1::Queue* wire) {
  wire->set_name(info.name);
  FillConfig(info.config, wire->mutable_config());
  wire->set_paused(info.paused);
  wire->set_damage(info.damage);
  wire->set_skips_damage(info.skips_damage);
  wire->set_is_over_limits(info.is_over_limits);
  wire->set_created_unix_ms(ToMillis(info.created));
  wire->set_number(info.number.value());
  v1::QueueCounts* counts = wire->mutable_counts();
  counts->set_ready(info.ready);
  counts->set_leased(info.leased);
  counts->set_delayed(info.delayed);
  counts->set_parked(info.parked);
  counts->set_bytes(info.bytes);
  counts->set_resident(info.resident);
  counts->set_oldest_age_ms(Millis(info.oldest_age));
  counts->set_subscriptions(info.subscriptions);
  counts->set_published(info.counters.published);
  counts->set_delivered(info.counters.delivered);
  counts->set_acked(info.counters.acked);
  counts->set_returned(info.counters.returned);
  counts->set_expired(info.counters.expired);
  counts->set_dead_lettered(info.counters.dead_lettered);
  counts->set_dropped(info.counters.dropped);
  counts->set_found(info.counters.found);
  counts->set_arrived(info.counters.arrived);
  counts->set_purged(info.counters.purged);
  counts->set_deleted(info.counters.deleted);
  counts->set_parked_since(info.counters.parked);
  counts->set_lost(info.counters.lost);
}

void FillMessage(MessageInfo& info, v1::Message* wire) {
  wire->set_message_id(info.id.ToText());
  wire->set_queue(info.queue);
  wire->set_state(ToWire(info.state));
  wire->set_priority(info.priority);
  wire->set_attempts(info.attempts);
  if (!info.headers.empty() && !wire->mutable_headers()->ParseFromString(info.headers)) wire->clear_headers();
  wire->set_body(std::move(info.body));
  wire->set_body_bytes(info.body_bytes);
  wire->set_published_unix_ms(ToMillis(info.published));
  wire->set_due_unix_ms(MillisOrZero(info.due));
  wire->set_expires_unix_ms(MillisOrZero(info.expires));
  wire->set_lease_end_unix_ms(MillisOrZero(info.lease_end));
  wire->set_last_reason(info.last_reason);
  wire->set_producer_id(info.producer.value());
  wire->set_sequence(info.sequence);
}

absl::StatusOr<QueueConfigPatch> ReadQueueConfig(const v1::QueueConfig& wire) {
  QueueConfigPatch patch;
  absl::Status status;
  if (wire.has_durability()) status.Update(ReadEnum("durability", wire.durability(), 3, patch.durability));
  if (wire.has_delivery()) status.Update(ReadEnum("delivery", wire.delivery(), 2, patch.delivery));
  if (wire.has_exhausted()) status.Update(ReadEnum("exhausted", wire.exhausted(), 3, patch.exhausted));
  if (wire.has_expired()) status.Update(ReadEnum("expired", wire.expired(), 3, patch.expired));
  if (wire.has_overflow()) status.Update(ReadEnum("overflow", wire.overflow(), 3, patch.overflow));
  if (wire.has_lease_ms()) status.Update(ReadMillis("lease_ms", wire.lease_ms(), patch.lease));
  if (wire.has_backoff_ms()) status.Update(ReadMillis("backoff_ms", wire.backoff_ms(), patch.backoff));
  if (wire.has_backoff_max_ms())
    status.Update(ReadMillis("backoff_max_ms", wire.backoff_max_ms(), patch.backoff_max));
  if (wire.has_ttl_ms()) status.Update(ReadMillis("ttl_ms", wire.ttl_ms(), patch.ttl));
  if (!status.ok()) return status;
  if (wire.has_attempts_max()) patch.attempts_max = wire.attempts_max();
  if (wire.has_dead_letter_queue()) patch.dead_letter_queue = wire.dead_letter_queue();
  if (wire.has_messages_max()) patch.messages_max = wire.messages_max();
  if (wire.has_bytes_max()) patch.bytes_max = wire.bytes_max();
  if (wire.has_in_flight_max()) patch.in_flight_max = wire.in_flight_max();
  return patch;
}

}  // namespace baton
