#include "base/coding.h"

namespace baton {

void AppendFixed32(std::string& out, uint32_t value) {
  const char bytes[4] = {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
                         static_cast<char>(value >> 8), static_cast<char>(value)};
  out.append(bytes, sizeof(bytes));
}

void AppendFixed64(std::string& out, uint64_t value) {
  AppendFixed32(out, static_cast<uint32_t>(value >> 32));
  AppendFixed32(out, static_cast<uint32_t>(value));
}

void AppendVarint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void AppendLengthPrefixed(std::string& out, std::string_view bytes) {
  AppendVarint(out, bytes.size());
  out.append(bytes);
}

void ByteReader::Fail() {
  ok_ = false;
  rest_ = {};
}

uint8_t ByteReader::Byte() {
  if (rest_.empty()) {
    Fail();
    return 0;
  }
  const auto byte = static_cast<uint8_t>(rest_.front());
  rest_.remove_prefix(1);
  return byte;
}

uint32_t ByteReader::Fixed32() {
  if (rest_.size() < 4) {
    Fail();
    return 0;
  }
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = (value << 8) | static_cast<uint8_t>(rest_[i]);
  rest_.remove_prefix(4);
  return value;
}

uint64_t ByteReader::Fixed64() {
  if (rest_.size() < 8) {
    Fail();
    return 0;
  }
  const uint64_t high = Fixed32();
  return (high << 32) | Fixed32();
}

uint64_t ByteReader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const uint8_t byte = Byte();
    if (!ok_) return 0;
    if (shift == 63 && byte > 1) break;  // more than 64 bits
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  Fail();
  return 0;
}

std::string_view ByteReader::LengthPrefixed() {
  const uint64_t length = Varint();
  if (length > rest_.size()) {
    Fail();
    return {};
  }
  return Bytes(static_cast<size_t>(length));
}

std::string_view ByteReader::Bytes(size_t count) {
  if (count > rest_.size()) {
    Fail();
    return {};
  }
  const std::string_view bytes = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return bytes;
}

std::string_view ByteReader::Rest() {
  const std::string_view bytes = rest_;
  rest_ = {};
  return bytes;
}

}  // namespace baton
