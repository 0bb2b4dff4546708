#include "server/engine/seq_numbers.h"

#include "base/check.h"

namespace baton {

// Between the wish and the end of the epoch lie 2^39 messages, more than can ever wait for one sync.
Seq SeqNumbers::Next() {
  if (counter_ + 1 >= counter_max_) {
    BATON_CHECK(raised_) << "epoch " << epoch_ << " is used up, and the next one is not stored";
    epoch_ = Epoch(epoch_.value() + 1);
    counter_ = 0;
    asked_ = raised_ = false;
  }
  return MakeSeq(epoch_, ++counter_);
}

Epoch SeqNumbers::TakeWish() {
  asked_ = true;
  return Epoch(epoch_.value() + 1);
}

}  // namespace baton
