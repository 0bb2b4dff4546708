// LocalSession carries one session over the rings of its segment, on the engine's thread.
//
// It is `active` while the engine's thread looks at it every turn; otherwise it is armed: its rings' flags
// say that the client must ring. A bell makes it active again. The client may ring once for each time it was
// armed; more is a broken protocol, and so are bells with nothing behind them, beyond some that come late.
//
// THREADS: the engine's.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "baton/v1/session.pb.h"
#include "local/descriptor.h"
#include "local/frame_stream.h"
#include "local/segment.h"
#include "server/listen/peer.h"
#include "server/session/broker_facts.h"
#include "server/session/client_session.h"
#include "server/session/large_frame_room.h"

namespace baton {

// For how many seconds one side has been waiting for the other, and nothing moved.
class Standstill {
 public:
  // Once a second. `moved`: bytes since the start.
  void Note(uint64_t moved, bool waits) {
    seconds_ = waits && moved == moved_before_ ? seconds_ + 1 : 0;
    moved_before_ = moved;
  }
  uint32_t seconds() const { return seconds_; }

 private:
  uint64_t moved_before_ = 0;
  uint32_t seconds_ = 0;
};

// A client that has been welcomed.
struct LocalClient {
  Descriptor socket;
  Descriptor process;  // pidfd; none when its process is in another namespace
  Segment segment;
  Peer peer;
};

class LocalSession {
 public:
  // What is outside of the session; outlives it.
  struct Context {
    BrokerFacts* facts = nullptr;
    LargeFrameRoom* large_frames = nullptr;
    ClientSession::Wake wake;
  };

  LocalSession(const Context& context, LocalClient client);
  ~LocalSession();
  LocalSession(const LocalSession&) = delete;
  LocalSession& operator=(const LocalSession&) = delete;

  // Takes in what the client has sent, as far as its allowance goes; adds what that cost to `cost`. False:
  // there was nothing.
  bool Read(size_t& cost);
  // Writes what waits, as far as there is room.
  void Pump();
  // The inbox has room again.
  void Retry();
  // There is room for the large frame that waits for it.
  void TakeLargeFrame();
  // The socket can be read.
  void OnBells();
  // The client's process has ended.
  void OnProcessEnd() { Lose(); }
  void OnSecond();
  void End(const absl::Status& why);
  void StopReading() { stop_reading_ = true; }

  // From now on the client must ring. False: there is something to do.
  [[nodiscard]] bool Arm();
  bool active() const { return active_; }
  void Activate() { active_ = true; }
  // It is not active, and not armed for all that it waits for.
  bool wants_look() const {
    return !active_ && !over_ && (!sender_.idle() || (!armed_for_frames_ && WantsFrames()));
  }
  bool refused() const { return refused_; }
  // It may be destroyed: nothing more is to be said or heard.
  bool over() const { return over_; }

  SessionId id() const { return session_->id(); }
  bool subscribes() const { return session_->subscribes(); }
  const Peer& peer() const { return client_.peer; }
  int socket() const { return client_.socket.get(); }
  int process() const { return client_.process.get(); }

 private:
  bool WantsFrames() const { return MayRead() && !session_->IsFull(); }
  bool MayRead() const { return !stop_reading_ && !refused_ && !waits_for_memory_ && !leaving_; }
  bool ReadFrame();
  void OnFrame();
  void Follow(ClientSession::Reading reading);
  void JudgeBell(bool had_cause);
  void JudgePace();
  void Violate(std::string_view what);
  void CutOff(const absl::Status& why);
  void GiveBackMemory();
  void Lose();

  BrokerFacts* const facts_;
  LargeFrameRoom* const large_frames_;
  LocalClient client_;
  FrameReceiver receiver_;
  FrameSender sender_;
  const std::shared_ptr<ClientSession> session_;  // shared with the engine's routes
  v1::ClientFrame in_;
  size_t in_cost_ = 0;  // about what was read into `in_` since it was new: it keeps its memory
  v1::ServerFrame out_;

  bool active_ = true;
  bool armed_for_frames_ = false;
  bool refused_ = false;           // waits for room in the inbox
  bool waits_for_memory_ = false;  // for a large frame
  bool leaving_ = false;           // nothing more is read
  bool stop_reading_ = false;
  bool over_ = false;
  // What it may bring in this turn, in bytes and what they cost besides; below 0: it brought more, and has to
  // wait.
  int64_t allowance_ = 0;
  bool is_dear_ = false;       // since the last OnSecond: it brought much more than a turn's worth at once
  uint32_t dear_seconds_ = 0;  // one after another
  size_t large_bytes_ = 0;     // taken of large_frames_
  uint64_t bells_due_ = 0;     // that the client may still ring
  uint32_t false_bells_ = 0;   // that had nothing behind them, less those that had
  bool rung_ = false;          // and not yet looked
  bool was_active_ = false;    // since the last OnSecond
  uint32_t seconds_without_hello_ = 0;
  uint64_t bytes_read_ = 0;
  uint64_t bytes_read_before_ = 0;          // a second ago
  uint64_t bytes_taken_before_ = 0;         // by the client, likewise
  uint32_t slow_taking_seconds_ = 0;        // while others wait for what it does not take
  uint32_t slow_seconds_ = 0;               // in a large frame that others wait for
  Standstill reading_;                      // it does not finish what it has begun
  Standstill writing_;                      // it takes nothing of what it is told
  uint32_t seconds_in_frame_ = 0;           // that has begun and not ended
  uint32_t seconds_taking_ = 0;             // the frame that is on its way to it
  std::chrono::seconds taking_time_max_{};  // of that frame
};

}  // namespace baton
