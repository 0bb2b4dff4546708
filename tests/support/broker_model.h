// The reference model: what a broker is, without windows, reads, commits or rows. It watches every arrow of
// every message's life and says whether it was right; it is told of commits and crashes, and then remembers
// only what survived: on disk up to some commit, in memory queues up to the last one or nothing.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "server/engine/life_cycle_observer.h"
#include "server/engine/queue.h"

namespace baton {

class BrokerModel : public LifeCycleObserver {
 public:
  enum class State { kReady, kLeased, kDelayed, kParked };
  struct Entry {
    MessageId id;
    std::string queue;
    bool in_memory = false;  // of a memory queue
    State state = State::kReady;
    uint32_t priority = 0;
    Seq seq;
    uint32_t attempts = 0;
    Instant arrived;  // in its queue
    Instant own_deadline = kNever;
    Instant due;
    Epoch due_epoch;  // when that was said
    uint64_t bytes = 0;
    std::string body;
    // After a restart, one that was due when the broker died may be found delayed (its row was not moved) or
    // ready.
    bool perhaps_delayed = false;
    bool was_delayed = false;
    DeliveryNumber holder;  // leased: the delivery
  };
  struct Counts {
    uint64_t ready = 0;
    uint64_t leased = 0;
    uint64_t delayed = 0;
    uint64_t parked = 0;
    uint64_t bytes = 0;
    uint64_t perhaps_delayed = 0;
  };

  void OnArrow(Arrow arrow, const Message& message, Instant now) override;

  void Purged(const std::string& queue);
  // The queue's TTL from now on, of what waits too; 0: none.
  void SetTtl(const std::string& queue, Duration ttl) { ttls_[queue] = ttl; }
  Instant DeadlineOf(const Entry& entry) const;
  // What this life has given keeps its length.
  void ClockMoved(Duration by);
  // The queue's policy for a message that is on its way out must have been followed: nothing is on its way
  // any more.
  void CheckNothingOnItsWay() const;

  // The turn's commit: what is now is what survives if it does.
  void Committed(CommitNumber number);
  // Of what is on disk only commits up to this one survived; of what is in memory everything handed over, or
  // nothing. Leases are gone.
  void Crashed(CommitNumber survived_on_disk, bool memory_survived);
  // Everything up to here will never be lost; older memories may go.
  void Synced(CommitNumber number);

  const std::map<Seq, Entry>& entries() const { return now_.entries; }  // by seq of birth
  const Entry* Find(Seq birth) const;
  Counts CountsOf(const std::string& queue) const;
  bool Accepted(ProducerId producer, uint64_t sequence) const {
    return now_.accepted.contains({producer, sequence});
  }
  // The commit that a message was published with, a message was acked with: for judging confirmations.
  CommitNumber published_with(Seq birth) const { return published_.at(birth); }
  CommitNumber acked_with(Seq birth) const { return acked_.at(birth); }
  DeliveryNumber holder(Seq birth) const { return now_.entries.at(birth).holder; }
  uint64_t acks() const { return acks_; }
  uint64_t deliveries() const { return deliveries_; }
  uint64_t arrows(Arrow arrow) const;

  Epoch epoch;  // of this life
  // The number the next commit will have, for published_with.
  CommitNumber next_commit;

 private:
  struct Memory {
    std::map<Seq, Entry> entries;
    std::map<std::pair<ProducerId, uint64_t>, bool> accepted;  // and whether by a memory queue
  };

  Entry& At(const Message& message);
  void CheckIsNext(const Entry& entry) const;
  void Publish(const Message& message, Instant now);
  static void Keep(const Memory& from, bool in_memory, Memory& to);

  Memory now_;
  Memory before_;  // when this life of the broker began
  std::map<CommitNumber, Memory> commits_;
  std::map<std::string, Duration> ttls_;
  std::set<Seq> on_the_way_out_;
  std::map<Seq, CommitNumber> published_;
  std::map<Seq, CommitNumber> acked_;
  Seq last_seq_;
  uint64_t acks_ = 0;
  uint64_t deliveries_ = 0;
  std::map<Arrow, uint64_t> arrows_;
};

}  // namespace baton
