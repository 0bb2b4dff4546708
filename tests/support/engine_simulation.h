// One broker's life from a seed: random commands from two sessions and from calls, commits and reads that
// complete at any later turn, time that jumps to deadlines, clients that die, acks that come twice or late,
// crashes that lose every commit not written, of memory queues nothing or everything, ids that were made up
// or have had their day, rows that cannot be read. Checked against the model at every arrow, every
// confirmation and every turn.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "server/engine/engine.h"
#include "tests/support/broker_model.h"
#include "tests/support/history_digest.h"
#include "tests/support/session_order.h"
#include "tests/support/simulated_store.h"

namespace baton {

class EngineSimulation : private Outputs {
 public:
  struct Options {
    uint64_t seed = 1;
    int steps = 150;
    bool print = false;  // each step, for finding what went wrong
  };

  explicit EngineSimulation(const Options& options);
  ~EngineSimulation() override;

  // Plays the whole life, then lets everything end: every message leaves, and nothing may be left in the
  // store.
  void Run();

  struct Tally {
    uint64_t published = 0;
    uint64_t delivered = 0;
    uint64_t acked = 0;
    uint64_t expired = 0;
    uint64_t dead_lettered = 0;
    uint64_t crashes = 0;
    uint64_t reads = 0;
    uint64_t damaged = 0;         // rows
    uint64_t in_order = 0;        // acks that came after a publish of their session
    uint64_t kept_in_memory = 0;  // messages of memory queues that a crash did not lose
    uint64_t digest = 0;          // of all that was stored and said, in order
  };
  const Tally& tally() const { return tally_; }

 private:
  struct Held {  // a delivery that some client knows of
    SessionId session;
    uint64_t tag = 0;
    LeaseToken token;
    bool settled = false;
  };
  struct Acked {
    uint64_t tag = 0;
    Seq message;
    Durability durability = Durability::kDurable;
  };
  struct Client {
    SessionId session;
    ProducerId producer;
    uint64_t last_sequence = 0;
    std::map<uint64_t, std::pair<std::string, NewMessage>> unconfirmed;  // by sequence
    std::map<uint64_t, size_t> holds;                                    // tag -> index in held_
    uint64_t settlements = 0;
    std::map<uint64_t, std::vector<Acked>> acks;  // by number of settlement, not answered yet
    uint64_t settled_through = 0;
  };

  // Where the queues of a life are.
  enum class Kind { kOnDisk, kInMemory, kBoth };

  // Steps.
  void StartBroker();
  void CreateQueues();
  CreateQueue Creation(const std::string& queue);
  void RecreateQueue();
  void Step();
  void PublishSome();
  void RepublishSome();
  void SubscribeSome();
  void SettleSome();
  void SettleByToken();
  void ReceiveByCall();
  void Reconnect();
  void Administrate();
  void ChangeTtl(const std::string& queue);
  void Crash();
  void PassTime();
  void SetClock();
  void StoreWorks();
  void Turn();
  void CheckCounts();
  void CheckMemory();
  std::string Remains();  // for people
  void CheckRows();
  void EndEverything();
  void LetExpire();

  // What goes wrong.
  MessageId MadeUpId();
  void AskForNonsense();
  void CheckAnswer(CallId call, const absl::StatusOr<Reply>& reply);
  void DamageSome();
  bool IsDamaged(const MessageId& id) const;
  void CheckFailures(SessionId session, const std::vector<SettleFailure>& failures) const;

  bool NothingMoves();
  void OpenClient(Client& client);
  QueueInfo Info(const std::string& queue);
  void CheckPromises(bool power_lost, bool memory_survived) const;
  CommitNumber Done(Durability durability) const;

  // Choices.
  uint64_t Below(uint64_t bound) { return bound == 0 ? 0 : random_() % bound; }
  bool Chance(int percent) { return Below(100) < static_cast<uint64_t>(percent); }
  Client& AnyClient() { return clients_[Below(clients_.size())]; }
  std::string AnyQueue();
  NewMessage AnyMessage();
  static SubscriptionId SubscriptionOf(size_t queue) { return SubscriptionId(queue + 1); }
  CallId NextCall() { return CallId(++last_call_); }
  void Send(Command command);

  // Outputs.
  void SessionOpened(SessionId session, uint64_t accepted_sequence) override;
  void Subscribed(SessionId session, SubscriptionId subscription, absl::StatusOr<Duration> lease) override;
  void SubscriptionEnded(SessionId session, SubscriptionId subscription, absl::Status why) override;
  void Deliver(SessionId session, const DeliveryView& delivery) override;
  void Confirm(SessionId session, ConfirmRun run) override;
  void Settled(SessionId session, uint64_t through, std::vector<SettleFailure> failures) override;
  void EndSession(SessionId session, absl::Status why) override;
  void Answer(CallId call, absl::StatusOr<Reply> reply) override;

  const Options options_;
  std::mt19937_64 random_;
  const Kind kind_;
  const std::vector<std::string> queues_;  // dead-letter queues last
  SimulatedStore store_;
  BrokerModel model_;
  SessionOrder order_{&model_};
  std::unique_ptr<Engine> engine_;
  Instant now_ = InstantFromMicros(1'700'000'000'000'000);
  Instant next_due_ = kNever;
  Epoch epoch_;
  std::vector<Client> clients_;
  std::vector<Held> held_;
  std::map<CallId, QueueInfo> infos_;
  std::map<CallId, EngineStatus> statuses_;
  size_t window_bytes_ = 0;  // of this life
  uint64_t last_session_ = 0;
  uint64_t last_call_ = 0;
  uint64_t last_body_ = 0;
  // What was promised: these must survive a crash, and these must never come back.
  struct Promised {
    Seq message;
    ProducerId producer;
    uint64_t sequence = 0;
    Durability durability = Durability::kDurable;
  };
  std::vector<Promised> confirmed_;
  std::vector<Promised> confirmed_acks_;
  bool may_fall_behind_ = false;  // in this life: then what rewrites waits for the store
  const bool has_damage_;         // in the whole history
  std::set<Seq> damaged_;         // births: of these a row could not be read, once
  std::set<CallId> made_up_;      // calls for messages that there are not
  std::map<CallId, MessageId> asked_;
  bool ending_ = false;
  HistoryDigest digest_;
  Tally tally_;
};

}  // namespace baton
