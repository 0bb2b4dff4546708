// Preloaded into a broker: while the file BATON_SLOW_DISK exists, each sync takes a fifth of a second.
#include <dlfcn.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

namespace {

using Sync = int (*)(int);

int SyncSlowly(const char* name, int fd) {
  const char* const mark = std::getenv("BATON_SLOW_DISK");
  if (mark != nullptr && access(mark, F_OK) == 0) {
    const timespec pause{.tv_sec = 0, .tv_nsec = 200'000'000};
    nanosleep(&pause, nullptr);
  }
  return reinterpret_cast<Sync>(dlsym(RTLD_NEXT, name))(fd);
}

}  // namespace

extern "C" int fsync(int fd) { return SyncSlowly("fsync", fd); }
extern "C" int fdatasync(int fd) { return SyncSlowly("fdatasync", fd); }
