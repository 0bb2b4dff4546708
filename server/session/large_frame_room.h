// Memory for large frames that are on their way through rings. A session takes room as its frame's bytes
// come, so that what was only announced, or trickles in, keeps nobody out.
//
// Most of it is a pool, from which those who lack fewest bytes are served first. When it is used up by frames
// that are not whole, none of them could be finished: so one session at a time, the first that found no room,
// has right of way, and takes the rest of its frame from what is kept for that. THREADS: the engine's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <utility>

#include "base/ids.h"

namespace baton {

class LargeFrameRoom {
 public:
  LargeFrameRoom(size_t bytes_max, size_t frame_bytes_max)
      : left_(bytes_max - std::min(frame_bytes_max, bytes_max / 2)) {}

  // `bytes` more, of `missing` that the frame needs until it is whole. False: the session waits in line until
  // it is TakeNext.
  bool Take(SessionId session, size_t bytes, size_t missing) {
    if (session == right_of_way_) {
      kept_taken_ += bytes;
      return true;
    }
    const bool comes_first = std::all_of(waiting_.begin(), waiting_.end(), [missing](const Waiting& waiting) {
      return missing < waiting.missing;
    });
    if (comes_first && bytes <= left_) {
      left_ -= bytes;
      return true;
    }
    waiting_.push_back({.session = session, .bytes = bytes, .missing = missing});
    return false;
  }
  // Gives the next in line its room; none when nobody can have any.
  SessionId TakeNext() {
    const auto next = Next();
    if (next == waiting_.end()) return {};
    const SessionId session = next->session;
    if (next->bytes <= left_) {
      left_ -= next->bytes;
    } else {
      right_of_way_ = session;
      kept_taken_ = next->bytes;
    }
    waiting_.erase(next);
    return session;
  }
  // Somebody in line could have its room.
  bool HasNext() { return Next() != waiting_.end(); }
  // All that the session took: its frame is done with.
  void GiveBack(SessionId session, size_t bytes) {
    if (bytes > 0 && session == right_of_way_) {
      bytes -= std::exchange(kept_taken_, 0);
      right_of_way_ = {};
    }
    left_ += bytes;
  }
  bool SomeoneWaits() const { return !waiting_.empty(); }
  // The session waits no more.
  void Forget(SessionId session) {
    std::erase_if(waiting_, [session](const Waiting& waiting) { return waiting.session == session; });
  }

 private:
  struct Waiting {
    SessionId session;
    size_t bytes = 0;
    size_t missing = 0;
  };
  std::deque<Waiting>::iterator Next() {
    auto best = waiting_.end();
    for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
      if (at->bytes <= left_ && (best == waiting_.end() || at->missing < best->missing)) best = at;
    }
    return best == waiting_.end() && !right_of_way_ ? waiting_.begin() : best;
  }

  size_t left_;  // of the pool
  std::deque<Waiting> waiting_;
  SessionId right_of_way_;  // none: nobody has it
  size_t kept_taken_ = 0;   // by it, of what is kept
};

}  // namespace baton
