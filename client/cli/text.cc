#include "client/cli/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "base/duration.h"

namespace baton::cli {

using std::chrono::milliseconds;

std::string CountText(uint64_t count) {
  const std::string digits = std::to_string(count);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text.push_back(',');
    text.push_back(digits[i]);
  }
  return text;
}

std::string LimitText(uint64_t limit) { return limit == 0 ? "none" : CountText(limit); }

std::string TimeText(UnixTime time) {
  const int64_t millis = time.time_since_epoch().count();
  const std::time_t seconds = millis / 1'000;
  std::tm local{};
  ::localtime_r(&seconds, &local);
  char text[32];
  const size_t length = std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local);
  return fmt::format("{}.{:03}", std::string_view(text, length), millis % 1'000);
}

std::string AgeText(milliseconds age) {
  if (age.count() <= 0) return "-";
  // Whole units of the second largest kind are enough for people.
  const auto cut = [&](milliseconds unit) { return milliseconds(age.count() / unit.count() * unit.count()); };
  if (age >= std::chrono::hours(24)) return FormatDuration(cut(std::chrono::hours(1)));
  if (age >= std::chrono::hours(1)) return FormatDuration(cut(std::chrono::minutes(1)));
  if (age >= std::chrono::seconds(1)) return FormatDuration(cut(std::chrono::seconds(1)));
  return FormatDuration(age);
}

std::string PercentText(uint64_t part, uint64_t whole) {
  if (whole == 0) return "-";
  return fmt::format("{:.0f} %", std::floor(100.0 * static_cast<double>(part) / static_cast<double>(whole)));
}

std::string_view WordOf(Durability durability) {
  switch (durability) {
    case Durability::kDurable:
      return "durable";
    case Durability::kRelaxed:
      return "relaxed";
    case Durability::kMemory:
      return "memory";
    case Durability::kUnspecified:
      break;
  }
  return "unknown";
}

std::string_view WordOf(DeliveryMode mode) {
  switch (mode) {
    case DeliveryMode::kEager:
      return "eager";
    case DeliveryMode::kCommitted:
      return "committed";
  }
  return "unknown";
}

std::string_view WordOf(OverflowPolicy policy) {
  switch (policy) {
    case OverflowPolicy::kReject:
      return "reject";
    case OverflowPolicy::kDropOldest:
      return "drop-oldest";
    case OverflowPolicy::kDeadLetterOldest:
      return "dead-letter-oldest";
  }
  return "unknown";
}

std::string_view WordOf(Disposal disposal) {
  switch (disposal) {
    case Disposal::kDrop:
      return "drop";
    case Disposal::kDeadLetter:
      return "dead-letter";
    case Disposal::kPark:
      return "park";
  }
  return "unknown";
}

std::string_view WordOf(MessageState state) {
  switch (state) {
    case MessageState::kReady:
      return "ready";
    case MessageState::kLeased:
      return "leased";
    case MessageState::kDelayed:
      return "delayed";
    case MessageState::kParked:
      return "parked";
  }
  return "unknown";
}

std::string_view WordOf(MemoryBound bound) {
  switch (bound) {
    case MemoryBound::kSharedMemory:
      return "shared-memory";
    case MemoryBound::kFileSystem:
      return "file-system";
    case MemoryBound::kIndex:
      return "index";
    case MemoryBound::kUnavailable:
      return "unavailable";
  }
  return "unknown";
}

std::string Preview(std::string_view body, uint64_t whole_bytes, size_t width) {
  const bool text = IsUtf8(body);
  std::string line;
  size_t used = 0;
  for (size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    const bool continues = text && (c & 0xc0) == 0x80;
    const bool plain = text ? static_cast<unsigned char>(c) >= ' ' && c != 0x7f : c >= ' ' && c <= '~';
    const std::string shown = c == '\n'   ? "\\n"
                              : c == '\t' ? "\\t"
                              : plain     ? std::string(1, c)
                                          : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    const size_t more = continues ? 0 : shown.size();
    if (used + more > width) return line + "…";
    used += more;
    line += shown;
  }
  if (body.size() < whole_bytes) line += "…";
  return line;
}

bool IsUtf8(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    const auto lead = static_cast<unsigned char>(bytes[i]);
    const size_t length = lead < 0x80                   ? 1
                          : lead >= 0xc2 && lead < 0xe0 ? 2
                          : lead >= 0xe0 && lead < 0xf0 ? 3
                          : lead >= 0xf0 && lead < 0xf5 ? 4
                                                        : 0;
    if (length == 0 || i + length > bytes.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((bytes[i + k] & 0xc0) != 0x80) return false;
    }
    const unsigned char second = length > 1 ? static_cast<unsigned char>(bytes[i + 1]) : 0;
    // Over-long forms, surrogates, and what lies past the last code point.
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
        (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) {
      return false;
    }
    i += length;
  }
  return true;
}

std::string ToBase64(std::string_view bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = (bits << 8) | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) text.push_back(k <= count ? kAlphabet[(bits >> (18 - 6 * k)) & 63] : '=');
  }
  return text;
}

}  // namespace baton::cli
