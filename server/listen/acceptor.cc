#include "server/listen/acceptor.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kGuestsMax = 256;
constexpr int kAcceptedInARow = 64;
// Without descriptors a connection that waits would be announced for ever.
constexpr milliseconds kAcceptPause{100};
constexpr milliseconds kSweepPause{100};  // looking at every connection is not done for each that knocks
// How often busy connections are looked at: seldom when there are many, for each costs some microseconds.
constexpr milliseconds kWatchPause{100};
constexpr std::chrono::microseconds kWatchPausePerConnection{50};
constexpr uint64_t kBusyBytesMin = 8u << 10;    // in that time
constexpr unsigned kUnackedMillisMax = 20'000;  // of TCP: then the peer has gone

constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::string_view kTlsRecord = "\x16\x03";
// What a server of HTTP/2 answers to something else, so that whoever came to the wrong door learns where it
// is: an empty SETTINGS, and GOAWAY (PROTOCOL_ERROR).
constexpr std::string_view kHttp2Refusal(
    "\0\0\0\4\0\0\0\0\0"
    "\0\0\x8\7\0\0\0\0\0\0\0\0\0\0\0\0\1",
    26);

// What epoll gives back: a door's listening socket, a guest, or the wish to look up.
constexpr uint64_t kWake = ~uint64_t{0};
constexpr uint64_t kGuest = uint64_t{1} << 32;
uint64_t TagOfListening(size_t door, int socket) {
  return uint64_t{2 + door} << 32 | static_cast<uint32_t>(socket);
}

void Prepare(int socket) {
  const int on = 1;  // refused for sockets that are not TCP's, which need none of it
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnackedMillisMax, sizeof(kUnackedMillisMax));
}

// Closed with something unread, it would be reset, and the answer with it.
void Answer(int socket, std::string_view refusal) {
  // allowed to fail: then the client is not told, and hears the end
  [[maybe_unused]] const ssize_t sent =
      send(socket, refusal.data(), refusal.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  std::array<char, 4'096> said{};
  for (int i = 0; i < 16 && recv(socket, said.data(), said.size(), MSG_DONTWAIT) > 0; ++i) {
  }
}

std::vector<ConnectionShares> SharesOf(const std::vector<Acceptor::Door>& doors) {
  std::vector<ConnectionShares> shares;
  shares.reserve(doors.size());
  for (const Acceptor::Door& door : doors) shares.emplace_back(door.connections_max);
  return shares;
}

}  // namespace

Acceptor::Acceptor(Options options, std::vector<Door> doors)
    : options_(std::move(options)),
      doors_(std::move(doors)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      shares_(SharesOf(doors_)),
      handed_over_([this](const HandedOver::Connection& gone) { shares_[gone.door].Remove(gone.peer); }) {
  BATON_CHECK(epoll_ && wake_) << std::strerror(errno);
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kWake}};
  BATON_CHECK_EQ(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event), 0);
  for (size_t door = 0; door < doors_.size(); ++door) {
    for (const Descriptor& socket : doors_[door].sockets) {
      event = {.events = EPOLLIN, .data = {.u64 = TagOfListening(door, socket.get())}};
      BATON_CHECK_EQ(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.get(), &event), 0);
    }
  }
}

Acceptor::~Acceptor() { Stop(); }

void Acceptor::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Acceptor::Stop() {
  if (stopping_.exchange(true)) return;
  const uint64_t one = 1;
  // allowed to fail: a counter that is full has woken the thread already
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof(one));
  if (thread_.joinable()) thread_.join();
  guests_.Clear();
}

void Acceptor::Drop(std::string_view peer) {
  {
    const MutexLock lock(mutex_);
    to_drop_.emplace_back(peer);
  }
  const uint64_t one = 1;
  // allowed to fail: a counter that is full has woken the thread already
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof(one));
}

