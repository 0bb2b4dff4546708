// Idempotent publish: which sequences of each producer were accepted. The highest, a bitmap of the 1,024
// behind it, and the last use, in memory and in N rows; a producer that was idle for 7 days is forgotten.
//
// What memory queues accepted is kept apart, in rows of its own (n): a row says only what is as safe as
// itself, for a crash may lose commits on disk and keep later ones in memory.
//
// There is room for so many. Each belongs to whom it publishes for (its owner: a host, a user), and when
// there are too many, the owner of most gives one up: first of those that were used for a moment only, the
// longest idle one that no session uses. So whoever makes up ids without end pushes out his own.
#pragma once

#include <bitset>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/time.h"
#include "storage/format/commit.h"
#include "storage/format/records.h"

namespace baton {

// Whose producers they are; made of a peer ("ipv4:10.0.0.7:40112", "unix:pid=7,uid=1000") without what
// changes when it comes again.
using OwnerId = StrongId<struct OwnerIdTag, uint64_t>;
OwnerId OwnerOf(std::string_view peer);

class Producers {
 public:
  using InUse = std::function<bool(ProducerId)>;
  enum class Verdict { kNew, kDuplicate, kTooOld, kTooMany };

  // `bytes_max`: of memory; then there are too many.
  explicit Producers(size_t bytes_max = SIZE_MAX) : bytes_max_(bytes_max) {}

  absl::Status Load(std::string_view key, std::string_view value);
  // After the last Load.
  void Start();

  // Would this sequence be stored? kTooOld: so far behind the highest that nobody knows. kTooMany: no room
  // for another producer. REQUIRES: producer, sequence > 0.
  Verdict Check(ProducerId producer, uint64_t sequence) const;
  // REQUIRES: Check said kNew.
  void Accept(ProducerId producer, uint64_t sequence, bool in_memory, OwnerId owner, Instant now);
  uint64_t Highest(ProducerId producer) const;

  bool dirty() const { return !dirty_.empty(); }
  // Of the rows in shared memory of those that changed, at most.
  size_t dirty_memory_bytes() const { return dirty_in_memory_ * kProducerBytesMax; }
  // Adds the rows of the producers that changed.
  void AppendTo(Commit& commit);
  // Forgets idle producers; to be called now and then. True when there were any (the commit deletes their
  // rows).
  bool ForgetIdle(Instant now, Commit& commit);

  // There are too many: somebody gives one up. False: all are in use; it does not look again within a second,
  // for it has looked at all of them.
  bool MakeRoom(Instant now, const InUse& in_use, Commit& commit);

  // What was used stays as long ago as it is.
  void OnClockMoved(Duration by);

  size_t size() const { return producers_.size(); }
  size_t bytes() const { return bytes_; }
  uint64_t pushed_out() const { return pushed_out_; }  // by MakeRoom, since the start

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
  // In the order of their last use, the longest idle first.
  struct Owner {
    OwnerId id;
    std::list<ProducerId> fresh;  // those used for less than kProducerKnownAfter
    std::list<ProducerId> known;

    size_t size() const { return fresh.size() + known.size(); }
  };
  struct Producer {
    std::unique_ptr<Accepted> accepted[2];  // by queues on disk, by memory queues; null: nothing
    Owner* owner = nullptr;
    std::list<ProducerId>::iterator place;  // in its owner's list
    Instant first_use;                      // in this life of the broker
    bool is_known = false;

    uint64_t highest() const;
    Instant last_use() const;
    bool dirty() const;
  };
  static constexpr size_t kBytesEach =
      sizeof(std::pair<const ProducerId, Producer>) * 8 / 7 + 40;  // and a list's node

  Accepted& Entry(Producer& producer, bool in_memory);
  Owner& FindOwner(OwnerId owner);
  // Moves it to the end of its owner's list.
  void NoteUse(ProducerId id, Producer& producer, OwnerId owner, Instant now);
  void Leave(Producer& producer);
  void Resize(Owner& owner, const std::function<void()>& change);
  bool GiveUpOne(std::list<ProducerId>& from, const InUse& in_use, Commit& commit);
  void Forget(ProducerId producer, Commit& commit);

  size_t bytes_max_;
  absl::flat_hash_map<ProducerId, Producer> producers_;
  absl::flat_hash_map<OwnerId, std::unique_ptr<Owner>> owners_;
  absl::btree_set<std::pair<size_t, OwnerId>> by_size_;
  size_t bytes_ = 0;
  Instant next_look_;  // of MakeRoom
  uint64_t pushed_out_ = 0;
  std::vector<std::pair<ProducerId, bool>> dirty_;  // and whether it is what memory queues accepted
  size_t dirty_in_memory_ = 0;                      // of these
};

}  // namespace baton
