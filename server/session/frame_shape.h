// Of what a frame is made, before any memory is taken for it. Two bytes on the wire may become some hundred
// in memory, so the bytes alone bound nothing. Frames of gRPC are read by its own code, on its own threads;
// those of rings are read on the engine's, and are checked first.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace baton {

// OK: reading `encoded` as a ClientFrame takes a few times its size, or about as much as the largest frame of
// a client that keeps the rules. ERRORS: INVALID_ARGUMENT when it holds more of something than any session
// could use, or is no message at all.
absl::Status CheckFrameShape(std::string_view encoded);

}  // namespace baton