void Acceptor::Run() {
  std::array<epoll_event, 128> events{};
  while (!stopping_) {
    const int count = epoll_wait(epoll_.get(), events.data(), events.size(), Timeout());
    for (int i = 0; i < count; ++i) {
      const uint64_t tag = events[static_cast<size_t>(i)].data.u64;
      const auto socket = static_cast<int>(tag & 0xffff'ffff);
      if (tag == kWake) {
        DropAsAsked();
      } else if (tag >> 32 == kGuest >> 32) {
        Hear(socket);
      } else {
        Accept((tag >> 32) - 2, socket);
      }
    }
    const auto now = steady_clock::now();
    while (const auto overdue = guests_.TakeOverdue(now)) {
      SendAway(*overdue, "a connection said nothing", "closed after 10 s");
    }
    Listen(now >= resume_);
    Watch(now);
  }
}

void Acceptor::Watch(steady_clock::time_point now) {
  if (options_.judge == nullptr || now < NextWatch()) return;
  watched_ = now;
  handed_over_.Watch(kBusyBytesMin, [this](const HandedOver::Connection& connection) {
    const std::string_view event = options_.judge(connection);
    if (event.empty()) return false;
    options_.on_incident({.event = event, .peer = connection.peer.text, .done = "closed its connection"});
    return true;
  });
}

steady_clock::time_point Acceptor::NextWatch() const {
  if (options_.judge == nullptr || handed_over_.watched() == 0) return steady_clock::time_point::max();
  return watched_ + kWatchPause + handed_over_.watched() * kWatchPausePerConnection;
}

int Acceptor::Timeout() const {
  const auto now = steady_clock::now();
  auto next = std::min(guests_.NextDeadline(), NextWatch());
  if (resume_ > now) next = std::min(next, resume_);
  if (next == steady_clock::time_point::max()) return -1;
  const auto wait = std::chrono::ceil<milliseconds>(next - now);
  return static_cast<int>(std::max<int64_t>(wait.count(), 0));
}

void Acceptor::Listen(bool listens) {
  if (std::exchange(listens_, listens) == listens) return;
  for (size_t door = 0; door < doors_.size(); ++door) {
    for (const Descriptor& socket : doors_[door].sockets) {
      epoll_event event{.events = listens ? uint32_t{EPOLLIN} : 0,
                        .data = {.u64 = TagOfListening(door, socket.get())}};
      BATON_CHECK_EQ(epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket.get(), &event), 0);
    }
  }
}

void Acceptor::Accept(size_t door, int listening) {
  for (int i = 0; i < kAcceptedInARow; ++i) {
    Descriptor socket(accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) {
      const bool exhausted = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
      if (exhausted) resume_ = steady_clock::now() + kAcceptPause;
      return;
    }
    handed_over_.NoteReused(socket.get());
    Prepare(socket.get());
    Guest guest{
        .socket = std::move(socket), .peer = {}, .door = door, .deadline = steady_clock::now() + kHelloMax};
    guest.peer = Peer::Of(guest.socket.get());
    Admit(std::move(guest));
  }
}

bool Acceptor::IsBeyond(const Guest& guest) const {
  return static_cast<size_t>(guest.socket.get()) >= options_.descriptors_max;
}

bool Acceptor::HasRoomFor(const Guest& guest) const {
  return !IsBeyond(guest) && shares_[guest.door].ExcessOf(guest.peer) == ConnectionShares::Excess::kNone;
}

// Nobody makes room for a peer that has its share but itself.
Guests::Which Acceptor::WhoMakesRoomFor(const Guest& guest) const {
  switch (shares_[guest.door].ExcessOf(guest.peer)) {
    case ConnectionShares::Excess::kOfProcess:
      return [&guest](const Guest& other) {
        return other.door == guest.door && other.peer.process == guest.peer.process;
      };
    case ConnectionShares::Excess::kOfHost:
      return [&guest](const Guest& other) {
        return other.door == guest.door && other.peer.host == guest.peer.host;
      };
    case ConnectionShares::Excess::kOfDoor:
      return [&guest](const Guest& other) { return other.door == guest.door; };
    case ConnectionShares::Excess::kNone:
      break;  // the process as a whole has no descriptors left for clients
  }
  return [](const Guest&) { return true; };
}

