// Memory for large frames that are on their way through rings. A session takes the whole of its frame before
// it reads on, in the order of asking, so that everybody's frame comes through in the end, and frames that
// were only begun cannot fill the memory. THREADS: the engine's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>

#include "base/ids.h"

namespace baton {

class LargeFrameRoom {
 public:
  explicit LargeFrameRoom(size_t bytes_max) : bytes_max_(bytes_max), left_(bytes_max) {}

  // False: the session waits in line until it is Next.
  bool Take(SessionId session, size_t bytes) {
    bytes = std::min(bytes, bytes_max_);
    if (!waiting_.empty() || bytes > left_) {
      waiting_.push_back({.session = session, .bytes = bytes});
      return false;
    }
    left_ -= bytes;
    return true;
  }
  // Gives the first in line its room; none when there is none, or not enough.
  SessionId TakeNext() {
    if (waiting_.empty() || waiting_.front().bytes > left_) return {};
    const SessionId session = waiting_.front().session;
    left_ -= waiting_.front().bytes;
    waiting_.pop_front();
    return session;
  }
  // Somebody in line could have its room.
  bool HasNext() const { return !waiting_.empty() && waiting_.front().bytes <= left_; }
  void GiveBack(size_t bytes) { left_ += std::min(bytes, bytes_max_); }
  bool SomeoneWaits() const { return !waiting_.empty(); }
  // The session waits no more.
  void Forget(SessionId session) {
    std::erase_if(waiting_, [session](const Waiting& waiting) { return waiting.session == session; });
  }

 private:
  struct Waiting {
    SessionId session;
    size_t bytes = 0;
  };
  const size_t bytes_max_;
  size_t left_;
  std::deque<Waiting> waiting_;
};

}  // namespace baton
