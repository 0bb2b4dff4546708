// What travels: a message as it is published, and what the broker says when it has stored it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace baton {
// Inline, so that users write baton::Message, while the broker's own types may be linked into the same
// program.
inline namespace client_api {

// Names and values that travel with a message: at most 64, 16 KiB altogether. Names starting with "baton-"
// are the broker's.
struct Header {
  std::string name;   // 1 to 128 bytes
  std::string value;  // any bytes

  friend bool operator==(const Header&, const Header&) = default;
};
using Headers = std::vector<Header>;

struct Message {
  std::string body;  // any bytes; at most 4 MiB unless the broker is configured otherwise
  Headers headers = {};
  uint32_t priority = 0;               // larger is delivered first
  std::chrono::milliseconds ttl{0};    // gone after this long; 0 = as the queue says; at most 3650 days
  std::chrono::milliseconds delay{0};  // not delivered before; at most 3650 days
};

// What a confirmation promises.
enum class Durability : uint8_t {
  kUnspecified = 0,
  kDurable = 1,  // synced to disk: survives power loss
  kRelaxed = 2,  // written to the log: survives a kill of the broker; synced within 1 s
  kMemory = 3,  // in shared memory: survives a kill or an upgrade of the broker, not a restart of the machine
};

// The broker has stored a message.
struct Confirmation {
  // Of a producer's message only when asked for (ProducerOptions::want_ids), and never for a duplicate.
  std::string message_id;
  Durability durability = Durability::kUnspecified;
  bool duplicate = false;  // stored by an earlier attempt to send it; it is there once
};

// Runs once, when the broker has answered: stored, or the reason why not.
using PublishCallback = absl::AnyInvocable<void(const absl::StatusOr<Confirmation>&) &&>;
// Runs once, when the broker has answered a settlement.
using SettleCallback = absl::AnyInvocable<void(const absl::Status&) &&>;

// The stable word for what went wrong, "QUEUE_NOT_FOUND" or "LEASE_LOST" (docs/protocol.md lists them); "" if
// there is none. The status code and message say the same to people.
}  // namespace client_api
std::string ReasonOf(const absl::Status& status);

}  // namespace baton
