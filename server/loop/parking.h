// Where the engine's thread sleeps: until somebody wakes it, a watched descriptor has something to say, or
// time is up. THREADS: Wait from the one that sleeps; Wake from any; Watch and Unwatch from whoever takes the
// engine's turn, also meanwhile.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "base/time.h"
#include "local/descriptor.h"

namespace baton {

class Parking {
 public:
  Parking();

  void Wake();

  // `tag` is given back when `fd` can be read, or is closed; again each time until it has been read.
  // ERRORS: RESOURCE_EXHAUSTED when the system can watch no more.
  absl::Status Watch(int fd, uint64_t tag);
  void Unwatch(int fd);

  // Waits at most `wait`; looks at everything even when it is 0. Fills `ready` with the tags of descriptors,
  // some at a time when there are many. BLOCKS.
  void Wait(Duration wait, std::vector<uint64_t>& ready);

 private:
  Descriptor epoll_;
  Descriptor woken_;
};

}  // namespace baton
