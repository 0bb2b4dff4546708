// A broker in a test: the real engine over a store in memory. By default everything completes at once: a
// command is handled, its commit is synced, its reads are answered, until nothing moves any more. A test can
// hold the store's work back (Hold) and let it go (LetGo), let time pass, and kill the process.
//
// Time passes as in the broker: at each moment the engine asked to be called, and at the end of the step.
// What a test does not expect is a failed CHECK: an answer that does not come, an engine that would spin.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/engine.h"
#include "server/engine/message.h"
#include "tests/support/fake_store.h"

namespace baton {

// A delivery as its consumer sees it, whether it came by a session or by a call.
struct Delivery {
  LeaseToken token;  // holds the id and the attempt
  uint32_t attempt = 1;
  uint64_t tag = 0;  // sessions only
  SubscriptionId subscription;
  uint32_t priority = 0;
  bool redelivered = false;
  Instant published;
  Instant lease_end;
  ProducerId producer;
  uint64_t sequence = 0;
  std::string headers;
  std::string body;
};

// What a session has been told.
struct SessionLog {
  uint64_t accepted_sequence = 0;
  std::vector<Delivery> deliveries;
  std::vector<ConfirmRun> confirms;
  uint64_t settled_through = 0;
  std::vector<SettleFailure> settle_failures;
  std::map<SubscriptionId, absl::StatusOr<Duration>> subscribed;
  std::map<SubscriptionId, absl::Status> ended;
  std::optional<absl::Status> end;
};

struct PublishOptions {
  uint32_t priority = 0;
  Duration ttl{0};
  Duration delay{0};
  std::string headers = {};
  ProducerId producer = {};
  uint64_t sequence = 0;  // of the producer; 0 = none
};
struct ReceiveOptions {
  uint32_t messages_max = 1;
  uint64_t bytes_max = 1u << 30;
  Duration wait{0};
  Duration lease{0};
};
struct SubscribeOptions {
  Duration lease{0};
  uint32_t credit_messages = 10;
  uint64_t credit_bytes = kCreditBytesDefault;
};

struct EngineFixtureOptions {
  size_t window_messages = 0;  // small ones that fit in memory; 0 = more than any test has
  size_t window_bytes = 0;     // instead, for large ones
  size_t leased_messages = 0;  // small ones that may be leased at a time; 0 = more than any test has
  size_t chunk_rows = 4'096;
  size_t uncommitted_bytes_max = kUncommittedBytesMax;
  size_t purge_share = 4'096;
  size_t turn_commit_bytes = 16u << 20;
  size_t unsettled = 0;  // deliveries of sessions that may be unsettled; 0 = more than any test has
};

class EngineFixture : private Outputs {
 public:
  // With a queue "orders".
  explicit EngineFixture(const QueueConfigPatch& orders = {}, const EngineFixtureOptions& options = {});
  EngineFixture(const EngineFixture&) = delete;
  EngineFixture& operator=(const EngineFixture&) = delete;
  ~EngineFixture() override;

  // ---- Queues.
  absl::Status Create(const std::string& queue, const QueueConfigPatch& config = {});
  absl::Status Update(const std::string& queue, const QueueConfigPatch& config);
  void Pause(const std::string& queue);
  void Resume(const std::string& queue);
  uint64_t Purge(const std::string& queue);   // how many messages went
  uint64_t Delete(const std::string& queue);  // how many messages went with it
  QueueInfo Queue(const std::string& queue);
  EngineStatus Status();

  // ---- Messages, by calls.
  MessageId Publish(const std::string& queue, const std::string& body, const PublishOptions& options = {});
  // The one that a test expects to fail.
  PublishResult TryPublish(const std::string& queue, const std::string& body,
                           const PublishOptions& options = {});
  void PublishMany(const std::string& queue, int count, const PublishOptions& options = {});  // "0", "1", …
  std::optional<Delivery> Receive(const std::string& queue, Duration lease = Duration(0));
  std::vector<Delivery> ReceiveMany(const std::string& queue, const ReceiveOptions& options);
  // Receives and acks until there is nothing; the bodies.
  std::vector<std::string> Drain(const std::string& queue);

  absl::Status Ack(const Delivery& delivery);
  absl::Status Nack(const Delivery& delivery, std::optional<Duration> delay = std::nullopt,
                    const std::string& reason = "");
  absl::Status Release(const Delivery& delivery);
  absl::Status Extend(const Delivery& delivery, Duration lease);
  absl::Status DeadLetter(const Delivery& delivery, const std::string& reason = "");
  absl::Status Settle(const LeaseToken& token, const Settlement& settlement);

  absl::StatusOr<MessageInfo> Get(const MessageId& id);
  absl::Status DeleteMessage(const MessageId& id);
  MessagePage List(const std::string& queue, MessageState state, size_t limit = 100,
                   const std::optional<MessageKeyParts>& after = {});

