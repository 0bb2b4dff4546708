// Messages for one queue with consecutive sequences, in the columns of the wire, kept until each of them is
// answered.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "baton/message.h"
#include "baton/v1/session.pb.h"

namespace baton::client {

struct PublishBatch {
  v1::PublishBatch columns;
  uint64_t bytes = 0;       // bodies and headers
  uint32_t unanswered = 0;  // messages
  bool sent = false;        // on the present connection

  uint32_t size() const { return static_cast<uint32_t>(columns.body_sizes_size()); }

  void Start(std::string_view queue, uint64_t first_sequence, bool want_ids);
  // `headers` are encoded.
  void Append(const Message& message, std::string_view headers);
  // A batch of this one's messages [begin, end), sequences included.
  std::unique_ptr<PublishBatch> Slice(uint32_t begin, uint32_t end) const;
  // Empty, for another use; keeps its memory.
  void Clear();
};

}  // namespace baton::client
