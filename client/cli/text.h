// Values as people read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "baton/admin.h"

namespace baton::cli {

std::string CountText(uint64_t count);                   // 1234567 is "1,234,567"
std::string LimitText(uint64_t limit);                   // 0 is "none"
std::string TimeText(UnixTime time);                     // "2024-02-29 12:34:56.789", local
std::string AgeText(std::chrono::milliseconds age);      // the two largest units, "-" for 0
std::string PercentText(uint64_t part, uint64_t whole);  // rounded down: "100 %" is all of it

std::string_view WordOf(Durability durability);
std::string_view WordOf(DeliveryMode mode);
std::string_view WordOf(OverflowPolicy policy);
std::string_view WordOf(Disposal disposal);
std::string_view WordOf(MessageState state);
std::string_view WordOf(MemoryBound bound);

// One line of at most `width` characters: what is not printable is escaped, what does not fit is cut and
// marked.
std::string Preview(std::string_view body, uint64_t whole_bytes, size_t width);

bool IsUtf8(std::string_view bytes);
std::string ToBase64(std::string_view bytes);

}  // namespace baton::cli
