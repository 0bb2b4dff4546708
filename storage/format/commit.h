// A commit: what is handed to the store at once. Plain bytes, all or nothing in each of its parts: one for
// disk, one for the rows of memory queues in shared memory. Which part an operation belongs to is told by the
// queue's number in the row's key; a locator's key has none, so those who put or remove one say where the row
// is that it names.
//
//   op   := kind:1  key:length-prefixed  [value or range end: length-prefixed]
//   part := op*
//
// The kinds are part of the format (a commit may one day be appended to a journal): never renumber, only add.
// THREADS: a value; not synchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace baton {

class Commit {
 public:
  enum class Kind : uint8_t { kPut = 1, kDelete = 2, kSingleDelete = 3, kDeleteRange = 4 };

  // Borrows from the commit.
  struct Op {
    Kind kind;
    std::string_view key;    // kDeleteRange: the first key deleted
    std::string_view value;  // kPut: the value; kDeleteRange: the first key kept
  };

  void Put(std::string_view key, std::string_view value);
  // The value is `head` followed by `tail`, so that a body need not be copied behind its envelope first.
  void Put(std::string_view key, std::string_view head, std::string_view tail);
  // For rows that are overwritten (A, L, Q, N; locators).
  void Delete(std::string_view key);
  // For rows that strictly alternate Put and SingleDelete (R, D, P, X, U).
  void SingleDelete(std::string_view key);
  void DeleteRange(std::string_view begin, std::string_view end);

  // A locator is kept where the row is that it names.
  void PutLocator(std::string_view key, std::string_view row_key);
  // `queue`: of the row that it names.
  void DeleteLocator(std::string_view key, QueueId queue);

  // Leaves the part on disk. What is given has the part in memory only.
  Commit TakeMemory();

  // Takes the memory for as many bytes as that one has, up to `bytes_max`, at once.
  void ReserveLike(const Commit& other, size_t bytes_max);

  bool empty() const { return count() == 0; }
  size_t count() const { return disk_.count + memory_.count; }
  size_t bytes() const { return disk_.rep.size() + memory_.rep.size(); }
  size_t disk_bytes() const { return disk_.rep.size(); }
  // At least what the part in memory takes in shared memory.
  size_t memory_bytes() const { return memory_.rep.size() + memory_.count * kRecordExtra; }
  const std::string& disk_rep() const { return disk_.rep; }

  // Of each part in the order they were added; first those on disk.
  template <class Visitor>
  void ForEach(Visitor&& visit) const {
    for (const Part* part : {&disk_, &memory_}) {
      size_t at = 0;
      while (at < part->rep.size()) visit(OpAt(part->rep, at));
    }
  }

 private:
  // A record in shared memory has at most so many bytes more than its operation
  // (storage/memory/memory_record.h).
  static constexpr size_t kRecordExtra = 2;

  struct Part {
    std::string rep;
    size_t count = 0;
  };

  static Op OpAt(std::string_view rep, size_t& at);
  Part& PartOf(bool in_memory) { return in_memory ? memory_ : disk_; }
  static std::string& Begin(Part& part, Kind kind, std::string_view key);
  static void Put(Part& part, std::string_view key, std::string_view head, std::string_view tail);

  Part disk_;
  Part memory_;
};

}  // namespace baton
