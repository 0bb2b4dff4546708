// Reads of the store on their way: each with what to do when it completes.
#pragma once

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "base/check.h"
#include "server/engine/broker_state.h"

namespace baton {

class Reads {
 public:
  using Then = absl::AnyInvocable<void(ReadResult result, Instant now)>;

  explicit Reads(BrokerState* state) : state_(*state) {}

  // Starts with the end of this turn, after its commit.
  void Start(ReadRequest request, Then then) {
    request.id = ReadId(++last_);
    state_.reading_bytes += request.bytes_max;
    waiting_.emplace(request.id, Waiting{.then = std::move(then), .bytes = request.bytes_max});
    state_.reads.push_back(std::move(request));
  }
  void Complete(ReadResult result, Instant now) {
    auto found = waiting_.extract(result.id);
    BATON_CHECK(!found.empty()) << "a read completed that was not started: " << result.id;
    state_.reading_bytes -= found.mapped().bytes;
    found.mapped().then(std::move(result), now);
  }
  // Room for another one? Whoever can wait asks first.
  bool HasRoom() const { return waiting_.size() < kReadsInFlightMax; }

 private:
  struct Waiting {
    Then then;
    size_t bytes;  // that it may bring; counted from its start on
  };

  BrokerState& state_;
  uint64_t last_ = 0;
  absl::flat_hash_map<ReadId, Waiting> waiting_;
};

}  // namespace baton
