// Which window gives up memory next, found without a look at every queue: the windows filed by how dear they
// are and by the power of two of their bytes. A victim is one of the cheapest kind, and the largest of them
// but for a factor of two.
//
// Pure; owned by the engine's thread. In order of queue numbers, so that a history has the same end each
// time.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/container/btree_set.h"
#include "base/check.h"
#include "base/ids.h"

namespace baton {

// Where a window is filed; kept beside the window.
struct EvictionPlace {
  int16_t drawer = -1;  // none
};

class EvictionIndex {
 public:
  // Cheapest first.
  enum class Cost : uint8_t { kUnused, kUsed };
  enum class Part : uint8_t { kReady, kDelayed };
  using Window = std::pair<QueueId, Part>;

  // Files a window of so many bytes anew; an empty one is in no drawer. Cheap when it stays where it is.
  void File(Window window, Cost cost, size_t bytes, EvictionPlace& place) {
    const int drawer = bytes == 0 ? -1 : static_cast<int>(cost) * kSizes + std::bit_width(bytes) - 1;
    if (drawer == place.drawer) return;
    if (place.drawer >= 0) {
      BATON_CHECK_EQ(drawers_[static_cast<size_t>(place.drawer)].erase(window), 1u);
    }
    if (drawer >= 0) drawers_[static_cast<size_t>(drawer)].insert(window);
    place.drawer = static_cast<int16_t>(drawer);
  }
  void Remove(Window window, EvictionPlace& place) { File(window, Cost::kUnused, 0, place); }

  // The next to give something up; none when all are empty.
  std::optional<std::pair<Window, Cost>> Next() const {
    for (const Cost cost : {Cost::kUnused, Cost::kUsed}) {
      for (int size = kSizes - 1; size >= 0; --size) {
        const auto& drawer = drawers_[static_cast<size_t>(static_cast<int>(cost) * kSizes + size)];
        if (!drawer.empty()) return std::pair(*drawer.begin(), cost);
      }
    }
    return std::nullopt;
  }

 private:
  static constexpr int kSizes = 64;
  std::array<absl::btree_set<Window>, 2 * static_cast<size_t>(kSizes)> drawers_;
};

}  // namespace baton
