#include "storage/rocks/rocks_alternation.h"

#include <fmt/format.h>

#include "base/check.h"
#include "rocksdb/db.h"

namespace baton {
namespace {

bool Alternates(std::string_view key) {
  return std::string_view("RDPXU").find(key.front()) != std::string_view::npos;
}

std::string Printable(std::string_view key) {
  std::string text(1, key.front());
  for (const char c : key.substr(1)) text += fmt::format(" {:02x}", static_cast<uint8_t>(c));
  return text;
}

}  // namespace

void RocksAlternation::Check(const Commit::Op& op) {
  if (op.kind == Commit::Kind::kDeleteRange) {
    for (auto& [key, there] : there_) {
      if (key >= op.key && key < op.value) there = false;
    }
    deleted_ranges_.emplace_back(op.key, op.value);
    return;
  }
  if (!Alternates(op.key)) {
    BATON_CHECK(op.kind != Commit::Kind::kSingleDelete)
        << "SingleDelete on a row of another kind: " << Printable(op.key);
    return;
  }
  BATON_CHECK(op.kind != Commit::Kind::kDelete) << "Delete on a row that alternates: " << Printable(op.key);
  const std::optional<bool> there = IsThere(op.key);
  if (op.kind == Commit::Kind::kPut) {
    BATON_CHECK(!there.value_or(false)) << "a second Put on " << Printable(op.key);
  } else {
    BATON_CHECK(there.value_or(true)) << "SingleDelete of a row that is not there: " << Printable(op.key);
  }
  there_.insert_or_assign(std::string(op.key), op.kind == Commit::Kind::kPut);
}

void RocksAlternation::Written() {
  there_.clear();
  deleted_ranges_.clear();
}

std::optional<bool> RocksAlternation::IsThere(std::string_view key) {
  if (const auto it = there_.find(std::string(key)); it != there_.end()) return it->second;
  for (const auto& [begin, end] : deleted_ranges_) {
    if (key >= begin && key < end) return false;
  }
  rocksdb::PinnableSlice value;
  const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), db_->DefaultColumnFamily(),
                                          rocksdb::Slice(key.data(), key.size()), &value);
  // A read that fails says nothing about the rule; the store reports it where it is met in earnest.
  if (!status.ok() && !status.IsNotFound()) return std::nullopt;
  return status.ok();
}

}  // namespace baton
