#include "server/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>

#include "base/check.h"

namespace baton {
namespace {

// 512 tables (storage/rocks/rocks_options.cc), logs, manifest.
constexpr size_t kStoreMax = 576;
// Beyond them: connections to gRPC, and what the process has for itself.
constexpr size_t kSpareMax = 64;

rlimit Limit() {
  rlimit limit{};
  BATON_CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  return limit;
}

size_t RoomForClients(size_t limit) { return DescriptorsForClients(limit) - DescriptorsForStore(limit); }

}  // namespace

void RaiseDescriptorLimit() {
  rlimit limit = Limit();
  limit.rlim_cur = limit.rlim_max;
  // allowed to fail: then it is what it was
  [[maybe_unused]] const int raised = setrlimit(RLIMIT_NOFILE, &limit);
}

size_t DescriptorLimit() { return Limit().rlim_cur; }

size_t DescriptorsForStore(size_t limit) { return std::min(kStoreMax, limit / 3); }
size_t DescriptorsForClients(size_t limit) { return limit - std::min(kSpareMax, limit / 8); }
size_t DescriptorsForRings(size_t limit) { return DescriptorsForClients(limit) - RoomForClients(limit) / 4; }
size_t SessionsOverRings(size_t sessions_max, size_t limit) {
  return std::min(sessions_max, (DescriptorsForRings(limit) - DescriptorsForStore(limit)) / 2);
}
size_t ConnectionsPerDoor(size_t limit, size_t doors) { return RoomForClients(limit) / (2 * doors); }

}  // namespace baton