bool Acceptor::MakeRoomFor(const Guest& guest) {
  const auto now = steady_clock::now();
  if (!HasRoomFor(guest) && now - swept_ >= kSweepPause) {
    swept_ = now;
    handed_over_.Sweep();
  }
  if (HasRoomFor(guest)) return true;
  const auto silent = guests_.TakeLongestSilent(WhoMakesRoomFor(guest));
  if (!silent.has_value()) return false;
  SendAway(*silent, "more connections than there is room for say nothing", "closed the longest silent");
  return true;
}

std::string_view Acceptor::WhyNoRoomFor(const Guest& guest) const {
  switch (shares_[guest.door].ExcessOf(guest.peer)) {
    case ConnectionShares::Excess::kOfProcess:
    case ConnectionShares::Excess::kOfHost:
      return "a peer has its share of an address's connections";
    case ConnectionShares::Excess::kOfDoor:
      return "an address has all connections it may";
    case ConnectionShares::Excess::kNone:
      break;
  }
  return "all descriptors that clients may take are taken";
}

void Acceptor::Admit(Guest guest) {
  if (!MakeRoomFor(guest)) {
    options_.on_incident(
        {.event = WhyNoRoomFor(guest), .peer = guest.peer.text, .done = "closed the new connection"});
    return;
  }
  const int socket = guest.socket.get();
  shares_[guest.door].Add(guest.peer);
  guests_.Add(std::move(guest));
  // Told at each arrival, also of the first half of a hello: it stays where it is for whoever serves it.
  epoll_event event{.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
                    .data = {.u64 = kGuest | static_cast<uint32_t>(socket)}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket, &event) != 0) {  // no memory
    SendAway(guests_.Take(socket), "the system has no memory for a connection", "closed it");
    return;
  }
  if (guests_.size() <= kGuestsMax) return;
  const auto silent = guests_.TakeLongestSilent([](const Guest&) { return true; });
  SendAway(*silent, "more connections than there is room for say nothing", "closed the longest silent");
}

void Acceptor::Hear(int socket) {
  const Guest* const guest = guests_.Find(socket);
  if (guest == nullptr) return;  // sent away since
  const Door& door = doors_[guest->door];
  const Heard heard = Peek(*guest, door.greeting);
  if (heard == Heard::kNothing) return;
  Guest known = guests_.Take(socket);
  if (heard == Heard::kHello) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket, nullptr);
    handed_over_.Add(socket, known.peer, known.door);
    handed_over_.SetServedAs(socket, door.welcome(known.socket.Release()));
  } else if (heard == Heard::kEnd) {
    shares_[known.door].Remove(known.peer);
  } else {
    const bool tls = door.greeting == Greeting::kTls;
    Answer(known.socket.get(), tls ? "" : kHttp2Refusal);
    SendAway(known, tls ? "a client does not speak TLS" : "a client does not speak HTTP/2",
             "closed its connection");
  }
}

Acceptor::Heard Acceptor::Peek(const Guest& guest, Greeting greeting) {
  const std::string_view expected = greeting == Greeting::kTls ? kTlsRecord : kHttp2Preface;
  std::array<char, kHttp2Preface.size()> bytes{};
  const ssize_t got = recv(guest.socket.get(), bytes.data(), expected.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR ? Heard::kNothing : Heard::kEnd;
  if (got == 0) return Heard::kEnd;
  const std::string_view said(bytes.data(), static_cast<size_t>(got));
  if (!expected.starts_with(said)) return Heard::kNonsense;
  return said.size() == expected.size() ? Heard::kHello : Heard::kNothing;
}

void Acceptor::SendAway(const Guest& guest, std::string_view event, std::string_view done) {
  shares_[guest.door].Remove(guest.peer);
  options_.on_incident({.event = event, .peer = guest.peer.text, .done = done});
}

void Acceptor::DropAsAsked() {
  uint64_t count = 0;
  // allowed to fail: nothing is there to be read when two wishes woke us once
  [[maybe_unused]] const ssize_t got = read(wake_.get(), &count, sizeof(count));
  std::vector<std::string> peers;
  {
    const MutexLock lock(mutex_);
    peers.swap(to_drop_);
  }
  for (const std::string& peer : peers) handed_over_.ShutDown(peer);
}

}  // namespace baton
