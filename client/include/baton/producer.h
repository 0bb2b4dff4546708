// Publishes messages, many at a time: each call hands a message over and returns, the broker's answer comes
// as a future or a callback. A producer survives the loss of its connection: what was not confirmed is sent
// again under the same number, and the broker stores it once.
#pragma once

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "baton/message.h"

namespace baton {

namespace client {
struct ProducerCore;
}

inline namespace client_api {

struct ProducerOptions {
  // How long Publish waits for room when too much is unconfirmed (1,000 messages, or the bytes the broker
  // allows); then the answer is RESOURCE_EXHAUSTED.
  std::chrono::milliseconds room_timeout = std::chrono::seconds(60);
  // Confirmations carry the message's id. Costs 24 bytes a message on the wire.
  bool want_ids = false;
};

struct ProducerCounters {
  uint64_t published = 0;  // taken by Publish
  uint64_t confirmed = 0;  // answered: stored
  uint64_t failed = 0;     // answered with an error
};

// Made by Client::NewProducer. All producers of one client share its connection and its room.
//
// THREADS: any. Callbacks run on the client's own thread, one after another: they must be quick, and must not
// wait for anything of this client. Publishing from a callback never blocks: without room it is
// RESOURCE_EXHAUSTED. ERRORS: an answer is NOT_FOUND (QUEUE_NOT_FOUND), RESOURCE_EXHAUSTED (QUEUE_FULL,
// DISK_FULL), INVALID_ARGUMENT …; such a message was not stored and is not sent again. A lost connection is
// not an error: the answer comes after reconnecting. FAILED_PRECONDITION after Client::Close, and in a forked
// child.
class Producer {
 public:
  // Messages published and not yet answered live on; Flush first to know of them. BLOCKS: no.
  ~Producer();
  Producer(Producer&&) noexcept;
  Producer& operator=(Producer&&) noexcept;

  // BLOCKS while there is no room. The body is copied.
  std::future<absl::StatusOr<Confirmation>> Publish(std::string_view queue, const Message& message);

  // The same without a future: costs no allocation for small callbacks. `done` may run before this returns.
  void Publish(std::string_view queue, const Message& message, PublishCallback done);

  // Never blocks. RESOURCE_EXHAUSTED: no room now, and `done` will not run. OK: `done` will run.
  absl::Status TryPublish(std::string_view queue, const Message& message, PublishCallback done);

  // Publishes all and waits for the answers: one per message, in order. BLOCKS.
  std::vector<absl::StatusOr<Confirmation>> PublishBatch(std::string_view queue,
                                                         std::span<const Message> messages);

  // Waits until everything this producer published so far is answered. OK: all of it is stored. Otherwise the
  // first error answered since the last Flush, or DEADLINE_EXCEEDED (what is unanswered goes on). BLOCKS.
  absl::Status Flush(std::chrono::milliseconds timeout);

  ProducerCounters counters() const;

 private:
  friend class Client;
  explicit Producer(std::unique_ptr<client::ProducerCore> core);

  std::unique_ptr<client::ProducerCore> core_;
};

}  // namespace client_api
}  // namespace baton
