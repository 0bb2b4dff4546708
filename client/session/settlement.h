// What is to become of a delivery, on its way to the broker.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "baton/message.h"
#include "baton/v1/session.pb.h"
#include "client/session/delivery_chunk.h"

namespace baton::client {

// The decision, without whom it is about. Equal decisions travel together.
struct Settlement {
  v1::Settle::Kind kind = v1::Settle::ACK;
  bool delay_set = false;
  std::chrono::milliseconds delay{0};  // NACK, when delay_set
  std::chrono::milliseconds lease{0};  // EXTEND; 0 = the subscription's
  std::string reason = {};             // NACK, DEAD_LETTER

  friend bool operator==(const Settlement&, const Settlement&) = default;
};

struct SettleEntry {
  std::shared_ptr<DeliveryChunk> chunk;
  uint32_t index = 0;
  // The client did it by itself: extended a lease, gave back what was not started. Nobody waits for the
  // answer.
  bool automatic = false;
  SettleCallback done = nullptr;

  uint64_t tag() const { return chunk->tag(index); }
};

struct SettleGroup {
  Settlement how;
  std::vector<SettleEntry> entries;
  uint64_t number = 0;  // in its session; 0 = not sent
};

}  // namespace baton::client
