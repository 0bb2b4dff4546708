// The settlements of one client's deliveries: collects them from the handler threads, gives them to the
// session in few frames, and says who was answered how.
//
// Tags are good within one session only. What belongs to an earlier session, or was not answered when the
// session was lost, goes by token (late_settler.h).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "baton/v1/session.pb.h"
#include "client/mutex.h"
#include "client/session/settlement.h"

namespace baton::client {

class Settlements {
 public:
  // --- any thread ---

  // Takes the entry for the next frame; or gives it back when its session is not the present one.
  std::optional<SettleEntry> Add(const Settlement& how, SettleEntry entry);

  // --- session's thread; Fill by whoever sends, one at a time ---

  void OnConnected(uint64_t session);
  // What was not answered.
  std::vector<SettleGroup> OnDisconnected();

  // Puts what waits into `frame`, up to the limit of tags.
  void Fill(v1::ClientFrame& frame);

  // One settlement answered; `status` is OK or says why it was refused.
  struct Answer {
    v1::Settle::Kind kind;
    SettleEntry entry;
    absl::Status status;
  };
  // Appends what `reply` answers; exceptions may come in replies before the one that answers. ERRORS:
  // INVALID_ARGUMENT (PROTOCOL_VIOLATION) about what was never sent.
  absl::Status OnReply(const v1::SettleReply& reply, std::vector<Answer>& answers);

  // For people. Any thread.
  std::string Describe();

 private:
  Mutex mutex_;
  uint64_t session_ ABSL_GUARDED_BY(mutex_) = 0;  // 0 = none
  // Extensions go first: a delivery may be extended and then acked in one frame.
  std::vector<SettleGroup> waiting_extends_ ABSL_GUARDED_BY(mutex_);
  std::vector<SettleGroup> waiting_ ABSL_GUARDED_BY(mutex_);

  Mutex sent_mutex_;
  std::deque<SettleGroup> sent_ ABSL_GUARDED_BY(sent_mutex_);  // by number
  uint64_t last_number_ ABSL_GUARDED_BY(sent_mutex_) = 0;
  // By settlement and first tag: exceptions whose settlement is not answered yet. Few, if any.
  struct Refused {
    uint64_t further = 0;
    absl::Status why;
  };
  absl::Status RefusalOf(uint64_t settlement, uint64_t tag) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(sent_mutex_);
  std::map<std::pair<uint64_t, uint64_t>, Refused> refused_ ABSL_GUARDED_BY(sent_mutex_);
  std::vector<uint64_t> tags_ ABSL_GUARDED_BY(sent_mutex_);  // kept for its memory
};

}  // namespace baton::client
