// Lists of queues for which something is to be done, in the order they were added. A queue is in each of them
// once at most, and leaves all of them by itself when it goes. THREADS: one owner.
#pragma once

#include <boost/intrusive/list.hpp>

namespace baton {

struct Queue;

// A queue has one for each list that it may be in.
class WorkHook
    : public boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
};

template <WorkHook Queue::*kHook>
class WorkList {
 public:
  bool empty() const { return list_.empty(); }
  // Does nothing when it is in the list.
  void Add(Queue& queue) {
    if (!(queue.*kHook).is_linked()) list_.push_back(queue);
  }
  // The first one; null: there is none.
  Queue* Take() {
    if (list_.empty()) return nullptr;
    Queue& first = list_.front();
    list_.pop_front();
    return &first;
  }
  // What is added from now on is not among them. They count as being in the list as long as what is returned
  // has them.
  WorkList TakeAll() {
    WorkList all;
    all.list_.swap(list_);
    return all;
  }
  // … and go on at its head.
  void PutBack(WorkList&& first) { list_.splice(list_.begin(), first.list_); }
  // Takes those out for which `condition` holds, and does `then` to each, which may add to other lists.
  template <class Condition, class Then>
  void TakeIf(Condition&& condition, Then&& then) {
    for (auto at = list_.begin(); at != list_.end();) {
      Queue& queue = *at;
      if (!condition(queue)) {
        ++at;
        continue;
      }
      at = list_.erase(at);
      then(queue);
    }
  }

 private:
  boost::intrusive::list<Queue, boost::intrusive::member_hook<Queue, WorkHook, kHook>,
                         boost::intrusive::constant_time_size<false>>
      list_;
};

}  // namespace baton
