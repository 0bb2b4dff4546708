#include "storage/rocks/write_mark.h"

#include "base/coding.h"

namespace baton {
namespace {
constexpr uint8_t kBatchPut = 1;  // kTypeValue of RocksDB's batch format
}  // namespace

std::string EncodeWriteMark(const WriteMark& mark) {
  std::string value;
  value.reserve(24);
  AppendFixed64(value, mark.secret);
  AppendFixed64(value, mark.number);
  AppendFixed64(value, mark.synced);
  return value;
}

std::optional<WriteMark> DecodeWriteMark(std::string_view value) {
  ByteReader reader(value);
  WriteMark mark;
  mark.secret = reader.Fixed64();
  mark.number = reader.Fixed64();
  mark.synced = reader.Fixed64();
  if (!reader.AtEnd()) return std::nullopt;
  return mark;
}

std::optional<WriteMark> MarkOfBatch(std::string_view head) {
  ByteReader reader(head);
  reader.Bytes(12);
  const uint8_t kind = reader.Byte();
  const std::string_view key = reader.LengthPrefixed();
  const std::string_view value = reader.LengthPrefixed();
  if (!reader.ok() || kind != kBatchPut || key != kWriteMarkKey) return std::nullopt;
  return DecodeWriteMark(value);
}

}  // namespace baton
