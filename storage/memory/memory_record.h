// A record of the log in shared memory: one operation of a commit. Keys share their beginning with the key of
// the record before in the run, which is most of a message's key.
//
//   record := dead:1 kind_and_shared:1 own_bytes:1 value_bytes:v  own bytes of the key, value
//
//   dead             1: no row (any more). Changes after the run was sealed, and is not in its checksum; 0 in
//                    a removal
//   kind_and_shared  Commit::Kind in the upper three bits; in the lower five how many bytes the key has in
//                    common with the one before; 0 in a run's first record
//   value_bytes      varint: of a row's value; of the end of a range; 0 for other removals
//
// Nothing is aligned. A record ends where its value does. THREADS: one.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "storage/format/commit.h"

namespace baton {

// Keys have at most so many bytes.
inline constexpr size_t kMemoryKeyMax = 31;

// What an operation takes as a record behind one with the key `previous` ("" at the start of a run).
class RecordShape {
 public:
  RecordShape(std::string_view previous, const Commit::Op& op);
  size_t bytes() const { return head_bytes_ + op_.key.size() - shared_ + op_.value.size(); }
  void Write(char* to) const;

 private:
  const Commit::Op& op_;
  const size_t shared_;
  const size_t head_bytes_;
};

// Reads the records of a run in order. The bytes may be anything: it reads nothing outside them.
class RecordReader {
 public:
  explicit RecordReader(std::string_view records) : records_(records) {}

  // False: there is no further one, or it makes no sense.
  bool Next();
  bool damaged() const { return damaged_; }

  // Of the record at hand. The key is good until the next one is read.
  size_t offset() const { return offset_; }
  size_t bytes() const { return end_ - offset_; }
  Commit::Kind kind() const { return kind_; }
  std::string_view key() const { return {key_.data(), key_bytes_}; }
  std::string_view value() const { return value_; }
  uint8_t dead() const { return static_cast<uint8_t>(records_[offset_]); }
  // What never changes: all but `dead`.
  std::string_view fixed_bytes() const { return records_.substr(offset_ + 1, bytes() - 1); }

 private:
  bool Damaged();

  const std::string_view records_;
  size_t offset_ = 0;
  size_t end_ = 0;  // of the record at hand; where the next one begins
  bool damaged_ = false;
  Commit::Kind kind_ = Commit::Kind::kPut;
  std::array<char, kMemoryKeyMax> key_{};
  size_t key_bytes_ = 0;
  std::string_view value_;
};

// Of a record that was checked before, at its first byte.
std::string_view ValueOfRecord(const char* record);
size_t BytesOfRecord(const char* record);
inline void MarkDead(char* record) {
  static_assert(sizeof(std::atomic<uint8_t>) == 1);
  reinterpret_cast<std::atomic<uint8_t>*>(record)->store(1, std::memory_order_relaxed);
}

}  // namespace baton
