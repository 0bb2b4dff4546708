// The row that holds the last epoch given: raised and synced at every start, and by a broker that uses one
// up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/coding.h"
#include "base/ids.h"

namespace baton {

inline constexpr std::string_view kEpochKey = "Mepoch";  // value: 4 bytes, big-endian

inline std::string EncodeEpoch(Epoch epoch) {
  std::string value;
  AppendFixed32(value, epoch.value());
  return value;
}
inline std::optional<Epoch> DecodeEpoch(std::string_view value) {
  ByteReader reader(value);
  const Epoch epoch(reader.Fixed32());
  return reader.AtEnd() ? std::optional(epoch) : std::nullopt;
}

}  // namespace baton
