#include "server/loop/parking.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/error.h"

namespace baton {
namespace {

constexpr uint64_t kWokenTag = UINT64_MAX;
constexpr int kEventsMax = 64;

}  // namespace

Parking::Parking() : epoll_(epoll_create1(EPOLL_CLOEXEC)), woken_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  BATON_CHECK(epoll_ && woken_) << std::strerror(errno);
  const absl::Status watched = Watch(woken_.get(), kWokenTag);
  BATON_CHECK(watched.ok()) << watched;
}

void Parking::Wake() {
  const uint64_t one = 1;
  // allowed to fail: a counter that is full has woken it already
  [[maybe_unused]] const ssize_t written = write(woken_.get(), &one, sizeof(one));
}

absl::Status Parking::Watch(int fd, uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return absl::OkStatus();
  return MakeError(absl::StatusCode::kResourceExhausted, reason::kSessionLimit,
                   fmt::format("the system cannot watch another connection: {}", std::strerror(errno)));
}

void Parking::Unwatch(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void Parking::Wait(Duration wait, std::vector<uint64_t>& ready) {
  epoll_event events[kEventsMax];
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(wait);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(nanoseconds);
  const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (nanoseconds - seconds).count()};
  const int count = epoll_pwait2(epoll_.get(), events, kEventsMax, &timeout, nullptr);
  BATON_CHECK(count >= 0 || errno == EINTR) << std::strerror(errno);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.u64 != kWokenTag) {
      ready.push_back(events[i].data.u64);
      continue;
    }
    uint64_t wakes = 0;
    // allowed to fail: nothing else reads it
    [[maybe_unused]] const ssize_t taken = read(woken_.get(), &wakes, sizeof(wakes));
  }
}

}  // namespace baton
