#include "server/listen/guests.h"

#include <algorithm>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "base/check.h"

namespace baton {

const Guest* Guests::Find(int socket) const {
  const auto found = std::find_if(guests_.begin(), guests_.end(),
                                  [socket](const Guest& guest) { return guest.socket.get() == socket; });
  return found == guests_.end() ? nullptr : &*found;
}

std::string& Guests::SaidBy(int socket) {
  const Guest* const guest = Find(socket);
  BATON_CHECK(guest != nullptr);
  return guests_[static_cast<size_t>(guest - guests_.data())].said;
}

Guest Guests::TakeAt(size_t index) {
  Guest guest = std::move(guests_[index]);
  guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(index));
  return guest;
}

Guest Guests::Take(int socket) {
  const Guest* const guest = Find(socket);
  BATON_CHECK(guest != nullptr);
  return TakeAt(static_cast<size_t>(guest - guests_.data()));
}

std::optional<Guest> Guests::TakeLongestSilent(const Which& which) {
  struct Host {
    size_t guests = 0;
    size_t first = 0;
  };
  absl::flat_hash_map<std::string_view, Host> hosts;
  const Host* most = nullptr;
  for (size_t i = 0; i < guests_.size(); ++i) {
    if (which(guests_[i])) ++hosts.try_emplace(guests_[i].peer.host, Host{.first = i}).first->second.guests;
  }
  for (const auto& [name, host] : hosts) {
    const bool more = most == nullptr || host.guests > most->guests ||
                      (host.guests == most->guests && host.first < most->first);
    if (more) most = &host;
  }
  if (most == nullptr) return std::nullopt;
  return TakeAt(most->first);
}

std::optional<Guest> Guests::TakeOverdue(std::chrono::steady_clock::time_point now) {
  if (guests_.empty() || guests_.front().deadline > now) return std::nullopt;
  return TakeAt(0);
}

std::chrono::steady_clock::time_point Guests::NextDeadline() const {
  return guests_.empty() ? std::chrono::steady_clock::time_point::max() : guests_.front().deadline;
}

}  // namespace baton
