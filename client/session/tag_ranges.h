// Tags of deliveries as the wire wants them: pairs of a first tag and the number of further consecutive ones.
#pragma once

#include <cstdint>
#include <span>

#include "google/protobuf/repeated_field.h"

namespace baton::client {

// [5, 9, 10, 11] becomes 5, 0, 9, 2. REQUIRES: `tags` ascending, each once.
inline void AppendTagRanges(std::span<const uint64_t> tags, google::protobuf::RepeatedField<uint64_t>& out) {
  for (size_t i = 0; i < tags.size();) {
    size_t end = i + 1;
    while (end < tags.size() && tags[end] == tags[end - 1] + 1) ++end;
    out.Add(tags[i]);
    out.Add(end - i - 1);
    i = end;
  }
}

}  // namespace baton::client
