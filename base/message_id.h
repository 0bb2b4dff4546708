// A message's id and a delivery's token: opaque to users, enough for the broker to find the message in any
// state with a few point reads.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace baton {

// Where a message was born, which never changes, whatever becomes of it later.
//
//   kind:1  lane:3  queue:4  seq:8  place:8        24 bytes, big-endian
//
// As text: 39 characters of base 32 (0-9 a-v), sorted as the bytes are.
struct MessageId {
  enum class Birth : uint8_t {
    kReady = 1,    // place = rank
    kDelayed = 2,  // place = due time, microseconds
  };
  static constexpr size_t kBytes = 24;
  static constexpr size_t kTextLength = 39;

  Birth birth = Birth::kReady;
  uint32_t lane = 0;  // 0 = the queue's own; 24 bits
  QueueId queue;      // of birth
  Seq seq;            // of birth; alone it identifies the message
  uint64_t place = 0;

  friend auto operator<=>(const MessageId&, const MessageId&) = default;

  void AppendTo(std::string& out) const;
  std::string ToText() const;
  // nullopt: not an id that a broker gave.
  static std::optional<MessageId> FromBytes(std::string_view bytes);
  static std::optional<MessageId> FromText(std::string_view text);
};

// Proof of a delivery, for settling it: good until the message is delivered again, moved, expired or gone.
// As text: base 32 of epoch:4 delivery:8 attempt:4 id:24.
struct LeaseToken {
  static constexpr size_t kBytes = 16 + MessageId::kBytes;

  Epoch epoch;
  DeliveryNumber delivery;
  uint32_t attempt = 0;  // 1 = first delivery
  MessageId id;

  friend bool operator==(const LeaseToken&, const LeaseToken&) = default;

  std::string ToText() const;
  static std::optional<LeaseToken> FromText(std::string_view text);
};

}  // namespace baton