  // ---- Sessions.
  SessionId Connect(ProducerId producer = {});
  void Disconnect(SessionId session);
  SubscriptionId Subscribe(SessionId session, const std::string& queue, const SubscribeOptions& options = {});
  // Sequences first, first + 1, … of the session's producer.
  void PublishBatch(SessionId session, const std::string& queue, uint64_t first_sequence,
                    const std::vector<std::string>& bodies);
  // Deliveries since the last call.
  std::vector<Delivery> Take(SessionId session);
  // Returns the settlement's number.
  uint64_t SettleTags(SessionId session, std::vector<TagRange> tags, const Settlement& settlement = {});
  // Bytes of the largest commit so far.
  size_t largest_commit() const { return largest_commit_; }
  const HeldBack& held_back() const { return held_back_; }  // after the last turn
  const SessionLog& Log(SessionId session) const { return sessions_.at(session); }

  // ---- Commands as such: for calls whose answer comes later. Start gives the call's id.
  template <class C>
  CallId Start(C command) {
    command.call = NextCall();
    const CallId call = command.call;
    Send(std::move(command));
    return call;
  }
  void Send(Command command);
  bool IsAnswered(CallId call) const { return answers_.contains(call); }
  absl::StatusOr<Reply> TakeAnswer(CallId call);
  template <class Wanted, class C>
  absl::StatusOr<Wanted> Ask(C command) {
    auto reply = TakeAnswer(Start(std::move(command)));
    if (!reply.ok()) return reply.status();
    return std::get<Wanted>(*std::move(reply));
  }

  // ---- Time and the store.
  Instant now() const { return now_; }
  void Advance(Duration duration);
  // Broker time follows a wall clock that was set.
  void StepClock(Duration by);
  // What the store does not do until LetGo.
  enum class Work {
    kWrites,
    kSyncs,
    kReads,    // not even look
    kAnswers,  // reads look at once, and what they saw arrives later
  };
  void Hold(Work work);
  void LetGo(Work work);
  void SetDisk(DiskState disk);
  // What a commit may hold for memory queues, from now on; at first as much as it wants. True: the engine
  // asks for another turn.
  bool SetMemoryRoom(const MemoryRoom& room);
  // The process is killed: what was not written is lost. Another begins, `downtime` later.
  void Restart(Duration downtime = Duration(0));
  // As Restart, on a store with these rows too: those of an earlier version.
  void RestartWith(const std::function<void(Commit&)>& add_rows);
  // As Restart, and what was not synced is lost too.
  void LosePower();

  const FakeStore& store() const { return store_; }
  FakeStore& store() { return store_; }
  // What the engine said of the store's damage.
  const std::vector<std::string>& damage() const { return damage_; }
  // What it would have the log say.
  const std::vector<std::string>& warnings() const { return warnings_; }
  Epoch epoch() const { return epoch_; }
  uint64_t rows_loaded() const { return rows_loaded_; }      // by the last start
  uint64_t rows_read() const { return rows_read_; }          // by reads, since the last start
  uint64_t reads_started() const { return reads_started_; }  // since the last start
  Instant next_due() const { return next_due_; }

 private:
  static constexpr MemoryRoom kPlenty{
      .grow = SIZE_MAX, .rewrite = SIZE_MAX, .remove = SIZE_MAX, .largest = SIZE_MAX};
  void StartEngine();
  // Turns of the engine and of the store, until nothing moves.
  void ComeToRest();
  bool Move();
  CallId NextCall() { return CallId(++last_call_); }

  void SessionOpened(SessionId session, uint64_t accepted_sequence) override;
  void Subscribed(SessionId session, SubscriptionId subscription, absl::StatusOr<Duration> lease) override;
  void SubscriptionEnded(SessionId session, SubscriptionId subscription, absl::Status why) override;
  void Deliver(SessionId session, const DeliveryView& delivery) override;
  void Confirm(SessionId session, ConfirmRun run) override;
  void Settled(SessionId session, uint64_t through, std::vector<SettleFailure> failures) override;
  void EndSession(SessionId session, absl::Status why) override;
  void Answer(CallId call, absl::StatusOr<Reply> reply) override;

  MemoryRoom memory_room_ = kPlenty;
  const EngineFixtureOptions options_;
  FakeStore store_;
  std::unique_ptr<Engine> engine_;
  Epoch epoch_;
  Instant now_ = InstantFromMicros(1'700'000'000'000'000);
  size_t largest_commit_ = 0;
  HeldBack held_back_;
  std::vector<std::string> damage_;
  std::vector<std::string> warnings_;
  Instant next_due_ = kNever;
  CommitNumber reported_written_;
  CommitNumber reported_synced_;
  std::set<Work> held_;
  uint64_t last_call_ = 0;
  uint64_t last_session_ = 0;
  uint64_t last_subscription_ = 0;
  uint64_t rows_loaded_ = 0;
  uint64_t rows_read_ = 0;
  uint64_t reads_started_ = 0;
  std::map<SessionId, SessionLog> sessions_;
  std::map<SessionId, uint64_t> settlements_;
  std::map<CallId, absl::StatusOr<Reply>> answers_;
};

// Bodies, for comparing.
std::vector<std::string> BodiesOf(const std::vector<Delivery>& deliveries);
std::vector<std::string> BodiesOf(const MessagePage& page);

}  // namespace baton
