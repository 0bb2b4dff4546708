// The engine decides. It owns every queue, lease, schedule and session of the broker, and it is a pure state
// machine: (state, event, now) -> effects. It never reads a clock, touches a disk or a socket, or waits.
//
// A turn: any number of events, then EndTurn, which delivers what can be delivered and gives back one commit,
// the reads to start, and the time by which the next turn is due. The owner submits the commit first, then
// starts the reads.
//
// THREADS: one owner. ERRORS: through Outputs; the engine itself cannot fail.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/ids.h"
#include "base/time.h"
#include "server/engine/commands.h"
#include "server/engine/outputs.h"
#include "storage/format/commit.h"
#include "storage/format/keys.h"
#include "storage/store.h"

namespace baton {

struct EngineOptions {
  Epoch epoch;                      // this life's; higher than every earlier one
  size_t window_bytes = 64u << 20;  // resident messages of all queues, overhead included
  // Of these, leased. Above it a session gets one message at a time, and a Receive call none.
  size_t leased_bytes_max = 32u << 20;
  size_t chunk_rows = 4'096;  // of one read-ahead
  size_t chunk_bytes = 2u << 20;
  size_t uncommitted_bytes_max = kUncommittedBytesMax;  // handed over, not yet written; then publishes wait
  size_t purge_share = 4'096;                           // messages; a purge of more is done in shares
  size_t turn_commit_bytes = 16u << 20;                 // then what rewrites bodies waits for the next turn
  size_t unsettled_bytes_max = 32u << 20;               // deliveries of sessions that are not settled
  size_t producers_bytes_max = 32u << 20;               // then somebody's producer is forgotten for a new one
  // Asks the store for more room, for a turn's commit with so many bytes in memory and a message of so many
  // (Store::MakeMemoryRoom), and says what there is then. Absent: there is no shared memory.
  std::function<absl::Status(size_t bytes, size_t message_bytes, MemoryRoom& room)> make_memory_room = {};
  std::function<MemoryUse()> memory_use = {};  // Store::memory_use; absent likewise
  // Told of each memory queue that there is, and of each that goes. Optional.
  std::function<void(std::string_view name)> on_memory_queue = {};
  std::function<void(std::string_view name)> on_memory_queue_gone = {};
  // What the next life should know of this one's time; may be absent.
  std::function<std::string()> clock_row = {};
};

// What is published and waits in the engine, in bytes.
struct HeldBack {
  size_t for_disk = 0;    // until it has caught up
  size_t for_memory = 0;  // until a memory queue has dropped as much, or is purged
  friend bool operator==(const HeldBack&, const HeldBack&) = default;
};

// Sees each arrow of a message's life as it is taken, for tests. Optional.
class LifeCycleObserver;

class Engine {
 public:
  // `outputs` (and `observer`) outlive the engine.
  Engine(const EngineOptions& options, Outputs* outputs, LifeCycleObserver* observer = nullptr);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  // Once, before Start: takes what it has to know, by `scan`, which visits every row of a kind. O(queues +
  // producers). ERRORS: of `scan`; DATA_LOSS for a row that cannot be understood.
  using Visit = std::function<absl::Status(std::string_view key, std::string_view value)>;
  absl::Status Load(const std::function<absl::Status(RowKind kind, const Visit& visit)>& scan);
  void Start(Instant now);

  void Handle(Command command, Instant now);
  // The turn's commit was submitted: what it promises by that (Promise::kApplied) is answered.
  // True: another turn has something to deliver.
  bool OnHandedOver(CommitNumber number);
  void OnProgress(CommitNumber written, CommitNumber synced, Instant now);
  void OnRead(ReadResult result, Instant now);
  void OnDiskState(DiskState state);
  // `now` is by so much more than it was a moment ago, or less: a clock was set. Leases and waits keep their
  // length, and so do the TTLs and delays that this life has given; those of earlier lives hold by the new
  // time.
  void OnClockMoved(Duration by, Instant now);
  // What the turn's commit may hold for memory queues: after each commit, and now and then.
  // True: another turn may go on with what was put off.
  bool OnMemoryRoom(const MemoryRoom& room);

  struct Turn {
    CommitNumber number;  // none = nothing to commit
    Commit commit;
    Promise promise = Promise::kApplied;
    std::vector<ReadRequest> reads;
    // The owner lets in no more of sessions for the one or the other when there is too much.
    HeldBack held_back;
    std::vector<std::string> damage;    // what could not be read of the store: for the log
    std::vector<std::string> warnings;  // likewise, of what an operator should know
    Instant next_due = kNever;          // call EndTurn again by then, or when something happened
    absl::Status failure;  // rows and ledger disagree: end the process like after a failed commit
  };
  Turn EndTurn(Instant now);
  // Its commit is large enough: what else there is to handle is better left for the next one.
  bool TurnIsFull() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace baton
