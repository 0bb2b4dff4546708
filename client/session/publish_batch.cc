#include "client/session/publish_batch.h"

#include <numeric>
#include <string>

#include "google/protobuf/repeated_field.h"

namespace baton::client {
namespace {

// A column is empty as long as every message has the default.
template <class T>
void AppendToColumn(T value, uint32_t count_before, google::protobuf::RepeatedField<T>* column) {
  if (column->empty()) {
    if (value == 0) return;
    column->Resize(static_cast<int>(count_before), 0);
  }
  column->Add(value);
}

template <class T>
void SliceColumn(const google::protobuf::RepeatedField<T>& from, uint32_t begin, uint32_t end,
                 google::protobuf::RepeatedField<T>* to) {
  if (!from.empty()) to->Add(from.begin() + begin, from.begin() + end);
}

}  // namespace

void PublishBatch::Start(std::string_view queue, uint64_t first_sequence, bool want_ids) {
  columns.set_queue(queue.data(), queue.size());
  columns.set_first_sequence(first_sequence);
  columns.set_want_ids(want_ids);
}

void PublishBatch::Append(const Message& message, std::string_view headers) {
  const uint32_t before = size();
  columns.add_body_sizes(static_cast<uint32_t>(message.body.size()));
  columns.mutable_bodies()->append(message.body);
  AppendToColumn<uint32_t>(message.priority, before, columns.mutable_priorities());
  AppendToColumn<uint64_t>(static_cast<uint64_t>(message.ttl.count()), before, columns.mutable_ttl_ms());
  AppendToColumn<uint64_t>(static_cast<uint64_t>(message.delay.count()), before, columns.mutable_delay_ms());
  if (!headers.empty() || columns.headers_size() > 0) {
    while (columns.headers_size() < static_cast<int>(before)) columns.add_headers();
    columns.add_headers(headers.data(), headers.size());
  }
  bytes += message.body.size() + headers.size();
  ++unanswered;
}

std::unique_ptr<PublishBatch> PublishBatch::Slice(uint32_t begin, uint32_t end) const {
  auto slice = std::make_unique<PublishBatch>();
  slice->Start(columns.queue(), columns.first_sequence() + begin, columns.want_ids());
  const auto sizes = columns.body_sizes().begin();
  const uint64_t skip = std::accumulate(sizes, sizes + begin, uint64_t{0});
  const uint64_t body_bytes = std::accumulate(sizes + begin, sizes + end, uint64_t{0});
  slice->columns.mutable_bodies()->assign(columns.bodies(), skip, body_bytes);
  slice->bytes = body_bytes;
  SliceColumn(columns.body_sizes(), begin, end, slice->columns.mutable_body_sizes());
  SliceColumn(columns.priorities(), begin, end, slice->columns.mutable_priorities());
  SliceColumn(columns.ttl_ms(), begin, end, slice->columns.mutable_ttl_ms());
  SliceColumn(columns.delay_ms(), begin, end, slice->columns.mutable_delay_ms());
  if (columns.headers_size() > 0) {
    for (uint32_t i = begin; i < end; ++i) {
      const std::string& headers = columns.headers(static_cast<int>(i));
      slice->columns.add_headers(headers);
      slice->bytes += headers.size();
    }
  }
  slice->unanswered = end - begin;
  return slice;
}

void PublishBatch::Clear() {
  columns.Clear();
  bytes = 0;
  unanswered = 0;
  sent = false;
}

}  // namespace baton::client
