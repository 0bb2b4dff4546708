// Who may take messages of a queue, in the order of their turns: the first one with room for so many bytes is
// found among thousands by a few looks. A tournament: places in a row, and a tree above them that knows the
// best of each half. Whoever leaves leaves a gap, and when the row is full it is closed up.
//
// Pure; owned by the engine's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace baton {

struct Subscription;

class TakerLine {
 public:
  static constexpr size_t kNoPlace = SIZE_MAX;  // Subscription::place
  static constexpr uint64_t kAnySize = UINT64_MAX - 2;
  static constexpr uint64_t kIdle = UINT64_MAX - 1;

  // What a taker has.
  struct Room {
    // That it may take; kAnySize; kIdle: and its session holds nothing, as far as was known.
    uint64_t bytes = 0;
    uint32_t held = 0;  // deliveries that are not settled
  };
  struct Need {
    uint64_t bytes = 0;       // at least
    uint64_t held_below = 0;  // less than
  };

  bool empty() const { return takers_in_line_ == 0; }
  size_t size() const { return takers_in_line_; }

  // At the end. REQUIRES: it is in no line.
  void Join(Subscription* taker, Room room);
  // REQUIRES, of these: it is in this line.
  void Leave(Subscription* taker);
  void SetRoom(const Subscription& taker, Room room);

  // The first one in place `from` or behind it that has what is needed; nullptr: there is none.
  Subscription* Next(size_t from, Need need);

  // Nodes of the tree that were looked at or changed, and places closed up, in its life: what it costs.
  uint64_t steps() const { return steps_; }

 private:
  // Of what is below a node, the best of each; a gap has no room, and holds more than anybody.
  struct Best {
    uint64_t room = 0;  // bytes, and 1 more
    uint64_t held = UINT64_MAX;
    friend bool operator==(const Best&, const Best&) = default;
  };
  void Set(size_t place, Best best);
  Best OfChildren(size_t node) const;
  void CloseUp();

  std::vector<Subscription*> places_;  // a power of two; nullptr: a gap
  std::vector<Best>
      tree_;        // 1 is the root, the children of i are 2i and 2i + 1, the last half are the places
  size_t end_ = 0;  // places from here on were never taken
  size_t takers_in_line_ = 0;
  uint64_t steps_ = 0;
};

}  // namespace baton
