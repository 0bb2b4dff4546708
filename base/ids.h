// Strong ids: numbers that cannot be mistaken for one another.
#pragma once

#include <compare>
#include <cstdint>
#include <ostream>
#include <utility>

namespace baton {

template <class Tag, class Rep>
class StrongId {
 public:
  using rep = Rep;
  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep value) : value_(value) {}

  constexpr Rep value() const { return value_; }
  constexpr explicit operator bool() const { return value_ != 0; }
  friend constexpr auto operator<=>(StrongId, StrongId) = default;

  template <class H>
  friend H AbslHashValue(H h, StrongId id) {
    return H::combine(std::move(h), id.value_);
  }
  friend std::ostream& operator<<(std::ostream& out, StrongId id) { return out << id.value_; }

 private:
  Rep value_ = 0;  // 0 = none, for every kind of id
};

// A queue's number: given once, never reused; a queue deleted and created again is another queue.
using QueueId = StrongId<struct QueueIdTag, uint32_t>;
// Those of memory queues have the highest bit: a row's key alone tells which store holds it.
inline constexpr uint32_t kMemoryQueueBit = 0x8000'0000;
constexpr bool IsMemoryQueue(QueueId queue) { return (queue.value() & kMemoryQueueBit) != 0; }
// One connection's session, or one of the broker's own; unique while the process lives.
using SessionId = StrongId<struct SessionIdTag, uint64_t>;
// Chosen by the client, unique within its session.
using SubscriptionId = StrongId<struct SubscriptionIdTag, uint64_t>;
// One delivery, broker-wide, 1, 2, 3 … within an epoch.
using DeliveryNumber = StrongId<struct DeliveryNumberTag, uint64_t>;
// One commit, 1, 2, 3 … in the order of submission; starts again with each process.
using CommitNumber = StrongId<struct CommitNumberTag, uint64_t>;
// One read of the store; starts again with each process.
using ReadId = StrongId<struct ReadIdTag, uint64_t>;
// A request that wants one answer (a unary call); unique while the process lives.
using CallId = StrongId<struct CallIdTag, uint64_t>;
// Where unary calls come from: a connection that has some under way; never given twice.
using ClientId = StrongId<struct ClientIdTag, uint64_t>;
// Random, chosen by the client library; names a producer across its reconnects.
using ProducerId = StrongId<struct ProducerIdTag, uint64_t>;

// The broker's life from one start to the next; raised and synced before the first command. 24 bits.
using Epoch = StrongId<struct EpochTag, uint32_t>;

// A message's number, unique in the broker and never issued twice: 24 bits of epoch, 40 bits of counter.
using Seq = StrongId<struct SeqTag, uint64_t>;

inline constexpr int kSeqCounterBits = 40;
inline constexpr uint64_t kSeqCounterMax = (uint64_t{1} << kSeqCounterBits) - 1;
inline constexpr uint32_t kEpochMax = (1u << 24) - 1;

constexpr Seq MakeSeq(Epoch epoch, uint64_t counter) {
  return Seq((static_cast<uint64_t>(epoch.value()) << kSeqCounterBits) | counter);
}
constexpr Epoch EpochOf(Seq seq) { return Epoch(static_cast<uint32_t>(seq.value() >> kSeqCounterBits)); }

}  // namespace baton
