// Bytes and numbers: big-endian for keys (byte order = numeric order), varints for values, and a reader that
// never reads past its input and remembers the first failure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace baton {

void AppendFixed32(std::string& out, uint32_t value);  // big-endian
void AppendFixed64(std::string& out, uint64_t value);  // big-endian
// LEB128, as protobuf's varint.
void AppendVarint(std::string& out, uint64_t value);
// varint length, then the bytes.
void AppendLengthPrefixed(std::string& out, std::string_view bytes);

// Reads what the functions above wrote. After the first failed read `ok()` is false, every later read gives 0
// or "", so a decoder checks once, at its end.
class ByteReader {
 public:
  explicit ByteReader(std::string_view input) : rest_(input) {}

  uint8_t Byte();
  uint32_t Fixed32();
  uint64_t Fixed64();
  uint64_t Varint();
  std::string_view LengthPrefixed();  // borrows from the input
  std::string_view Bytes(size_t count);
  std::string_view Rest();  // everything left; consumes it

  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && rest_.empty(); }
  size_t remaining() const { return rest_.size(); }

 private:
  void Fail();

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace baton
