// A commit: what is handed to the store at once. Plain bytes, all or nothing.
//
//   op  := kind:1  key:length-prefixed  [value or range end: length-prefixed]
//   rep := op*
//
// The kinds are part of the format (a commit may one day be appended to a journal): never renumber, only add.
// THREADS: a value; not synchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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
  // For rows that are overwritten (A, I, L, Q, N).
  void Delete(std::string_view key);
  // For rows that strictly alternate Put and SingleDelete (R, D, P, X, U).
  void SingleDelete(std::string_view key);
  void DeleteRange(std::string_view begin, std::string_view end);

  // Takes the memory for so many bytes at once.
  void Reserve(size_t bytes) { rep_.reserve(bytes); }

  bool empty() const { return count_ == 0; }
  size_t count() const { return count_; }
  size_t bytes() const { return rep_.size(); }
  // Of the operations on rows of memory queues: at least what they take in shared memory (locators that are
  // removed count, wherever they are).
  size_t memory_bytes() const { return memory_bytes_; }
  const std::string& rep() const { return rep_; }

  // In the order they were added.
  template <class Visitor>
  void ForEach(Visitor&& visit) const {
    size_t at = 0;
    while (at < rep_.size()) visit(OpAt(at));
  }

 private:
  Op OpAt(size_t& at) const;
  void Begin(Kind kind, std::string_view key, bool in_memory);
  void End();

  std::string rep_;
  size_t count_ = 0;
  size_t memory_bytes_ = 0;
  std::optional<size_t> memory_from_;  // where the operation at hand began, when it is in memory
};

}  // namespace baton
