// How a head window is read ahead, the same for ready messages, delayed messages and expiry hints: when it
// runs low, and how much is asked for. In rows and in bytes.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "server/engine/broker_state.h"
#include "server/engine/reads.h"

namespace baton {

// Of one read; one row may be larger and comes all the same.
struct Chunk {
  size_t rows;
  size_t bytes;  // of values

  // In a window, of which each row takes more than its value.
  size_t footprint() const { return bytes + rows * Message::FootprintOfEmpty(); }
};

// A share of the memory for windows, so that what is read does not push itself out; and as many rows as would
// take as much, were they empty.
inline Chunk ChunkOf(const BrokerState& state) {
  const size_t bytes = std::min(state.options.chunk_bytes, state.WindowBytes() / 4);
  return {.rows = std::clamp<size_t>(bytes / Message::FootprintOfEmpty(), 1, state.options.chunk_rows),
          .bytes = bytes};
}

// Half a chunk is left, of either measure; nothing is on its way.
template <class Window>
bool RunsLow(const Window& window, const Chunk& chunk) {
  return !window.all_resident() && !window.reading() && window.size() < (chunk.rows + 1) / 2 &&
         window.bytes() < (chunk.footprint() + 1) / 2;
}

// What else is asked for with a chunk (ReadRequest).
struct Extras {
  std::string (*companion)(std::string_view key) = nullptr;
  bool skip_damage = false;
};

// With the attempts of messages, where there are any.
inline Extras ExtrasOf(const Queue& queue) {
  return {.companion = queue.ledger.attempt_rows > 0 ? &AttemptsKeyOfRow : nullptr,
          .skip_damage = queue.skips_damage};
}

// Reads the next chunk, from `begin` (the key of the window's boundary) on. `then(flight, result, now)`.
template <class Window, class Then>
void ReadChunk(Reads& reads, Window& window, std::string begin, std::string end, const Chunk& chunk,
               const Extras& extras, Then then) {
  ReadRequest request;
  request.begin = std::move(begin);
  request.end = std::move(end);
  request.rows_max = chunk.rows;
  request.bytes_max = chunk.bytes;
  request.companion = extras.companion;
  request.skip_damage = extras.skip_damage;
  const uint64_t flight = window.BeginRead();
  reads.Start(std::move(request), [then = std::move(then), flight](ReadResult result, Instant now) mutable {
    then(flight, std::move(result), now);
  });
}

}  // namespace baton
