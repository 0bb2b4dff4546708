#include "storage/format/commit.h"

#include "base/check.h"
#include "base/coding.h"
#include "storage/format/keys.h"
#include "storage/format/records.h"

namespace baton {
namespace {

// A record in shared memory has at most so many bytes more than its operation
// (storage/memory/memory_record.h).
constexpr size_t kRecordExtra = 2;

bool IsLocator(std::string_view key) {
  return !key.empty() && key[0] == static_cast<char>(RowKind::kLocator);
}

}  // namespace

void Commit::Begin(Kind kind, std::string_view key, bool in_memory) {
  if (in_memory) memory_from_ = rep_.size();
  rep_.push_back(static_cast<char>(kind));
  AppendLengthPrefixed(rep_, key);
}

void Commit::End() {
  if (memory_from_.has_value()) memory_bytes_ += rep_.size() - *memory_from_ + kRecordExtra;
  memory_from_.reset();
  ++count_;
}

void Commit::Put(std::string_view key, std::string_view value) { Put(key, value, {}); }

void Commit::Put(std::string_view key, std::string_view head, std::string_view tail) {
  const std::string_view row = IsLocator(key) ? DecodeLocator(head).value_or(std::string_view()) : key;
  Begin(Kind::kPut, key, IsMemoryRow(row));
  AppendVarint(rep_, head.size() + tail.size());
  rep_.append(head);
  rep_.append(tail);
  End();
}

void Commit::Delete(std::string_view key) {
  Begin(Kind::kDelete, key, IsLocator(key) || IsMemoryRow(key));
  End();
}

void Commit::SingleDelete(std::string_view key) {
  Begin(Kind::kSingleDelete, key, IsMemoryRow(key));
  End();
}

void Commit::DeleteRange(std::string_view begin, std::string_view end) {
  BATON_CHECK(begin < end);
  Begin(Kind::kDeleteRange, begin, IsMemoryRow(begin));
  AppendLengthPrefixed(rep_, end);
  End();
}

Commit::Op Commit::OpAt(size_t& at) const {
  ByteReader reader(std::string_view(rep_).substr(at));
  const size_t before = reader.remaining();
  Op op{.kind = static_cast<Kind>(reader.Byte()), .key = reader.LengthPrefixed(), .value = {}};
  if (op.kind == Kind::kPut || op.kind == Kind::kDeleteRange) op.value = reader.LengthPrefixed();
  BATON_CHECK(reader.ok()) << "at " << at;
  at += before - reader.remaining();
  return op;
}

}  // namespace baton
