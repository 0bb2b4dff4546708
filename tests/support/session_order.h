// What a session sends is decided in the order in which it was sent: publishes one after another, and no ack
// before what was published ahead of it. Watches a broker's arrows for that, and hands them on.
#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "base/ids.h"
#include "server/engine/life_cycle_observer.h"

namespace baton {

class SessionOrder final : public LifeCycleObserver {
 public:
  explicit SessionOrder(LifeCycleObserver* next) : next_(next) {}

  // A session of this producer begins: what the one before sent is decided or lost.
  void Begins(ProducerId producer) { sent_[producer] = {}; }
  // The session sends …
  void Sends(ProducerId producer, uint64_t sequence) { sent_[producer].last = sequence; }
  // … one that was sent before: it is decided whenever the first of them is.
  void SendsAgain(ProducerId producer, uint64_t sequence) { sent_[producer].again.insert(sequence); }
  void SendsAck(ProducerId producer, Seq message);
  // Not by a session: nothing is known of its order.
  void AckedByCall(Seq message) { ambiguous_.insert(message); }

  void OnArrow(Arrow arrow, const Message& message, Instant now) override;
  // Acks that had something published before them.
  uint64_t checked() const { return checked_; }

 private:
  struct Sent {
    uint64_t last = 0;             // sequence
    std::set<uint64_t> again;      // sequences
    std::map<Seq, uint64_t> acks;  // and the last sequence that was sent before
    uint64_t decided = 0;          // sequence: up to here all are, for something later is
  };

  LifeCycleObserver* const next_;
  std::map<ProducerId, Sent> sent_;
  std::set<Seq> ambiguous_;  // acked in more than one way
  uint64_t checked_ = 0;
};

}  // namespace baton
