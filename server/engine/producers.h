// Idempotent publish: which sequences of each producer were accepted. The highest, a bitmap of the 1,024
// behind it, and the last use, in memory and in N rows; a producer that was idle for 7 days is forgotten.
//
// What memory queues accepted is kept apart, in rows of its own (n): a row says only what is as safe as
// itself, for a crash may lose commits on disk and keep later ones in memory.
#pragma once

#include <bitset>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/time.h"
#include "storage/format/commit.h"
#include "storage/format/records.h"

namespace baton {

class Producers {
 public:
  using InUse = std::function<bool(ProducerId)>;
  enum class Verdict { kNew, kDuplicate, kTooOld, kTooMany };

  absl::Status Load(std::string_view key, std::string_view value);

  // Would this sequence be stored? kTooOld: so far behind the highest that nobody knows. kTooMany: no room
  // for another producer. REQUIRES: producer, sequence > 0.
  Verdict Check(ProducerId producer, uint64_t sequence) const;
  // REQUIRES: Check said kNew.
  void Accept(ProducerId producer, uint64_t sequence, bool in_memory, Instant now);
  uint64_t Highest(ProducerId producer) const;

  bool dirty() const { return !dirty_.empty(); }
  // Of the rows in shared memory of those that changed, at most.
  size_t dirty_memory_bytes() const { return dirty_in_memory_ * kProducerBytesMax; }
  // Adds the rows of the producers that changed.
  void AppendTo(Commit& commit);
  // Forgets idle producers; to be called now and then. True when there were any (the commit deletes their
  // rows).
  bool ForgetIdle(Instant now, Commit& commit);

  // At the limit: forgets the longest idle of those that were idle for kProducerIdleMin and are not in use.
  // False when there are none; it does not look again within a second, for it looks at all of them.
  bool MakeRoom(Instant now, const InUse& in_use, Commit& commit);

  size_t size() const { return producers_.size(); }

 private:
  // A ProducerRecord in another form: what was accepted of sequence s is bit -s mod kProducerWindow, so that
  // a new sequence moves none of the others.
  struct Accepted {
    uint64_t highest = 0;  // 0: nothing
    Instant last_use;
    std::bitset<kProducerWindow> window;
    bool dirty = false;

    bool Has(uint64_t sequence) const;
    void Add(uint64_t sequence);
    void Load(const ProducerRecord& record);
    ProducerRecord ToRecord() const;
  };
  struct Producer {
    Accepted accepted[2];  // by queues on disk, by memory queues

    uint64_t highest() const;
    Instant last_use() const;
    bool dirty() const { return accepted[0].dirty || accepted[1].dirty; }
  };
  void Forget(ProducerId producer, Commit& commit);

  absl::flat_hash_map<ProducerId, Producer> producers_;
  std::vector<std::pair<ProducerId, bool>> dirty_;  // and whether it is what memory queues accepted
  size_t dirty_in_memory_ = 0;                      // of these
  Instant next_look_;                               // of MakeRoom
};

}  // namespace baton
