// LogScanner finds the records of one of RocksDB's log files, also past damage.
//
//   file     := block*                      32 KiB each, the last one may be shorter
//   block    := fragment* trailer           trailer: less than 7 bytes, ignored
//   fragment := crc:4 length:2 type:1 payload      little-endian; crc32c of type and payload, masked
//   type     := 1 the whole record, 2 its first, 3 a middle, 4 its last fragment
//
// RocksDB itself gives up, or silently skips to the next block, where this one looks at every byte: what
// follows the damage decides whether it may be cut (rocks_recovery.h).
//
// Zeros up to the end of the file are the end of the log: space that was allocated and never written.
// THREADS: not synchronised. Holds one block in memory, and the head of one record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace baton {

class LogScanner {
 public:
  // Fills `buffer` from where the last call ended; less than its size only at the end of the file.
  using ReadBlock = std::function<absl::StatusOr<size_t>(char* buffer, size_t size)>;

  struct Item {
    enum class Kind : uint8_t { kRecord, kDamage };
    Kind kind;
    uint64_t begin = 0;  // kDamage: where the record that cannot be read begins, or would
    uint64_t end = 0;    // kRecord only
    std::string head;    // kRecord only: its first `head_bytes` bytes
  };

  LogScanner(ReadBlock read_block, size_t head_bytes)
      : read_block_(std::move(read_block)), head_bytes_(head_bytes) {}

  // The next record or damage; nullopt at the end. One damage is reported once, whatever its length.
  absl::StatusOr<std::optional<Item>> Next();

 private:
  struct Fragment {
    uint8_t type;
    std::string_view payload;
  };

  bool AtEndOfBlock() const;
  absl::Status LoadBlock();
  std::optional<Fragment> FragmentAt(size_t at) const;
  absl::StatusOr<bool> SkipZeros();
  std::optional<Item> TakeFragment(const Fragment& fragment);
  std::optional<Item> TakeDamage(uint64_t at);
  std::optional<Item> TakeEnd();
  void SearchFragment();

  const ReadBlock read_block_;
  const size_t head_bytes_;

  std::string block_;
  uint64_t block_begin_ = 0;
  size_t at_ = 0;  // in the block
  bool last_block_ = false;

  bool in_record_ = false;  // its first fragment was seen, its last was not
  bool lost_ = false;       // damage was reported and no record begun since
  uint64_t record_begin_ = 0;
  std::string head_;
};

}  // namespace baton
