// Bytes and numbers: big-endian for keys (byte order = numeric order), varints for values, and a reader that
// never reads past its input and remembers the first failure. Inline: each message's rows are made and read
// by these, several times.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace baton {

inline void AppendFixed32(std::string& out, uint32_t value) {  // big-endian
  const char bytes[4] = {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
                         static_cast<char>(value >> 8), static_cast<char>(value)};
  out.append(bytes, sizeof(bytes));
}

inline void AppendFixed64(std::string& out, uint64_t value) {  // big-endian
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (56 - 8 * i));
  out.append(bytes, sizeof(bytes));
}

// LEB128, as protobuf's varint. Returns where it ends; takes VarintBytes(value).
inline constexpr size_t kVarintBytesMax = 10;
inline char* WriteVarint(char* to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) *to++ = static_cast<char>(value | 0x80);
  *to++ = static_cast<char>(value);
  return to;
}
inline size_t VarintBytes(uint64_t value) {
  size_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}
inline void AppendVarint(std::string& out, uint64_t value) {
  char bytes[kVarintBytesMax];
  out.append(bytes, static_cast<size_t>(WriteVarint(bytes, value) - bytes));
}

// varint length, then the bytes.
inline void AppendLengthPrefixed(std::string& out, std::string_view bytes) {
  AppendVarint(out, bytes.size());
  out.append(bytes);
}

// Reads what the functions above wrote. After the first failed read `ok()` is false, every later read gives 0
// or "", so a decoder checks once, at its end.
class ByteReader {
 public:
  explicit ByteReader(std::string_view input) : rest_(input) {}

  uint8_t Byte() {
    const std::string_view byte = Bytes(1);
    return byte.empty() ? uint8_t{0} : static_cast<uint8_t>(byte.front());
  }
  uint32_t Fixed32() { return static_cast<uint32_t>(BigEndian(4)); }
  uint64_t Fixed64() { return BigEndian(8); }
  uint64_t Varint() {
    if (!rest_.empty() && static_cast<uint8_t>(rest_.front()) < 0x80) return Byte();  // nearly always
    return LongVarint();
  }
  std::string_view LengthPrefixed() {  // borrows from the input
    const uint64_t length = Varint();
    if (length <= rest_.size()) return Bytes(static_cast<size_t>(length));
    Fail();
    return {};
  }
  std::string_view Bytes(size_t count) {
    if (count > rest_.size()) {
      Fail();
      return {};
    }
    const std::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return bytes;
  }
  std::string_view Rest() { return Bytes(rest_.size()); }  // everything left; consumes it

  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && rest_.empty(); }
  size_t remaining() const { return rest_.size(); }

 private:
  void Fail() {
    ok_ = false;
    rest_ = {};
  }
  uint64_t BigEndian(size_t count) {
    uint64_t value = 0;
    for (const char byte : Bytes(count)) value = (value << 8) | static_cast<uint8_t>(byte);
    return value;
  }
  uint64_t LongVarint();

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace baton
