// Names for what is published by unary calls: with a producer and sequences in it, a call may be repeated and
// is stored once. Calls that are under way at the same time have different producers, because the broker
// remembers only so many sequences behind the highest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "client/mutex.h"

namespace baton::client {

// THREADS: any.
class PublishNames {
 public:
  struct Name {
    uint64_t producer_id = 0;
    uint64_t next_sequence = 1;
  };

  // `new_producer_id` gives one that nobody else has, never 0.
  explicit PublishNames(std::function<uint64_t()> new_producer_id)
      : new_producer_id_(std::move(new_producer_id)) {}

  // To be given back when the call is over, however it went.
  Name Borrow() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    if (free_.empty()) return {.producer_id = new_producer_id_(), .next_sequence = 1};
    const Name name = free_.back();
    free_.pop_back();
    return name;
  }
  void GiveBack(Name name, size_t messages) ABSL_LOCKS_EXCLUDED(mutex_) {
    name.next_sequence += messages;
    MutexLock lock(mutex_);
    free_.push_back(name);
  }

 private:
  const std::function<uint64_t()> new_producer_id_;

  Mutex mutex_;
  std::vector<Name> free_ ABSL_GUARDED_BY(mutex_);  // as many as calls were ever under way at a time
};

}  // namespace baton::client
