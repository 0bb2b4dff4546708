// Sizes as people write them: "256MiB", "10GB", "512B". A bare number is refused; only "0" needs no unit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace baton {

// A whole number with a unit of B, KiB, MiB, GiB, TiB (powers of 1024) or KB, MB, GB, TB (powers of 1000), in
// any case. ERRORS: INVALID_ARGUMENT that quotes the text and names the units.
absl::StatusOr<uint64_t> ParseByteSize(std::string_view text);

// Exact: the largest power of 1024 that divides it, as ParseByteSize reads it back. 268435456 is "256MiB",
// 1000 is "1000B".
std::string FormatByteSize(uint64_t bytes);

// For people: three digits or so. 1536 is "1.5 KiB", 1000000 is "977 KiB".
std::string FormatByteSizeRounded(uint64_t bytes);

}  // namespace baton
