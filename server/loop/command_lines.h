// Commands that wait for the engine: a line for each session, and one for the calls of each connection. Lines
// take turns by what their commands cost (deficit round robin), so that a session waits for its own commands,
// and for a share of the others'. What a session says is handled in the order in which it said it. THREADS:
// not synchronised; the inbox's mutex.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/ids.h"
#include "server/engine/commands.h"
#include "server/loop/recipients.h"

namespace baton {

// A command and who hears of it: the session with OpenSession, the call with a command that has a call id.
struct Post {
  Command command;
  Recipient recipient = {};
  ClientId client = {};  // of a call: who is charged for it
};

// What a command costs to hold and to handle: bytes it owns, and messages, tags or tokens it names (at least
// 1).
struct CommandCost {
  size_t bytes = 0;
  size_t steps = 0;
};
CommandCost CostOf(const Command& command);

// A growing command leaves something behind in the broker that was not there before; the others have room of
// their own.
enum class Growth : uint8_t { kGrows, kShrinks };
Growth GrowthOf(const Command& command);

class CommandLines {
 public:
  // What a line may take more than the others, each time that it comes to it: about as many microseconds of
  // work.
  static constexpr size_t kQuantum = 64;

  struct Load {
    size_t commands = 0;
    size_t bytes = 0;
  };

  // At the end of its session's line. `growth` decides whose room it takes: that of the frame which it came
  // with.
  void Add(Post post, Growth growth);
  // Moves what comes next to the end of `posts`, until it comes to about `share`. A long settlement is cut
  // into parts.
  void Take(CommandCost share, std::vector<Post>& posts);

  bool empty() const { return ready_.empty(); }
  size_t lines() const { return lines_.size(); }
  const Load& total(Growth growth) const { return total_[static_cast<size_t>(growth)]; }
  // Of the line that `post` would join.
  Load OfLine(const Post& post, Growth growth) const;

 private:
  struct Waiting {
    Post post;
    CommandCost cost;
    Growth growth = Growth::kGrows;
    size_t cut = 0;  // of a settlement: so many ranges are in parts that were taken
  };
  struct LineKey {
    SessionId session;  // none: calls
    ClientId client;
    friend bool operator==(const LineKey&, const LineKey&) = default;
    template <class H>
    friend H AbslHashValue(H h, const LineKey& key) {
      return H::combine(std::move(h), key.session, key.client);
    }
  };
  struct Line {
    LineKey key;
    std::vector<Waiting> waiting;
    size_t next = 0;     // of `waiting`: those before it are taken
    size_t deficit = 0;  // units that it may take and has not
    bool has_turn = false;
    Load load[2];

    bool empty() const { return next == waiting.size(); }
    void ForgetTaken();
  };

  static LineKey KeyOf(const Post& post);
  // False: what is next costs more than the line may take now.
  bool TakeOne(Line& line, CommandCost& spent, std::vector<Post>& posts);
  void TakePart(Line& line, Waiting& waiting, CommandCost& spent, std::vector<Post>& posts);
  void NoteTaken(Line& line, const Waiting& taken);
  void Leave(Line& line);

  absl::flat_hash_map<LineKey, std::unique_ptr<Line>> lines_;
  std::deque<Line*> ready_;  // those that are not empty, in the order of their turns
  Load total_[2];
};

}  // namespace baton
