#include "client/session/delivery_chunk.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "client/session/consumer_core.h"

namespace baton::client {
namespace {

absl::Status CheckColumns(const v1::Deliveries& columns) {
  const int count = columns.body_sizes_size();
  uint64_t body_bytes = 0;
  for (const uint32_t size : columns.body_sizes()) body_bytes += size;
  const auto fits = [count](int size) { return size == 0 || size == count; };
  const bool columns_fit =
      fits(columns.priorities_size()) && fits(columns.attempts_size()) && fits(columns.redelivered_size()) &&
      fits(columns.headers_size()) && fits(columns.published_unix_ms_size()) &&
      fits(columns.producer_ids_size()) && fits(columns.sequences_size()) &&
      (columns.delivery_distances_size() == 0 || columns.delivery_distances_size() == count - 1);
  const bool ids_fit = columns.ids().size() == static_cast<size_t>(count) * MessageId::kBytes;
  if (count > 0 && columns_fit && ids_fit && body_bytes == columns.bodies().size()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, reason::kProtocolViolation,
      fmt::format("the broker sent deliveries whose columns do not fit together ({} messages, {} bytes of "
                  "bodies for {} announced, {} bytes of ids)",
                  count, columns.bodies().size(), body_bytes, columns.ids().size()));
}

}  // namespace

absl::StatusOr<std::shared_ptr<DeliveryChunk>> DeliveryChunk::Make(v1::Deliveries& columns,
                                                                   const Source& source,
                                                                   std::shared_ptr<ConsumerCore> consumer) {
  if (absl::Status fits = CheckColumns(columns); !fits.ok()) return fits;
  return std::make_shared<DeliveryChunk>(columns, source, std::move(consumer));
}

DeliveryChunk::DeliveryChunk(v1::Deliveries& columns, const Source& source,
                             std::shared_ptr<ConsumerCore> consumer)
    : source_(source),
      consumer_(std::move(consumer)),
      entries_(static_cast<size_t>(columns.body_sizes_size())) {
  columns_.Swap(&columns);
  uint64_t offset = 0;
  uint64_t delivery = columns_.first_delivery();
  for (uint32_t i = 0; i < size(); ++i) {
    if (i > 0)
      delivery += columns_.delivery_distances().empty() ? 1 : columns_.delivery_distances(Int(i - 1));
    entries_[i].body_offset = offset;
    entries_[i].delivery = delivery;
    offset += columns_.body_sizes(Int(i));
  }
  Renewed(source_.received);
}

MessageId DeliveryChunk::message_id(uint32_t index) const {
  const std::string_view bytes =
      std::string_view(columns_.ids()).substr(index * MessageId::kBytes, MessageId::kBytes);
  return MessageId::FromBytes(bytes).value_or(MessageId{});
}

LeaseToken DeliveryChunk::token(uint32_t index) const {
  return {.epoch = source_.epoch,
          .delivery = DeliveryNumber(entries_[index].delivery),
          .attempt = attempt(index),
          .id = message_id(index)};
}

}  // namespace baton::client
