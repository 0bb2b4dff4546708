// How a client and the broker meet on baton.sock, before there are rings. The client says Hello, the broker
// answers with Welcome and, when it takes the client, the segment's descriptor beside it. After that the
// socket carries nothing but bells: one byte wakes the side that sleeps; its closing ends the session.
//
// Both messages have a fixed size, in the host's byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "local/descriptor.h"

namespace baton {

inline constexpr uint64_t kHelloMagic = 0x314C48454E544142;    // the bytes "BATNEHL1"
inline constexpr uint64_t kWelcomeMagic = 0x31434C574E544142;  // the bytes "BATNWLC1"

struct LocalHello {
  uint64_t magic = kHelloMagic;
  uint32_t layout_version_min = 0;  // those the client understands
  uint32_t layout_version_max = 0;
  uint64_t reserved[2] = {};  // 0
};
static_assert(sizeof(LocalHello) == 32);

struct LocalWelcome {
  uint64_t magic = kWelcomeMagic;
  uint32_t code = 0;            // of gRPC's codes; 0: taken, and the descriptor is here
  uint32_t layout_version = 0;  // of the segment
  uint64_t segment_bytes = 0;
  uint64_t reserved = 0;
  char reason[64] = {};    // of docs/protocol.md; ends with a zero byte
  char message[160] = {};  // for people; likewise
};
static_assert(sizeof(LocalWelcome) == 256);
static_assert(offsetof(LocalWelcome, code) == 8 && offsetof(LocalWelcome, layout_version) == 12);
static_assert(offsetof(LocalWelcome, segment_bytes) == 16 && offsetof(LocalWelcome, reason) == 32);
static_assert(offsetof(LocalWelcome, message) == 96);

// OK: the broker can serve this client.
absl::Status CheckHello(const LocalHello& hello);
LocalWelcome WelcomeFor(size_t segment_bytes);
LocalWelcome RefusalFor(const absl::Status& why);
// What the broker said: OK, or why not.
absl::Status StatusOf(const LocalWelcome& welcome);

// The client's part. It connects and says hello; when the socket can be read it takes the answer. Neither
// blocks. ERRORS: UNAVAILABLE when nobody listens, or the broker has closed; else what the broker said.
struct LocalConnection {
  Descriptor socket;  // non-blocking
  Descriptor segment;
};
absl::StatusOr<Descriptor> BeginHandshake(const std::string& path);
absl::StatusOr<LocalConnection> EndHandshake(Descriptor socket);
// Both. BLOCKS until the broker has answered, at most `timeout_ms`; UNAVAILABLE when it does not.
absl::StatusOr<LocalConnection> ConnectLocally(const std::string& path, int timeout_ms);
// Does anybody listen there? ERRORS: as BeginHandshake. Never blocks.
absl::Status ProbeLocally(const std::string& path);

// The broker's part: takes what has come of a hello, and says how much. Absent: the client has gone, or sent
// descriptors. Never blocks.
std::optional<size_t> ReceiveHello(int socket, char* into, size_t bytes_max);
// The broker's part of the answer. False: the client is gone, or does not read. Never blocks.
bool SendWelcome(int socket, const LocalWelcome& welcome, const Descriptor* segment);

// ---- Bells.

// Wakes the other side. A full socket has bells enough in it. Never blocks.
void RingBell(int socket);
// Takes the bells that have come. Absent: the other side has closed the socket, or broken the rules: it sent
// a descriptor, or more at once than any bells. Never blocks.
inline constexpr size_t kBellsMax = 256;
std::optional<size_t> TakeBells(int socket);

}  // namespace baton
