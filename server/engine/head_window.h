// The resident head of rows that lie in order on disk. Every row below the boundary is in memory; from the
// boundary on, rows are only on disk. One mechanism for three schedules: ready messages, delayed messages,
// expiry hints.
//
//     resident                     only on disk
//   ┌───────────────────────────┐┌──────────────────────────────────────────────▶
//   k1 k2 k3 …                   boundary        (kMax: nothing is only on disk)
//
// A read is a proposal. While one is in flight the window remembers the first key from the boundary on that
// was put, and every one that was removed. On completion rows are taken in order up to the first key put
// since (its row may be missing or stale in what was read; the boundary stops there and the next read finds
// it), leaving out the ones removed since. Without this a message published during the read would be
// stranded, or one acked during it come back.
//
// Pure; owned by the engine's thread. The entries' owner is somebody else. What an entry takes of memory
// (`SizeOf`) does not change while it is in the window.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "base/check.h"

namespace baton {

// What an entry takes that owns nothing.
struct SizeOfValue {
  template <class Entry>
  size_t operator()(const Entry&) const {
    return 2 * sizeof(Entry);
  }
};

template <class Key, class Entry, class SizeOf = SizeOfValue>
class HeadWindow {
 public:
  using Map = absl::btree_map<Key, Entry>;
  using iterator = typename Map::iterator;

  // `max` is above every key there can be.
  explicit HeadWindow(const Key& max) : max_(max), boundary_(max) {}

  bool Covers(const Key& key) const { return key < boundary_; }
  bool all_resident() const { return boundary_ == max_; }
  const Key& boundary() const { return boundary_; }
  bool reading() const { return flight_.has_value(); }

  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  size_t bytes() const { return bytes_; }
  iterator begin() { return entries_.begin(); }
  iterator end() { return entries_.end(); }
  iterator lower_bound(const Key& key) { return entries_.lower_bound(key); }
  iterator find(const Key& key) { return entries_.find(key); }

  // REQUIRES: Covers(key), and key is not in the window.
  void Insert(const Key& key, Entry entry) {
    BATON_CHECK(Covers(key));
    const size_t before = entries_.size();
    bytes_ += SizeOf()(entry);
    entries_.emplace_hint(entries_.end(), key, std::move(entry));  // the common case: behind all others
    BATON_CHECK_EQ(entries_.size(), before + 1);
  }
  // False when the key is not resident.
  bool Erase(const Key& key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return false;
    Erase(found);
    return true;
  }
  void Erase(iterator at) {
    bytes_ -= SizeOf()(at->second);
    entries_.erase(at);
  }

  // A row from the boundary on was put (or became one that is not resident) / removed. Cheap when no read is
  // in flight; rows below the boundary need no call.
  void NotePut(const Key& key) {
    if (!flight_.has_value() || Covers(key)) return;
    if (!flight_->first_put.has_value() || key < *flight_->first_put) flight_->first_put = key;
  }
  void NoteRemoved(const Key& key) {
    if (flight_.has_value() && !Covers(key)) flight_->removed.insert(key);
  }

  // Everything from `key` on is given up: the caller has taken those entries out.
  // What is in flight starts too late and is void.
  void LowerBoundary(const Key& key) {
    BATON_CHECK(key < boundary_);
    BATON_CHECK(entries_.empty() || entries_.rbegin()->first < key);
    boundary_ = key;
    flight_.reset();
  }
  // Nothing is on disk from the boundary on. REQUIRES: no read is in flight.
  void SetAllResident() {
    BATON_CHECK(!reading());
    boundary_ = max_;
  }
  // After a restart: nothing is resident. Forgets what is in flight.
  void StartAt(const Key& boundary) {
    BATON_CHECK(entries_.empty());
    boundary_ = boundary;
    flight_.reset();
  }

  // A read of rows from the boundary on begins. The number tells its completion from that of a void one.
  // REQUIRES: !reading().
  uint64_t BeginRead() {
    BATON_CHECK(!reading());
    flight_.emplace();
    return ++flights_;
  }
  bool InFlight(uint64_t flight) const { return reading() && flight == flights_; }

  // The read failed: as if it had not begun. REQUIRES: InFlight(the read's number).
  void AbandonRead() {
    BATON_CHECK(reading());
    flight_.reset();
  }

  // Which of the rows read, in key order, enter now: fills `taken` with their indices and moves the boundary.
  // `keys` are those of the rows; `end_reached`: there was no further row. `is_elsewhere(key)`: the row's
  // message is in memory already (leased). REQUIRES: InFlight(the read's number).
  template <class IsElsewhere>
  std::vector<size_t> FinishRead(const std::vector<Key>& keys, bool end_reached, IsElsewhere&& is_elsewhere) {
    BATON_CHECK(reading());
    const Flight changes = std::move(*flight_);
    flight_.reset();
    // Up to where this read tells the truth: the first key put since, or the last row read (that one
    // included).
    Key limit = max_;
    if (!end_reached) {
      BATON_CHECK(!keys.empty());
      limit = Successor(keys.back());
    }
    if (changes.first_put.has_value() && *changes.first_put < limit) limit = *changes.first_put;
    std::vector<size_t> taken;
    for (size_t i = 0; i < keys.size(); ++i) {
      const Key& key = keys[i];
      BATON_CHECK(!(key < boundary_)) << "a row below the boundary was read";
      if (!(key < limit)) break;
      if (changes.removed.contains(key) || is_elsewhere(key)) continue;
      taken.push_back(i);
    }
    boundary_ = limit;
    return taken;
  }

 private:
  // What happened from the boundary on while a read is in flight.
  struct Flight {
    std::optional<Key> first_put;
    absl::btree_set<Key> removed;
  };

  const Key max_;
  Map entries_;
  size_t bytes_ = 0;
  Key boundary_;
  std::optional<Flight> flight_;
  uint64_t flights_ = 0;
};

}  // namespace baton
