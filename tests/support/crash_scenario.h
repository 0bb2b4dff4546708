// A random story of a broker's clients on a disk that forgets: publishes with priorities, TTLs and delays,
// deliveries, acks, nacks, leases that end, dead-lettering, parking, purges; then a crash, and a drain that
// shows everything there is. What must and may be there is the MessageBook's to say.
//
//   orders  durable, three attempts, then to `dead`        dead  durable, any number of attempts
//   mail    relaxed, two attempts, then parked
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/message_id.h"
#include "server/engine/outputs.h"
#include "tests/support/crash_broker.h"
#include "tests/support/crash_file_system.h"
#include "tests/support/message_book.h"
#include "tests/support/temporary_directory.h"

namespace baton {

class CrashScenario : private Outputs {
 public:
  enum class Crash : uint8_t {
    kPowerLoss,  // what was not synced is lost, in any part
    kKill,       // the process only: what reached a file stays
  };
  CrashScenario(uint64_t seed, Crash crash);
  ~CrashScenario() override;

  CrashFileSystem& disk() { return *disk_; }

  // One life of clients that do `steps` things; ends early when the power goes.
  void Live(int steps);
  // Ends the life, and takes from the disk what the crash takes.
  void CrashNow();
  // A life that settles late, replays what was not confirmed, then shows and consumes everything.
  // False: the power went meanwhile; it is to be done again after the next crash.
  bool Drain();
  // After a drain: the store holds no row of a message.
  void CheckNoRowsLeft();

  // What the broker did wrong, "" when all is well.
  std::string complaint() const { return complaint_ + book_.complaint(); }

  struct Tally {
    uint64_t published = 0;
    uint64_t delivered = 0;
    uint64_t acked = 0;
    uint64_t returned = 0;
    uint64_t given_up = 0;
    uint64_t purges = 0;
    uint64_t duplicates = 0;
    uint64_t late_acks = 0;
    uint64_t drained = 0;
  };
  const Tally& tally() const { return tally_; }

 private:
  struct Held {
    std::string key;
    std::string queue;
    uint32_t attempt = 0;
    LeaseToken token;
    Instant lease_end;
  };
  struct Settling {
    uint64_t turn = 0;
    bool promises = false;  // its answer promises its turn
  };
  struct LateAck {
    std::string key;
    bool again = false;                       // was acked by tag before
    std::optional<uint64_t> first_turn = {};  // then, in this turn, which the answer promises
    bool durable = false;                     // the answer's promise holds for a power loss
  };
  struct Sent {
    std::string queue;
    NewMessage message;
    std::string key;
    uint64_t turn = 0;
  };
  // What a drain saw of one queue.
  struct Drained {
    uint64_t ready = 0;
    uint64_t parked = 0;
    uint64_t bytes = 0;
    uint32_t last_priority = UINT32_MAX;
    Seq last_seq;
  };

  bool Chance(uint64_t percent) { return Below(100) < percent; }
  uint64_t Below(uint64_t bound) { return random_() % bound; }
  bool IsDurable(const std::string& queue) const { return queue != "mail" || crash_ == Crash::kKill; }

  bool StartLife();
  bool CreateQueues();
  void OpenConsumer();
  void Step();
  void PublishSome();
  void SettleOne();
  void AckTwice();
  void Ack(uint64_t tag);
  void GiveBack(uint64_t tag, SettleKind kind);
  void CountReturn(const Held& held, std::optional<Duration> delay, bool rejected);
  void LoseConsumer();
  void Purge();
  void PassTime();
  void SettleLate();
  void Replay();
  bool SetPaused(bool paused);
  bool WakeDelayed();
  bool DrainParked();
  bool TakeParked(const std::string& queue, const MessageInfo& info);
  bool DrainReady();
  void NoteDrained(const std::string& queue, const DeliveryView& delivery);
  void CheckDrained(const std::string& queue, const QueueInfo& counted);

  CallId NextCall() { return CallId(++last_call_); }
  // Sends a call and waits for its answer. nullopt: the power went.
  std::optional<absl::StatusOr<Reply>> Ask(CallId call, Command command);
  std::optional<std::map<std::string, QueueInfo>> Inventory();
  void SendSettle(uint64_t tag, Settlement how, Settling settling);
  void Complain(const std::string& what);

  void SessionOpened(SessionId, uint64_t) override {}
  void Subscribed(SessionId session, SubscriptionId subscription, absl::StatusOr<Duration> lease) override;
  void SubscriptionEnded(SessionId, SubscriptionId, absl::Status) override {}
  void Deliver(SessionId session, const DeliveryView& delivery) override;
  void Confirm(SessionId session, ConfirmRun run) override;
  void Settled(SessionId session, uint64_t through, std::vector<SettleFailure> failures) override;
  void EndSession(SessionId session, absl::Status why) override;
  void Answer(CallId call, absl::StatusOr<Reply> reply) override;
  void AnswerLateAck(const LateAck& ack, const absl::Status& result);

  const Crash crash_;
  TemporaryDirectory directory_;
  std::shared_ptr<CrashFileSystem> disk_;
  std::mt19937_64 random_;
  MessageBook book_;
  std::unique_ptr<CrashBroker> broker_;
  Instant now_ = InstantFromMicros(1'000'000'000'000);
  Instant last_due_;  // of anything delayed
  std::string complaint_;
  Tally tally_;
  std::set<std::string> created_;  // queues whose creation was confirmed

  // The producer, across lives.
  const ProducerId producer_{4711};
  uint64_t last_sequence_ = 0;
  std::map<uint64_t, Sent> unconfirmed_;  // by sequence

  // This life.
  uint64_t last_session_ = 0;
  uint64_t last_call_ = 0;
  SessionId producing_;
  SessionId consuming_;
  std::map<uint64_t, Held> held_;  // by tag
  uint64_t settlements_ = 0;
  uint64_t settled_through_ = 0;
  std::map<uint64_t, Settling> settling_;                           // by settlement
  std::map<CallId, std::optional<absl::StatusOr<Reply>>> answers_;  // asked for
  std::map<CallId, LateAck> late_acks_;
  std::map<CallId, uint64_t> purges_;  // their turns
  std::vector<Held> left_behind_;      // held when the last life ended
  bool draining_ = false;
  std::map<std::string, Drained> drained_;
};

}  // namespace baton
