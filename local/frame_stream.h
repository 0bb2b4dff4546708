// Frames in a ring: four bytes of length, then the encoded message. FrameSender takes a frame at once and
// moves it into the ring as room comes; FrameReceiver gathers one from what has come. Neither believes a
// length before it is checked, nor takes memory for bytes that have not come, but for a large frame that was
// allowed.
//
// THREADS: as the ring's ends.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "google/protobuf/message_lite.h"
#include "local/ring.h"

namespace baton {

inline constexpr size_t kFrameLengthBytes = 4;

class FrameSender {
 public:
  explicit FrameSender(RingWriter ring) : ring_(ring) {}

  // Nothing waits to go into the ring.
  bool idle() const { return sent_ == pending_.size(); }
  // REQUIRES: idle(). The frame may be changed as soon as this returns.
  void Begin(const google::protobuf::MessageLite& frame);
  // Moves on what waits. True: the reader's bell must be rung.
  [[nodiscard]] bool Push();
  // The frame that waits has not got all the room it needs: the sender is about to sleep for it.
  // False: there is room by now, or nothing waits; Push.
  [[nodiscard]] bool WaitForRoom() { return !idle() && ring_.WaitForRoom(); }

  size_t bytes_waiting() const { return pending_.size() - sent_; }
  uint64_t bytes_moved() const { return bytes_moved_; }  // since the start
  bool broken() const { return ring_.broken(); }
  void FreeSpareMemory();

 private:
  RingWriter ring_;
  std::string pending_;  // length and frame; kept for its memory
  size_t sent_ = 0;
  uint64_t bytes_moved_ = 0;
};

class FrameReceiver {
 public:
  enum class State {
    kFrame,     // frame() is complete; the next Pull begins another one
    kNothing,   // more has to come
    kLarge,     // there is more of a frame than may be gathered: Allow wanted_bytes() more, then Pull on
    kTooLarge,  // a frame longer than frame_bytes_max: nothing more is to be had
    kBroken,    // the writer's index makes no sense: likewise
  };

  // The first `plain_bytes_max` of a frame are gathered without asking (kLarge); then it is asked for each
  // step, when there is something to be gathered with it.
  FrameReceiver(RingReader ring, size_t frame_bytes_max, size_t plain_bytes_max)
      : ring_(ring),
        frame_bytes_max_(frame_bytes_max),
        plain_bytes_max_(plain_bytes_max),
        allowed_(plain_bytes_max) {}

  // Takes up to `budget` bytes out of the ring, and lowers it by what it took.
  State Pull(size_t& budget);
  std::string_view frame() const { return {buffer_.data(), expected_}; }
  size_t expected_bytes() const { return expected_; }
  // After kLarge: the next step, and what the frame lacks until it is whole.
  size_t wanted_bytes() const;
  size_t missing_bytes() const { return expected_ - std::min(allowed_, expected_); }
  void Allow();
  // Part of a frame has come.
  bool InFrame() const { return have_ > 0 && !complete_; }

  // Gives the writer room. True: its bell must be rung.
  [[nodiscard]] bool Release() { return ring_.Release(); }
  // The receiver is about to sleep until something comes. False: something has.
  [[nodiscard]] bool WaitForData() { return ring_.WaitForData(); }
  void StopWaiting() { ring_.StopWaiting(); }
  bool HasData() { return ring_.HasData(); }
  void FreeSpareMemory();

 private:
  State PullLength(size_t& budget);
  State PullBody(size_t& budget);

  RingReader ring_;
  const size_t frame_bytes_max_;
  const size_t plain_bytes_max_;
  char length_[kFrameLengthBytes] = {};
  std::string buffer_;   // of the frame; its memory is used again
  size_t have_ = 0;      // bytes of length and frame that have come
  size_t expected_ = 0;  // of the frame, once its length has come
  size_t allowed_;       // bytes of the frame that may be gathered
  bool complete_ = false;
};

}  // namespace baton
