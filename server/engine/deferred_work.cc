#include "server/engine/deferred_work.h"

#include <utility>

#include "base/check.h"

namespace baton {

DeferredWork::Lane& DeferredWork::LaneOf(const LaneKey& key) {
  const auto [lane, fresh] = lanes_.try_emplace(key);
  if (fresh) rings_[static_cast<size_t>(key.cost)].push_back(key);
  return lane->second;
}

void DeferredWork::Add(const Asker& asker, QueueId queue, Cost cost, Work work) {
  LaneOf({.asker = asker, .queue = queue, .cost = cost}).push_back(std::move(work));
  ++sizes_[static_cast<size_t>(cost)];
}

DeferredWork::Lanes::iterator DeferredWork::Erase(Lanes::iterator lane) {
  sizes_[static_cast<size_t>(lane->first.cost)] -= lane->second.size();
  return lanes_.erase(lane);
}

bool DeferredWork::Forget(const Asker& asker) {
  const size_t before = size();
  for (auto lane = lanes_.lower_bound({.asker = asker, .queue = {}, .cost = Cost::kNothing});
       lane != lanes_.end() && lane->first.asker == asker;)
    lane = Erase(lane);
  return size() < before;
}

size_t DeferredWork::size(const Asker& asker) const {
  size_t size = 0;
  for (auto lane = lanes_.lower_bound({.asker = asker, .queue = {}, .cost = Cost::kNothing});
       lane != lanes_.end() && lane->first.asker == asker; ++lane)
    size += lane->second.size();
  return size;
}

void DeferredWork::Free(QueueId queue) {
  for (auto lane = lanes_.begin(); lane != lanes_.end();) {
    if (lane->first.queue != queue || lane->first.cost == Cost::kNothing) {
      ++lane;
      continue;
    }
    const Asker asker = lane->first.asker;
    Lane work = std::exchange(lane->second, {});
    sizes_[static_cast<size_t>(lane->first.cost)] -= work.size();
    lane = lanes_.erase(lane);
    for (Work& each : work) Add(asker, queue, Cost::kNothing, std::move(each));
  }
}

void DeferredWork::RunNext(Cost cost, Instant now) {
  auto& ring = rings_[static_cast<size_t>(cost)];
  auto lane = lanes_.end();
  while (lane == lanes_.end()) {
    BATON_CHECK(!ring.empty());
    lane = lanes_.find(ring.front());
    if (lane == lanes_.end()) ring.pop_front();
  }
  const LaneKey key = ring.front();
  ring.pop_front();
  Work work = std::move(lane->second.front());
  lane->second.pop_front();
  --sizes_[static_cast<size_t>(cost)];
  if (lane->second.empty()) {
    lanes_.erase(lane);
  } else {
    ring.push_back(key);
  }
  if (work(now)) return;
  LaneOf(key).push_front(std::move(work));
  ++sizes_[static_cast<size_t>(cost)];
}

}  // namespace baton
