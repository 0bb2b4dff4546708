#include "tests/stress/slow_link.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "base/check.h"
#include "tests/stress/ring_intruder.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kTenth{100};

}  // namespace

SlowLink::SlowLink(std::string socket_path, size_t bytes_per_tenth)
    : socket_path_(std::move(socket_path)),
      bytes_per_tenth_(bytes_per_tenth),
      path_(directory_.path() + "/slow.sock"),
      listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  BATON_CHECK(path_.size() < sizeof(address.sun_path)) << path_;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  BATON_CHECK_EQ(bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  BATON_CHECK_EQ(listen(listener_.get(), 1), 0);
  thread_ = std::thread([this] { Run(); });
}

SlowLink::~SlowLink() {
  stop_ = true;
  shutdown(listener_.get(), SHUT_RDWR);
  thread_.join();
}

void SlowLink::Run() {
  const Descriptor client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client) return;
  const Descriptor broker = ConnectSilently(socket_path_);
  auto next_tenth = steady_clock::now();
  size_t left = bytes_per_tenth_;
  while (!stop_) {
    const auto now = steady_clock::now();
    if (now >= next_tenth) {
      next_tenth = now + kTenth;
      left = bytes_per_tenth_;
    }
    const short hears = left > 0 ? POLLIN : 0;
    pollfd waiting[2] = {{.fd = client.get(), .events = POLLIN, .revents = 0},
                         {.fd = broker.get(), .events = hears, .revents = 0}};
    const auto wait = std::chrono::ceil<milliseconds>(next_tenth - now);
    if (poll(waiting, 2, static_cast<int>(wait.count())) <= 0) continue;
    if (waiting[0].revents != 0 && !Forward(client.get(), broker.get(), 64u << 10)) return;
    if (waiting[1].revents == 0) continue;
    const size_t bytes = std::min<size_t>(left, 64u << 10);
    if (!Forward(broker.get(), client.get(), bytes)) return;
    left -= bytes;
  }
}

bool SlowLink::Forward(int from, int to, size_t bytes_max) {
  std::vector<char> bytes(std::max<size_t>(bytes_max, 1));
  const ssize_t count = recv(from, bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (count <= 0) return count < 0 && (errno == EAGAIN || errno == EINTR);
  return send(to, bytes.data(), static_cast<size_t>(count), MSG_NOSIGNAL) == count;
}

}  // namespace baton
