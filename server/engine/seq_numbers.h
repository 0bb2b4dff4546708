// The numbers of messages: an epoch and a counter, never given twice. An epoch has 2^40 of them, which a
// broker that lives long uses up; the next epoch is raised and synced long before (with the commit of a
// turn), so that a successor begins above it.
//
// (Tokens are of the life's epoch, however many it takes for numbers.)
#pragma once

#include <cstdint>

#include "base/ids.h"

namespace baton {

class SeqNumbers {
 public:
  // `epoch` is raised and synced. `counter_max`: for tests.
  explicit SeqNumbers(Epoch epoch, uint64_t counter_max = kSeqCounterMax)
      : epoch_(epoch), counter_max_(counter_max) {}

  Seq Next();
  // The next one is this, or higher.
  Seq Upcoming() const { return MakeSeq(epoch_, counter_ + 1); }

  // Half of the epoch is used up, and the next one is not asked for yet.
  bool WantsEpoch() const { return counter_ > counter_max_ / 2 && !asked_; }
  // The one to raise now.
  Epoch TakeWish();
  // It is synced.
  void OnRaised() { raised_ = true; }

 private:
  Epoch epoch_;
  const uint64_t counter_max_;
  uint64_t counter_ = 0;
  bool asked_ = false;
  bool raised_ = false;
};

}  // namespace baton
