// All sessions over rings: which of them to look at, and when. Those that are active are read every turn;
// when the engine's thread is about to sleep they are armed, and from then on only those that ring are looked
// at. So idle clients cost nothing, and busy ones no system calls of their own.
//
// THREADS: Adopt from any; before the engine's thread runs and after it has ended, whoever starts and stops
// it; else the engine's.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "server/listen/connection_shares.h"
#include "server/local/local_session.h"
#include "server/loop/carrier.h"
#include "server/loop/engine_thread.h"
#include "server/loop/parking.h"

namespace baton {

class LocalSessions final : public Carrier, public Bell {
 public:
  // `large_frame_bytes`: of frames that are on their way, all sessions together.
  LocalSessions(BrokerFacts* facts, Parking* parking, size_t large_frame_bytes);
  LocalSessions(const LocalSessions&) = delete;
  LocalSessions& operator=(const LocalSessions&) = delete;
  ~LocalSessions() override = default;

  // Which bound one more session of this peer would exceed; the answer holds for whoever adopts.
  ConnectionShares::Excess ExcessOf(const Peer& peer) const ABSL_LOCKS_EXCLUDED(mutex_);
  // A client has been welcomed.
  void Adopt(LocalClient client) ABSL_LOCKS_EXCLUDED(mutex_);

  void OnReady(uint64_t tag) override;
  bool Read() override;
  void Write() override;
  bool Park() override;
  void OnSecond() override;
  void Ring() override;  // the inbox has room

  // No frame is read any more. On the engine's thread, or without one.
  void StopReading();
  // Every session is told why it ends.
  void EndAll(const absl::Status& why);
  // Waits up to `grace` until clients have heard it. REQUIRES: the engine's thread has ended.
  void Shutdown(std::chrono::milliseconds grace);

 private:
  LocalSession* Find(SessionId id);
  void AdoptNew() ABSL_LOCKS_EXCLUDED(mutex_);
  void Add(LocalClient client);
  void Activate(LocalSession& session);
  void RemoveIfOver(SessionId id) ABSL_LOCKS_EXCLUDED(mutex_);

  BrokerFacts* const facts_;
  Parking* const parking_;
  LargeFrameRoom large_frames_;
  bool stopping_ = false;

  absl::flat_hash_map<SessionId, std::unique_ptr<LocalSession>> sessions_;
  std::vector<SessionId> active_;   // those read every turn
  size_t next_read_ = 0;            // of them: whose turn is first
  std::vector<SessionId> spoken_;   // told something in this turn
  std::vector<SessionId> refused_;  // wait for room in the inbox

  mutable Mutex mutex_;
  ConnectionShares shares_ ABSL_GUARDED_BY(mutex_);
  std::vector<LocalClient> new_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace baton
