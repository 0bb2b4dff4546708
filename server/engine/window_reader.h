// How a head window is read ahead, the same for ready messages, delayed messages and expiry hints: when it
// runs low, how much is asked for, and which of the rows that come enter it. In rows and in bytes.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

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

// Reads the next chunk, from `begin` (the key of the window's boundary) on. `then(flight, result, now)`.
template <class Window, class Then>
void ReadChunk(Reads& reads, Window& window, std::string begin, std::string end, const Chunk& chunk,
               std::string (*companion)(std::string_view key), Then then) {
  ReadRequest request;
  request.begin = std::move(begin);
  request.end = std::move(end);
  request.rows_max = chunk.rows;
  request.bytes_max = chunk.bytes;
  request.companion = companion;
  const uint64_t flight = window.BeginRead();
  reads.Start(std::move(request), [then = std::move(then), flight](ReadResult result, Instant now) mutable {
    then(flight, std::move(result), now);
  });
}

// `parse(row key)` gives the window's key, if it is one. `enter(key, row)` for each row that enters now.
// False: a row has no such key; nothing was taken, and the read counts as still in flight.
// REQUIRES: window.InFlight(the read's number).
template <class Window, class Parse, class IsElsewhere, class Enter>
[[nodiscard]] bool TakeRows(Window& window, ReadResult& result, Parse&& parse, IsElsewhere&& is_elsewhere,
                            Enter&& enter) {
  std::vector<std::decay_t<decltype(*parse(std::string_view()))>> keys;
  keys.reserve(result.rows.size());
  for (const Row& row : result.rows) {
    const auto key = parse(row.key);
    if (!key.has_value()) return false;
    keys.push_back(*key);
  }
  for (const size_t index : window.FinishRead(keys, result.end_reached, is_elsewhere)) {
    enter(keys[index], result.rows[index]);
    result.rows[index].value.reset();  // it is in the window now
  }
  return true;
}

}  // namespace baton
