// Which queues are in memory, for who reads frames: what is published to them waits for no disk.
//
// Told by the engine's thread; asked from any. What is told of a queue that was just created or deleted may
// be late by as much as the asker was early.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

namespace baton {

class MemoryQueueNames {
 public:
  void Add(std::string_view name) {
    const std::lock_guard lock(mutex_);
    names_.emplace(name);
    any_.store(true, std::memory_order_relaxed);
  }
  void Remove(std::string_view name) {
    const std::lock_guard lock(mutex_);
    names_.erase(std::string(name));
    any_.store(!names_.empty(), std::memory_order_relaxed);
  }
  bool Contains(std::string_view name) const {
    if (!any_.load(std::memory_order_relaxed)) return false;
    const std::lock_guard lock(mutex_);
    return names_.contains(name);
  }

 private:
  std::atomic<bool> any_{false};
  mutable std::mutex mutex_;
  std::set<std::string, std::less<>> names_;  // guarded by mutex_
};

}  // namespace baton
