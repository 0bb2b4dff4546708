#include "storage/rocks/descriptor_reserve.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace baton {
namespace {

int OpenOne() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

}  // namespace

DescriptorReserve::DescriptorReserve(size_t count) : count_(count) { Refill(); }

DescriptorReserve::~DescriptorReserve() {
  for (const int fd : kept_) close(fd);
}

bool DescriptorReserve::ReleaseIfScarce() {
  const MutexLock lock(mutex_);
  const int fd = OpenOne();
  if (fd >= 0) close(fd);
  const bool scarce = fd < 0 && (errno == EMFILE || errno == ENFILE);
  if (!scarce || kept_.empty()) return false;
  close(kept_.back());
  kept_.pop_back();
  return true;
}

void DescriptorReserve::Refill() {
  const MutexLock lock(mutex_);
  while (kept_.size() < count_) {
    const int fd = OpenOne();
    if (fd < 0) return;
    kept_.push_back(fd);
  }
}

}  // namespace baton
