// The messages published and not yet answered, of all producers of one client: numbers them, hands them to
// the session in batches within the broker's credit, hands them out again after a reconnect, and runs the
// callbacks.
//
// The broker remembers the last 1,024 sequences it accepted, so the unanswered ones never span more than
// that, and the window is a ring of slots. Knows no connection: the session tells it what happened.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/limits.h"
#include "baton/message.h"
#include "baton/producer.h"
#include "baton/v1/session.pb.h"
#include "client/mutex.h"
#include "client/session/publish_batch.h"

namespace baton::client {

// What one producer waits for. Guarded by its window's mutex.
struct ProducerState {
  uint64_t unanswered = 0;
  ProducerCounters counters;
  absl::Status first_error;  // since the last flush
};

class PublishWindow {
 public:
  // How far the newest sequence may run ahead of the oldest unanswered one.
  static constexpr uint64_t kSpanMax = 1'000;
  static_assert(kSpanMax < kProducerWindow);
  // A batch and a frame are full at this many bytes; one larger message stands alone.
  static constexpr uint64_t kBatchBytes = 256u << 10;

  // Where a message goes, and who waits for the answer.
  struct Envelope {
    std::string_view queue;
    std::string_view headers;  // encoded
    bool want_ids = false;
    std::shared_ptr<ProducerState> producer;
  };
  // What the broker allows; from its hello.
  struct Limits {
    uint32_t credit_messages = 0;
    uint64_t credit_bytes = 0;
    uint64_t body_bytes_max = kBodyBytesDefaultMax;
    uint64_t header_bytes_max = kHeaderBytesDefaultMax;
    uint32_t batch_messages_max = kBatchMessagesMax;
  };

  // --- any thread ---

  // Takes a message; `done` is moved from only when this returns OK. Waits for room so long.
  // ERRORS: RESOURCE_EXHAUSTED when there was none; INVALID_ARGUMENT; what Fail was given. BLOCKS.
  absl::Status Add(const Envelope& to, const Message& message, PublishCallback& done,
                   std::chrono::milliseconds room_timeout);

  // Waits until what `producer` has published so far is answered, and takes its first error. BLOCKS.
  absl::Status Flush(const std::shared_ptr<ProducerState>& producer, SteadyTime deadline);

  ProducerCounters CountersOf(const ProducerState& producer);
  // For people: what it holds, and what it waits for.
  std::string Describe();

  // Waits until nothing at all is unanswered; false at the deadline. BLOCKS.
  bool WaitUntilEmpty(SteadyTime deadline);

  // --- session's thread ---

  // A connection is up: everything unanswered is to be sent, in order, under the sequences it has.
  void OnConnected(const Limits& limits);
  void OnDisconnected();
  void SetCredit(uint32_t messages, uint64_t bytes);

  // Puts the next batches into `frame`, up to about kBatchBytes. They are only lent: GiveBack must follow the
  // write.
  void Lend(v1::ClientFrame& frame);
  static void GiveBack(v1::ClientFrame& frame);

  // Runs the callbacks of the sequences it answers for the first time.
  // ERRORS: INVALID_ARGUMENT (PROTOCOL_VIOLATION) when it is about messages never sent.
  absl::Status OnConfirm(const v1::Confirm& confirm);

  // Answers everything with `error`, and whatever is added later.
  void Fail(const absl::Status& error);

 private:
  struct Slot {
    PublishBatch* batch = nullptr;  // null = answered, or never used
    uint32_t index = 0;             // in the batch
    uint64_t bytes = 0;
    std::shared_ptr<ProducerState> producer;
    PublishCallback done;
  };
  // An answer on its way out of the lock.
  struct Answer {
    uint64_t sequence = 0;
    std::shared_ptr<ProducerState> producer;
    PublishCallback done;
    absl::Status error;  // when it was answered with one
  };

  Slot& SlotOf(uint64_t sequence) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return slots_[sequence % kProducerWindow];
  }
  bool HasRoom(uint64_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckMessage(const Envelope& to, const Message& message) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WaitForRoom(uint64_t bytes, std::chrono::milliseconds timeout)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PublishBatch& OpenBatch(const Envelope& to, uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool FitsCredit(uint32_t messages, uint64_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Cuts the batch at `position` in two, so that the first half fits the credit. False: not even one message
  // does.
  bool CutToCredit(size_t position) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Adopt(PublishBatch& batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // points the slots of its messages at it
  void TakeAnswer(uint64_t sequence, std::vector<Answer>& answers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<Answer> TakeTooLarge() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropAnsweredBatches() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MoveOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // after answers were taken: there may be room
  // Counts answers whose callbacks have run, and wakes who waits for them.
  void Finish(const std::vector<Answer>& answers);
  void RunAll(std::vector<Answer>& answers);

  Mutex mutex_;
  CondVar room_;      // a publish may fit now
  CondVar answered_;  // something was answered
  absl::Status failed_ ABSL_GUARDED_BY(mutex_);
  Limits limits_ ABSL_GUARDED_BY(mutex_) = {.credit_messages = kPublishCreditMessages,
                                            .credit_bytes = kPublishCreditBytes};
  bool connected_ ABSL_GUARDED_BY(mutex_) = false;
  std::array<Slot, kProducerWindow> slots_ ABSL_GUARDED_BY(mutex_);
  uint64_t base_ ABSL_GUARDED_BY(mutex_) = 1;      // no sequence below is unanswered
  uint64_t finished_ ABSL_GUARDED_BY(mutex_) = 1;  // and for none below this one a callback still runs
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;      // not yet given
  uint64_t unanswered_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Of those, sent on the present connection.
  uint64_t sent_messages_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t sent_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // In order of sequences; the first sent_batches_ are sent.
  std::deque<std::unique_ptr<PublishBatch>> batches_ ABSL_GUARDED_BY(mutex_);
  size_t sent_batches_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::unique_ptr<PublishBatch>> spare_batches_ ABSL_GUARDED_BY(mutex_);
  int waiting_for_room_ ABSL_GUARDED_BY(mutex_) = 0;
  int waiting_for_answers_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Answer> answers_;  // session's thread: kept for its memory
};

}  // namespace baton::client
