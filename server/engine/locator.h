// Finds a message that may not be in memory: by point reads of its place of birth and its locator. Commands
// on such a message have two phases: read, then check again and decide. Whatever changes a message meanwhile
// calls Touch, and the read starts again; commands on the same message queue behind one read.
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "server/engine/life_cycle.h"
#include "server/engine/reads.h"

namespace baton {

class Locator {
 public:
  // Called once, at once when the message is in memory, else in a later turn. nullptr: there is no such
  // message. The message may be a passing view of its row (state kSpilled): decide with LifeCycle, or leave
  // it; do not keep it.
  using Decide = absl::AnyInvocable<void(Message* message, Instant now)>;

  Locator(BrokerState* state, LifeCycle* life_cycle, Reads* reads)
      : state_(*state), life_cycle_(*life_cycle), reads_(*reads) {}

  void Find(const MessageId& id, Instant now, Decide decide);
  // The message changed, entered memory or left it.
  void Touch(Seq birth);
  size_t pending() const { return pending_.size(); }

 private:
  struct Search {
    MessageId id;
    std::vector<Decide> waiting;
    bool touched = false;
  };

  void ReadBirthPlace(Seq birth);
  void ReadRow(Seq birth, std::string row_key);
  // False: the search has to start again, and did.
  bool StillTrue(Search& search);
  void OnBirthPlace(Seq birth, const ReadResult& result, Instant now);
  void OnRow(Seq birth, const Row& row, Instant now);
  void Conclude(Seq birth, std::unique_ptr<Message> view, Instant now);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Reads& reads_;
  absl::flat_hash_map<Seq, Search> pending_;
};

}  // namespace baton
