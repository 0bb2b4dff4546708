#include "server/loop/rate_limited_log.h"

namespace baton {
namespace {

constexpr std::string_view kOthers = "others";

}  // namespace

std::string_view RateLimitedLog::HostOf(std::string_view peer) {
  if (peer.starts_with("unix:")) {
    const size_t user = peer.find("uid=");
    return user == std::string_view::npos ? peer : peer.substr(user);
  }
  return peer.substr(0, peer.rfind(':'));
}

void RateLimitedLog::Note(const Line& line, std::chrono::steady_clock::time_point now) {
  const MutexLock lock(mutex_);
  Key key(line.event, HostOf(line.peer));
  std::string_view peer = line.peer;
  if (told_.size() >= kPeersMax && !told_.contains(key)) Forget(now);
  if (told_.size() >= kPeersMax && !told_.contains(key)) {
    peer = kOthers;
    key.second = kOthers;  // one more entry for each event, of which there are a few
  }
  const auto [entry, first] = told_.try_emplace(std::move(key), Told{.at = now});
  Told& told = entry->second;
  if (!first && now - told.at < kInterval) {
    ++told.held_back;
    return;
  }
  write_({.event = line.event, .peer = peer, .done = line.done, .times = told.held_back + 1});
  told = {.at = now};
}

// Those that have been quiet since their last line; what was held back of a minute ago is said the next time.
void RateLimitedLog::Forget(std::chrono::steady_clock::time_point now) {
  absl::erase_if(told_, [now](const auto& entry) { return now - entry.second.at >= kInterval; });
}

}  // namespace baton
