// RateLimitedLog tells the operator what clients did that the broker did not let pass, and what became of it:
// the first time at once, then one line a minute for each kind and peer, which says how often it was. However
// many peers there are, it keeps only so many apart; the rest share a line a minute for each kind.
//
// THREADS: any; a leaf mutex guards it, and `write` runs under it: it must not call back.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"

namespace baton {

class RateLimitedLog {
 public:
  static constexpr std::chrono::seconds kInterval{60};
  static constexpr size_t kPeersMax = 256;

  struct Line {
    std::string_view event;  // what the peer did; one of a few texts of ours
    std::string_view peer;   // who, as sessions are listed: "ipv4:10.0.0.7:40112", "unix:pid=7,uid=1000"
    std::string_view done;   // what was done about it
    uint64_t times = 1;      // since the line before
  };
  explicit RateLimitedLog(std::function<void(const Line&)> write) : write_(std::move(write)) {}

  // `line.times` is not looked at.
  void Note(const Line& line, std::chrono::steady_clock::time_point now) ABSL_LOCKS_EXCLUDED(mutex_);

  // What stays the same when a peer comes again: its address without the port, its user without the process.
  static std::string_view HostOf(std::string_view peer);

 private:
  struct Told {
    std::chrono::steady_clock::time_point at;
    uint64_t held_back = 0;
  };
  using Key = std::pair<std::string, std::string>;  // event, host

  void Forget(std::chrono::steady_clock::time_point now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::function<void(const Line&)> write_;
  Mutex mutex_;
  absl::flat_hash_map<Key, Told> told_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace baton
