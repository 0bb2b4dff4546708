#include "storage/format/commit.h"

#include "base/check.h"
#include "base/coding.h"

namespace baton {
namespace {

void AppendKind(std::string& rep, Commit::Kind kind) { rep.push_back(static_cast<char>(kind)); }

}  // namespace

void Commit::Put(std::string_view key, std::string_view value) { Put(key, value, {}); }

void Commit::Put(std::string_view key, std::string_view head, std::string_view tail) {
  AppendKind(rep_, Kind::kPut);
  AppendLengthPrefixed(rep_, key);
  AppendVarint(rep_, head.size() + tail.size());
  rep_.append(head);
  rep_.append(tail);
  ++count_;
}

void Commit::Delete(std::string_view key) {
  AppendKind(rep_, Kind::kDelete);
  AppendLengthPrefixed(rep_, key);
  ++count_;
}

void Commit::SingleDelete(std::string_view key) {
  AppendKind(rep_, Kind::kSingleDelete);
  AppendLengthPrefixed(rep_, key);
  ++count_;
}

void Commit::DeleteRange(std::string_view begin, std::string_view end) {
  BATON_CHECK(begin < end);
  AppendKind(rep_, Kind::kDeleteRange);
  AppendLengthPrefixed(rep_, begin);
  AppendLengthPrefixed(rep_, end);
  ++count_;
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
