#include "storage/memory/memory_record.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/coding.h"

namespace baton {
namespace {

constexpr size_t kFixedBytes = 3;  // of the head, before the varint
constexpr size_t kKindShift = 5;
constexpr uint8_t kSharedMask = (1u << kKindShift) - 1;
static_assert(kMemoryKeyMax <= kSharedMask);

size_t CommonStart(std::string_view a, std::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + most, b.begin()).first - a.begin());
}

// Reads a varint of at most five bytes that ends before `end`. Null: there is none.
const char* ReadVarint(const char* at, const char* end, uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 35 && at < end; shift += 7) {
    const auto byte = static_cast<uint8_t>(*at++);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return at;
  }
  return nullptr;
}

bool IsKnown(uint8_t kind) {
  return kind >= static_cast<uint8_t>(Commit::Kind::kPut) &&
         kind <= static_cast<uint8_t>(Commit::Kind::kDeleteRange);
}

}  // namespace

RecordShape::RecordShape(std::string_view previous, const Commit::Op& op)
    : op_(op),
      shared_(CommonStart(previous, op.key)),
      head_bytes_(kFixedBytes + VarintBytes(op.value.size())) {
  BATON_CHECK(!op.key.empty() && op.key.size() <= kMemoryKeyMax) << op.key.size();
}

void RecordShape::Write(char* to) const {
  const std::string_view own = op_.key.substr(shared_);
  *to++ = 0;
  *to++ = static_cast<char>((static_cast<size_t>(op_.kind) << kKindShift) | shared_);
  *to++ = static_cast<char>(own.size());
  to = WriteVarint(to, op_.value.size());
  std::memcpy(to, own.data(), own.size());
  if (!op_.value.empty()) std::memcpy(to + own.size(), op_.value.data(), op_.value.size());
}

bool RecordReader::Damaged() {
  damaged_ = true;
  return false;
}

bool RecordReader::Next() {
  offset_ = end_;
  if (offset_ == records_.size() || damaged_) return false;
  const char* const end = records_.data() + records_.size();
  const char* at = records_.data() + offset_;
  if (static_cast<size_t>(end - at) < kFixedBytes) return Damaged();
  const auto dead = static_cast<uint8_t>(at[0]);
  const auto kind = static_cast<uint8_t>(static_cast<uint8_t>(at[1]) >> kKindShift);
  const size_t shared = static_cast<uint8_t>(at[1]) & kSharedMask;
  const size_t own = static_cast<uint8_t>(at[2]);
  uint64_t value_bytes = 0;
  at = ReadVarint(at + kFixedBytes, end, value_bytes);
  if (at == nullptr || !IsKnown(kind) || shared > key_bytes_ || shared + own == 0 ||
      shared + own > kMemoryKeyMax || own + value_bytes > static_cast<size_t>(end - at)) {
    return Damaged();
  }
  kind_ = static_cast<Commit::Kind>(kind);
  std::memcpy(key_.data() + shared, at, own);
  key_bytes_ = shared + own;
  value_ = {at + own, static_cast<size_t>(value_bytes)};
  end_ = static_cast<size_t>(at + own + value_bytes - records_.data());
  const bool is_put = kind_ == Commit::Kind::kPut;
  const bool is_range = kind_ == Commit::Kind::kDeleteRange;
  if (dead > (is_put ? 1 : 0)) return Damaged();
  if (is_range && (value_.size() > kMemoryKeyMax || value_ <= key())) return Damaged();
  if (!is_put && !is_range && !value_.empty()) return Damaged();
  return true;
}

namespace {

// Where the key's own bytes begin.
const char* PastHead(const char* record, uint64_t& value_bytes) {
  return ReadVarint(record + kFixedBytes, record + kFixedBytes + 5, value_bytes);
}

}  // namespace

std::string_view ValueOfRecord(const char* record) {
  uint64_t value_bytes = 0;
  const char* const own = PastHead(record, value_bytes);
  return {own + static_cast<uint8_t>(record[2]), static_cast<size_t>(value_bytes)};
}

size_t BytesOfRecord(const char* record) {
  const std::string_view value = ValueOfRecord(record);
  return static_cast<size_t>(value.data() + value.size() - record);
}

}  // namespace baton
