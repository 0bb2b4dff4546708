// The row that tells the next life of the broker how its time went: written now and then with other commits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock_record.h"
#include "base/coding.h"
#include "base/time.h"

namespace baton {

inline constexpr std::string_view kClockKey = "Mclock";
inline constexpr std::string_view kClockStepsKey = "Msteps";  // ClockSteps (server/engine)

// version:1 time:v offset:8 boot id:lp
inline std::string EncodeClock(const ClockRecord& record) {
  std::string out(1, '\x01');
  AppendVarint(out, static_cast<uint64_t>(ToMicros(record.time)));
  AppendFixed64(out, static_cast<uint64_t>(record.offset_micros));
  AppendLengthPrefixed(out, record.boot_id);
  return out;
}
inline std::optional<ClockRecord> DecodeClock(std::string_view value) {
  ByteReader reader(value);
  if (reader.Byte() != 1) return std::nullopt;
  const uint64_t time = reader.Varint();
  const uint64_t offset = reader.Fixed64();
  const std::string boot_id(reader.LengthPrefixed());
  if (!reader.AtEnd() || time > INT64_MAX) return std::nullopt;
  return ClockRecord{.time = InstantFromMicros(static_cast<int64_t>(time)),
                     .offset_micros = static_cast<int64_t>(offset),
                     .boot_id = boot_id};
}

}  // namespace baton
