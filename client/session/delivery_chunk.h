// The messages of one frame for one subscription, as they came: deliveries refer to them, nothing is copied.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/ids.h"
#include "base/message_id.h"
#include "baton/v1/session.pb.h"
#include "client/mutex.h"

namespace baton::client {

class ConsumerCore;

// What becomes of a delivery on the client's side. Every arrow is taken at most once:
//
//   buffered ──► started ──► settled        (handed to the user, who decides)
//       └──────► gone                       (given back by the client, or out of its lease)
enum class DeliveryPhase : uint8_t { kBuffered, kStarted, kSettled, kGone };

class DeliveryChunk {
 public:
  // The session that brought it.
  struct Source {
    uint64_t session = 0;  // the client's own count of its connections
    Epoch epoch;
    SteadyTime received;
    std::chrono::milliseconds lease{0};
  };

  // Takes the contents of `columns`. ERRORS: INVALID_ARGUMENT (PROTOCOL_VIOLATION) when the columns do not
  // fit together.
  static absl::StatusOr<std::shared_ptr<DeliveryChunk>> Make(v1::Deliveries& columns, const Source& source,
                                                             std::shared_ptr<ConsumerCore> consumer);

  DeliveryChunk(v1::Deliveries& columns, const Source& source, std::shared_ptr<ConsumerCore> consumer);

  uint32_t size() const { return static_cast<uint32_t>(entries_.size()); }
  const v1::Deliveries& columns() const { return columns_; }
  const Source& source() const { return source_; }
  ConsumerCore& consumer() const { return *consumer_; }

  uint64_t tag(uint32_t index) const { return columns_.first_tag() + index; }
  std::string_view body(uint32_t index) const {
    return std::string_view(columns_.bodies())
        .substr(entries_[index].body_offset, columns_.body_sizes(Int(index)));
  }
  uint32_t priority(uint32_t index) const {
    return columns_.priorities().empty() ? 0 : columns_.priorities(Int(index));
  }
  uint32_t attempt(uint32_t index) const {
    return columns_.attempts().empty() ? 1 : columns_.attempts(Int(index));
  }
  bool redelivered(uint32_t index) const {
    return !columns_.redelivered().empty() && columns_.redelivered(Int(index));
  }
  std::string_view headers(uint32_t index) const {
    return columns_.headers().empty() ? std::string_view() : std::string_view(columns_.headers(Int(index)));
  }
  int64_t published_unix_ms(uint32_t index) const {
    return columns_.published_unix_ms().empty() ? 0 : columns_.published_unix_ms(Int(index));
  }
  uint64_t producer_id(uint32_t index) const {
    return columns_.producer_ids().empty() ? 0 : columns_.producer_ids(Int(index));
  }
  uint64_t sequence(uint32_t index) const {
    return columns_.sequences().empty() ? 0 : columns_.sequences(Int(index));
  }
  MessageId message_id(uint32_t index) const;
  LeaseToken token(uint32_t index) const;

  DeliveryPhase phase(uint32_t index) const { return entries_[index].phase.load(std::memory_order_relaxed); }
  // False: it was in another phase. One word decides between the thread that starts a delivery and the one
  // that gives it back, so relaxed order is enough: what the chunk holds was published by the mutex of the
  // buffer.
  bool Move(uint32_t index, DeliveryPhase from, DeliveryPhase to) {
    return entries_[index].phase.compare_exchange_strong(from, to, std::memory_order_relaxed);
  }

  // When the leases are due to be extended, or given back. Session's thread.
  SteadyTime renew_at() const { return renew_at_; }
  void Renewed(SteadyTime now) { renew_at_ = now + source_.lease * 2 / 3; }
  // When those that were not extended are lost, as far as this side knows.
  SteadyTime lease_end() const { return source_.received + source_.lease; }

 private:
  struct Entry {
    uint64_t body_offset = 0;
    uint64_t delivery = 0;
    std::atomic<DeliveryPhase> phase{DeliveryPhase::kBuffered};
  };
  static int Int(uint32_t index) { return static_cast<int>(index); }

  // Constant.
  v1::Deliveries columns_;
  Source source_;
  std::shared_ptr<ConsumerCore> consumer_;
  std::vector<Entry> entries_;  // phase: any thread

  SteadyTime renew_at_;  // session's thread
};

}  // namespace baton::client
