// GrpcWatch finds connections whose peer makes gRPC 1.51 work or remember without bound, by the figures that
// gRPC keeps of each (channelz). It runs beside gRPC's own thread, which such a peer keeps busy: while bytes
// come, gRPC reads on and serves nobody.
//
// - Requests that are reset at once (CVE-2023-44487): a connection may have so many streams, so when many
// more are
//   begun and not over, they were reset, and wait to be found so.
// - Headers without an end (CVE-2023-33953), a message announced as a gigabyte: bytes come and come, and no
// message.
//
// THREADS: one, not gRPC's.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace baton {

class GrpcWatch {
 public:
  struct Options {
    size_t streams_max = 0;  // of one connection, as gRPC was told
    size_t message_bytes_max = 0;
  };
  explicit GrpcWatch(const Options& options) : options_(options) {}

  // Of a connection over a local socket, where all peers have one name: gRPC's number of the one that has
  // just been handed over; 0: not known.
  intptr_t NewestLocal();
  // What is wrong with that one; "" = nothing.
  std::string_view JudgeLocal(intptr_t socket) const;

  // What is wrong with the connection of `peer`, which has received so many bytes in all; "" = nothing.
  std::string_view Judge(const std::string& peer, uint64_t received);

 private:
  struct Figures {
    uint64_t streams = 0;   // begun and not over
    uint64_t messages = 0;  // to and fro
  };
  struct Known {
    intptr_t socket = 0;
    uint64_t messages = 0;
    uint64_t received = 0;  // when that was read
  };

  static std::optional<Figures> FiguresOf(intptr_t socket);
  void LookUp();

  const Options options_;
  absl::flat_hash_map<std::string, Known> known_;  // by peer
  intptr_t newest_local_ = 0;
  std::chrono::steady_clock::time_point looked_up_{};
};

}  // namespace baton
