// The engine's inbox: the only way in. Transports post commands, the store posts what it did, anyone may ask
// a question that is answered on the engine's thread.
//
// BOUNDED: commands that make the broker grow (publishes, subscriptions, calls) have so much room, what
// shrinks it (settlements, credit) as much again of its own; what ends something, and the store's events, are
// always taken: sessions, calls and reads are bounded themselves. Publishes that the engine has taken and
// holds back, because the disk is behind, use up the room of others that may have to wait for it too, and of
// nobody else (HoldBack). A refused post stays with its carrier,
// whose bell is rung when half of the room is free. The engine never waits for a client, so room always
// comes.
//
// FAIR: a session, and a client with all its calls, may hold as much as is free, so one alone takes half of
// the room, and some is left for others however many take what they can; and the engine takes of each in
// turns (CommandLines). THREADS: posting from any thread, never blocks; Take, Park and Unpark from the
// engine's thread. Everything is guarded by one leaf mutex, the "parked" flag too, so no wake-up is lost and
// none is sent to a thread that is awake.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/limits.h"
#include "base/time.h"
#include "server/engine/commands.h"
#include "server/engine/engine.h"
#include "server/loop/command_lines.h"
#include "server/loop/parking.h"
#include "server/loop/recipients.h"
#include "storage/store.h"

namespace baton {

class Inbox {
 public:
  struct Options {
    size_t commands_max = kInboxCommandsMax;
    size_t bytes_max = 32u << 20;
    // What is taken at once: messages, tags, tokens; their bodies.
    CommandCost share = {.bytes = 8u << 20, .steps = 4'096};
  };
  using Question = absl::AnyInvocable<void()>;

  // What came since the last Take.
  struct Batch {
    std::vector<Post> posts;
    std::vector<Question> questions;
    std::vector<ReadResult> reads;
    std::optional<DiskState> disk_state;
    std::optional<absl::Status> store_failure;
    bool progressed = false;  // `written`, `synced` are news
    CommitNumber written;
    CommitNumber synced;
    bool refused = false;  // someone waits for room
    bool stop = false;

    bool empty() const {
      return posts.empty() && questions.empty() && reads.empty() && !disk_state && !store_failure &&
             !progressed && !stop;
    }
  };

  // `parking` is where the engine's thread sleeps; it outlives the inbox.
  Inbox(const Options& options, Parking* parking) : options_(options), parking_(parking) {}
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // Posts all of `posts`, in order, and empties it; or nothing, and returns false: keep them, retry when the
  // bell rings.
  [[nodiscard]] bool TryPost(std::vector<Post>& posts);
  // Never refused. For what ends something or gives it back (CloseSession, CancelCall, the release of what
  // could not be delivered, credit): there is no more of it than of sessions, subscriptions and calls.
  // What takes back a call: with its `client`, so that it stays behind the call.
  void PostAlways(Command command, ClientId client = {});

  // So many bytes of publishes wait in the engine: those of sessions that may have to wait for the disk
  // (Publish::to_disk), or the others, are refused while they and what is posted exceed `bytes_max`. (Calls
  // are answered instead.) True: someone who was refused may retry. Engine's thread.
  [[nodiscard]] bool HoldBack(const HeldBack& held_back);

  // Runs `question` on the engine's thread, between turns. Dropped unrun once the engine has stopped.
  void Ask(Question question);

  // True: the engine's thread sleeps. The caller wakes it, or takes the turn in its place.
  [[nodiscard]] bool PostProgress(CommitNumber written, CommitNumber synced);
  void PostRead(ReadResult result);
  void PostDiskState(DiskState state);
  void PostStoreFailure(absl::Status status);
  // The engine's thread finishes what is posted and ends.
  void PostStop();

  // Moves what was posted into `batch`: events and questions always; a share of the posts (with `refused`)
  // only when `batch.posts` is empty; `stop` when no posts are left.
  void Take(Batch& batch);

  // The engine's thread goes to sleep: from now on, until Unpark, whoever posts wakes its parking.
  // False: there is something to take.
  [[nodiscard]] bool Park();
  void Unpark();

  struct Depth {
    size_t commands = 0;
    size_t bytes = 0;
  };
  Depth depth() const;

 private:
  // Changes the pending batch under the lock. True: the engine's thread is parked, and must be woken.
  template <class Change>
  [[nodiscard]] bool AddQuietly(Change&& change);
  // Wakes it, too.
  template <class Change>
  void Add(Change&& change);

  // With the lock held.
  bool HasRoomFor(const std::vector<Post>& posts, Growth growth, CommandLines::Load load) const;
  bool IsHalfFree() const;

  const Options options_;
  Parking* const parking_;

  // Guarded by mutex_.
  mutable std::mutex mutex_;
  CommandLines lines_;
  Batch pending_;  // without posts
  HeldBack held_back_;
  bool parked_ = false;
};

}  // namespace baton
