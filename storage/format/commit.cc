#include "storage/format/commit.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/coding.h"
#include "storage/format/keys.h"
#include "storage/format/records.h"

namespace baton {

std::string& Commit::Begin(Part& part, Kind kind, std::string_view key) {
  ++part.count;
  part.rep.push_back(static_cast<char>(kind));
  AppendLengthPrefixed(part.rep, key);
  return part.rep;
}

void Commit::Put(Part& part, std::string_view key, std::string_view head, std::string_view tail) {
  std::string& rep = Begin(part, Kind::kPut, key);
  AppendVarint(rep, head.size() + tail.size());
  rep.append(head);
  rep.append(tail);
}

void Commit::Put(std::string_view key, std::string_view value) { Put(key, value, {}); }

void Commit::Put(std::string_view key, std::string_view head, std::string_view tail) {
  Put(PartOf(IsMemoryRow(key)), key, head, tail);
}

void Commit::Delete(std::string_view key) { Begin(PartOf(IsMemoryRow(key)), Kind::kDelete, key); }

void Commit::SingleDelete(std::string_view key) { Begin(PartOf(IsMemoryRow(key)), Kind::kSingleDelete, key); }

void Commit::DeleteRange(std::string_view begin, std::string_view end) {
  BATON_CHECK(begin < end);
  AppendLengthPrefixed(Begin(PartOf(IsMemoryRow(begin)), Kind::kDeleteRange, begin), end);
}

void Commit::PutLocator(std::string_view key, std::string_view row_key) {
  Put(PartOf(IsMemoryRow(row_key)), key, EncodeLocator(row_key), {});
}

void Commit::DeleteLocator(std::string_view key, QueueId queue) {
  Begin(PartOf(IsMemoryQueue(queue)), Kind::kDelete, key);
}

Commit Commit::TakeMemory() {
  Commit memory;
  std::swap(memory.memory_, memory_);
  return memory;
}

void Commit::ReserveLike(const Commit& other, size_t bytes_max) {
  disk_.rep.reserve(std::min(other.disk_.rep.size(), bytes_max));
  memory_.rep.reserve(std::min(other.memory_.rep.size(), bytes_max));
}

Commit::Op Commit::OpAt(std::string_view rep, size_t& at) {
  ByteReader reader(rep.substr(at));
  const size_t before = reader.remaining();
  Op op{.kind = static_cast<Kind>(reader.Byte()), .key = reader.LengthPrefixed(), .value = {}};
  if (op.kind == Kind::kPut || op.kind == Kind::kDeleteRange) op.value = reader.LengthPrefixed();
  BATON_CHECK(reader.ok()) << "at " << at;
  at += before - reader.remaining();
  return op;
}

}  // namespace baton
