// Removes the locators that a purge, or the deletion of a queue, has left on disk: those of messages that
// were not in memory, so that their ids were not known. All locators are read, a chunk at a time, whenever
// there was such a purge. A row of the broker's own says that it is not done yet, for a broker that is killed
// meanwhile, or could not read some of them and tries again. (Memory queues: storage/tiered_store.h.)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/engine/broker_state.h"
#include "server/engine/reads.h"

namespace baton {

class LocatorSweep {
 public:
  LocatorSweep(BrokerState* state, Reads* reads) : state_(*state), reads_(*reads) {}

  // At start, of the broker's own rows.
  absl::Status Load(std::string_view key, std::string_view value);
  // Before a purge or a deletion, in its turn.
  void BeforePurge(const Queue& queue);
  // Reads the next chunk, when there is one to read.
  void Tick(Instant now);
  void OnClockMoved() {
    if (try_again_ != kNever) try_again_ = {};
  }
  Instant NextDue(Instant) const { return try_again_; }

 private:
  void OnRows(uint64_t purges, ReadResult result, Instant now);
  // Does it lead to a message that a purge took, or to a queue that is gone?
  bool IsVoid(std::string_view locator) const;

  BrokerState& state_;
  Reads& reads_;
  uint64_t purges_ = 0;
  bool wanted_ = false;  // another pass, from the beginning
  bool is_marked_ = false;
  bool reading_ = false;
  bool missed_some_ = false;  // of this pass: they could not be read
  Instant try_again_ = kNever;
  std::string from_;  // the next chunk
};

}  // namespace baton
