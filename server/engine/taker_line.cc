#include "server/engine/taker_line.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "server/engine/queue.h"

namespace baton {
namespace {

constexpr size_t kPlacesMin = 2;

}  // namespace

TakerLine::Best TakerLine::OfChildren(size_t node) const {
  const Best& left = tree_[2 * node];
  const Best& right = tree_[2 * node + 1];
  return {.room = std::max(left.room, right.room), .held = std::min(left.held, right.held)};
}

void TakerLine::Set(size_t place, Best best) {
  size_t node = places_.size() + place;
  while (tree_[node] != best) {
    ++steps_;
    tree_[node] = best;
    node /= 2;
    if (node == 0) break;
    best = OfChildren(node);
  }
}

void TakerLine::Join(Subscription* taker, Room room) {
  BATON_CHECK_EQ(taker->place, kNoPlace);
  if (end_ == places_.size()) CloseUp();
  taker->place = end_++;
  places_[taker->place] = taker;
  ++takers_in_line_;
  SetRoom(*taker, room);
}

void TakerLine::Leave(Subscription* taker) {
  BATON_CHECK(taker->place < end_ && places_[taker->place] == taker);
  places_[taker->place] = nullptr;
  Set(taker->place, {});
  taker->place = kNoPlace;
  if (--takers_in_line_ == 0) end_ = 0;
}

void TakerLine::SetRoom(const Subscription& taker, Room room) {
  BATON_CHECK(taker.place < end_ && places_[taker.place] == &taker);
  Set(taker.place, {.room = room.bytes + 1, .held = room.held});
}

// Twice as many places as takers: so many may join before it is done again.
void TakerLine::CloseUp() {
  std::vector<Subscription*> takers;
  std::vector<Best> bests;
  takers.reserve(takers_in_line_);
  bests.reserve(takers_in_line_);
  for (size_t place = 0; place < end_; ++place) {
    if (places_[place] == nullptr) continue;
    takers.push_back(places_[place]);
    bests.push_back(tree_[places_.size() + place]);
  }
  const size_t count = std::bit_ceil(std::max(kPlacesMin, 2 * takers.size()));
  steps_ += end_ + count;
  places_.assign(count, nullptr);
  tree_.assign(2 * count, {});
  for (end_ = 0; end_ < takers.size(); ++end_) {
    takers[end_]->place = end_;
    places_[end_] = takers[end_];
    tree_[count + end_] = bests[end_];
  }
  for (size_t node = count - 1; node > 0; --node) tree_[node] = OfChildren(node);
}

// Down wherever the best of a node would do, though it may be of two; else to the right of it.
Subscription* TakerLine::Next(size_t from, Need need) {
  if (from >= end_) return nullptr;
  size_t node = places_.size() + from;
  while (true) {
    ++steps_;
    if (tree_[node].room > need.bytes && tree_[node].held < need.held_below) {
      if (node >= places_.size()) return places_[node - places_.size()];
      node *= 2;
      continue;
    }
    while (node % 2 == 1) node /= 2;  // a right child, or the root: all of it is passed
    if (node == 0) return nullptr;
    ++node;
  }
}

}  // namespace baton
