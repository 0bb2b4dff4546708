// What waits for room in later turns, of one store: a lane for each that asked, queue and cost; lanes take
// turns, so that nobody's pile keeps others waiting. What one lane holds is done in its order. Work may be
// done in shares. It goes, undone, with whoever asked for it; when only its queue goes it is done at once,
// for it costs nothing any more, and somebody may wait for the answer.
//
// Pure; owned by the engine's thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>

#include "absl/functional/any_invocable.h"
#include "base/ids.h"
#include "base/time.h"

namespace baton {

// What an arrow of a message's life adds to the turn's commit, at most.
enum class Cost : uint8_t {
  kNothing,
  kRemove,   // keys of rows that go, and a few bytes
  kRewrite,  // a body, written again
};

// Who asked for work: with him it ends.
struct Asker {
  enum class Kind : uint8_t { kQueue, kSession, kCall, kClient };
  Kind kind = Kind::kQueue;
  uint64_t id = 0;

  static Asker Of(QueueId queue) { return {Kind::kQueue, queue.value()}; }
  static Asker Of(SessionId session) { return {Kind::kSession, session.value()}; }
  static Asker Of(CallId call) { return {Kind::kCall, call.value()}; }
  static Asker Of(ClientId client) { return {Kind::kClient, client.value()}; }
  friend auto operator<=>(const Asker&, const Asker&) = default;
};

class DeferredWork {
 public:
  // True: done. False: it used up this turn's share and goes on where it stopped, before what its lane holds
  // behind it.
  using Work = absl::AnyInvocable<bool(Instant now)>;

  void Add(const Asker& asker, QueueId queue, Cost cost, Work work);
  // The asker is gone; its work is dropped. True: there was some.
  bool Forget(const Asker& asker);
  // The queue is gone.
  void Free(QueueId queue);

  // How many pieces wait; of so much cost.
  size_t size() const { return sizes_[0] + sizes_[1] + sizes_[2]; }
  size_t size(Cost cost) const { return sizes_[static_cast<size_t>(cost)]; }
  size_t size(const Asker& asker) const;

  // Does one work of each lane in turn while `may(cost)`; each at most once, so what is put off once more
  // waits for the next call.
  template <class May>
  void Run(Instant now, May&& may) {
    for (const Cost cost : {Cost::kNothing, Cost::kRemove, Cost::kRewrite}) {
      for (size_t left = size(cost); left > 0 && size(cost) > 0 && may(cost); --left) RunNext(cost, now);
    }
  }

 private:
  struct LaneKey {
    Asker asker;
    QueueId queue;
    Cost cost = Cost::kNothing;
    friend auto operator<=>(const LaneKey&, const LaneKey&) = default;
  };

  using Lane = std::deque<Work>;
  using Lanes = std::map<LaneKey, Lane>;

  // REQUIRES: there is some.
  void RunNext(Cost cost, Instant now);
  Lane& LaneOf(const LaneKey& key);
  Lanes::iterator Erase(Lanes::iterator lane);

  Lanes lanes_;  // none is empty
  // By cost: the order of turns. Keys of lanes that are gone are passed over.
  std::array<std::deque<LaneKey>, 3> rings_;
  std::array<size_t, 3> sizes_ = {};
};

}  // namespace baton
