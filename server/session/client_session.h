// A client's session, whatever carries its frames: hello and goodbye, publish credit, what was refused by a
// full inbox, and the outbox. A carrier reads ClientFrames into it, writes what TakeFrame gives, and ends the
// stream when it says so.
//
//   opening ──Hello──► open ──Goodbye──► leaving ──all answered──► over
//      └───────────────┴─── violation, EndSession, shutdown ──► ending ──go-away taken──► over
//
// THREADS: the SessionRecipient functions belong to the engine's thread and only fill the outbox; everything
// else belongs to the carrier's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "baton/v1/session.pb.h"
#include "server/loop/inbox.h"
#include "server/loop/recipients.h"
#include "server/session/broker_facts.h"
#include "server/session/publish_credit.h"
#include "server/session/session_outbox.h"

namespace baton {

class ClientSession final : public SessionRecipient, public std::enable_shared_from_this<ClientSession> {
 public:
  // Makes the carrier call TakeFrame soon, on its own thread: there is something to write, or the session has
  // ended. Called on the engine's thread; must not block, and must do no harm when the carrier is gone.
  using Wake = std::function<void(SessionId)>;

  // What the carrier does after a frame.
  enum class Reading {
    kNext,     // read the next frame
    kRefused,  // the inbox is full: call Retry when the bell rings, read nothing meanwhile
    kStop,     // read no more; write until TakeFrame says so
  };

  // `facts` outlives the session.
  ClientSession(BrokerFacts* facts, std::string peer, Wake wake);
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;
  ~ClientSession() override;

  // Moves the bodies out of `frame`. `self` owns this session: the engine holds on to it until the session is
  // closed.
  Reading OnFrame(v1::ClientFrame& frame);
  Reading Retry();

  // The next frame to write; false: nothing to write now.
  [[nodiscard]] bool TakeFrame(v1::ServerFrame& frame);
  // Nothing more comes from TakeFrame: end the stream with `end_status`.
  bool IsOver() const { return state_ == State::kOver; }
  const absl::Status& end_status() const { return end_status_; }

  // Too much waits for the client, or of its settlements for an answer, to read any more from it; asked again
  // after each frame written.
  bool IsFull() const { return outbox_.IsFull() || unanswered_tags_ > kSettleTagsMax; }

  // Ends the session for this reason: the client is told to go away.
  void End(const absl::Status& why, Duration retry_after = Duration(0));
  // The client is gone; its leases go back at once. The carrier writes no more. More than once does nothing.
  void Lost();

  SessionId id() const { return id_; }
  bool said_hello() const { return state_ != State::kOpening; }
  bool subscribes() const { return subscription_count_ > 0; }
  void FreeSpareMemory() { outbox_.FreeSpareMemory(); }
  // Now and then: it may have been others that left no room for deliveries.
  void ResumeDeliveries();

  void SessionOpened(uint64_t accepted_sequence) override;
  void Subscribed(SubscriptionId subscription, absl::StatusOr<Duration> lease) override;
  void SubscriptionEnded(SubscriptionId subscription, const absl::Status& why) override;
  void Deliver(const DeliveryView& delivery) override;
  bool TakesDeliveries(size_t bytes) override;
  void Confirm(ConfirmRun run) override;
  void Settled(uint64_t through, std::vector<SettleFailure> failures) override;
  void EndSession(const absl::Status& why) override;
  void Flush() override;

 private:
  enum class State { kOpening, kOpen, kLeaving, kEnding, kOver };

  absl::Status Decode(v1::ClientFrame& frame);
  absl::Status DecodeOpening(const v1::ClientFrame& frame);
  absl::Status DecodeSubscribes(const v1::ClientFrame& frame);
  absl::Status DecodePublishes(v1::ClientFrame& frame);
  absl::Status DecodeSettles(const v1::ClientFrame& frame);
  absl::Status DecodeCredits(const v1::ClientFrame& frame);
  Reading PostPending();
  void BeginLeaving();
  void NoteTaken(const v1::ServerFrame& frame);
  void ForgetSubscription(SubscriptionId subscription);
  void TellOfRoom();
  void CloseIfLeft();
  void NoteEnd(const absl::Status& why);
  void Close();

  // Constant.
  BrokerFacts* const facts_;
  const SessionId id_;
  const std::string peer_;
  const Wake wake_;

  // Any thread.
  SessionOutbox outbox_;

  // Carrier's thread.
  State state_ = State::kOpening;
  bool opened_ = false;        // the engine knows the session: it must be closed
  bool greeted_ = false;       // the client was given HelloReply
  std::vector<Post> pending_;  // decoded, perhaps refused; in order
  PublishCredit credit_;
  bool published_to_disk_ = false;  // among what the client has not been told of
  struct Asked {
    uint32_t times = 0;  // a second time is an error, which the engine answers
    uint32_t credit_messages = 0;
  };
  absl::flat_hash_map<SubscriptionId, Asked> subscriptions_;  // not ended
  size_t subscription_count_ = 0;                             // the sum of `times`
  uint64_t settlements_ = 0;                                  // sent by the client
  uint64_t settled_through_ = 0;                              // answered
  std::deque<size_t> settled_tags_;                           // of each settlement that is not answered
  size_t unanswered_tags_ = 0;                                // their sum
  absl::Status end_status_;
};

}  // namespace baton
