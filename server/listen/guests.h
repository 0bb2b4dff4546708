// Connections on which nothing has been said yet. There is room for some; when it is needed, whoever has been
// silent for longest makes it, among those of the host that has the most: a client speaks as soon as it is
// connected, so that any number of silent ones keep nobody out.
// THREADS: one.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "local/descriptor.h"
#include "server/listen/peer.h"

namespace baton {

struct Guest {
  Descriptor socket;
  Peer peer;
  size_t door = 0;
  std::chrono::steady_clock::time_point deadline;  // to have said hello
  std::string said = {};                           // of it, where it is read in pieces
};

class Guests {
 public:
  using Which = std::function<bool(const Guest&)>;

  void Add(Guest guest) { guests_.push_back(std::move(guest)); }
  const Guest* Find(int socket) const;
  std::string& SaidBy(int socket);  // REQUIRES: it is there
  Guest Take(int socket);           // REQUIRES: it is there
  // Absent: there is none of `which`.
  std::optional<Guest> TakeLongestSilent(const Which& which);
  std::optional<Guest> TakeOverdue(std::chrono::steady_clock::time_point now);
  // When the first is overdue; the end of time when there is none.
  std::chrono::steady_clock::time_point NextDeadline() const;
  size_t size() const { return guests_.size(); }
  const std::vector<Guest>& all() const { return guests_; }
  void Clear() { guests_.clear(); }

 private:
  Guest TakeAt(size_t index);

  std::vector<Guest> guests_;  // in the order they came, which is that of their deadlines
};

}  // namespace baton
