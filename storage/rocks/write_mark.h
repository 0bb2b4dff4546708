// The mark at the head of every write of the store, from which recovery decides what may be cut
// (rocks_recovery.h).
//
//   row M write := secret:8  number:8  synced:8        big-endian
//
//   secret   the data directory's own random number: bytes inside a message body cannot pass for a mark
//   number   1, 2, 3 … without a gap over the whole life of the store, all its processes
//   synced   every write up to this one was synced before this one was begun
//
// To change it: raise kDataFormatVersion (data_directory.h), give the new form another length, decode both.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace baton {

inline constexpr std::string_view kWriteMarkKey = "Mwrite";

struct WriteMark {
  uint64_t secret = 0;
  uint64_t number = 0;
  uint64_t synced = 0;
  friend bool operator==(const WriteMark&, const WriteMark&) = default;
};

std::string EncodeWriteMark(const WriteMark& mark);
std::optional<WriteMark> DecodeWriteMark(std::string_view value);

// The mark of a write as it stands in the log: RocksDB's batch, whose first operation is the Put of the mark.
//
//   batch := sequence:8  count:4  Put(1):1  key: length-prefixed  value: length-prefixed  …
//
// `head` is the beginning of the batch, at least kBatchHeadBytes of it or all; nullopt when that is no such
// batch.
inline constexpr size_t kBatchHeadBytes = 12 + 1 + 1 + kWriteMarkKey.size() + 1 + 24;
std::optional<WriteMark> MarkOfBatch(std::string_view head);

}  // namespace baton
