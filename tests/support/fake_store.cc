#include "tests/support/fake_store.h"

#include <algorithm>

#include "base/check.h"

namespace baton {
namespace {

bool Alternates(std::string_view key) {
  return std::string_view("RDPXU").find(key.front()) != std::string_view::npos;
}

}  // namespace

void FakeStore::Submit(CommitNumber number, Commit commit, Promise) {
  BATON_CHECK_EQ(number.value(), submitted_.value() + 1);
  submitted_ = number;
  unwritten_.push_back({.number = number, .commit = std::move(commit)});
}

void FakeStore::Read(ReadRequest request) {
  waiting_.push_back({.request = std::move(request), .after = submitted_});
}

void FakeStore::WriteOne() {
  BATON_CHECK(!unwritten_.empty());
  Pending pending = std::move(unwritten_.front());
  unwritten_.pop_front();
  Apply(pending.commit, rows_);
  written_ = pending.number;
  unsynced_.push_back(std::move(pending));
}

void FakeStore::Sync() {
  for (const Pending& pending : unsynced_) Apply(pending.commit, synced_rows_);
  unsynced_.clear();
  synced_ = written_;
}

bool FakeStore::LookOne() {
  if (waiting_.empty() || waiting_.front().after > written_) return false;
  answers_.push_back(Look(waiting_.front().request));
  waiting_.pop_front();
  return true;
}

std::optional<ReadResult> FakeStore::TakeAnswer() {
  if (answers_.empty()) return std::nullopt;
  ReadResult result = std::move(answers_.front());
  answers_.pop_front();
  return result;
}

CommitNumber FakeStore::Crash(size_t keep_unsynced) {
  CommitNumber survived = synced_;
  rows_ = synced_rows_;
  for (size_t i = 0; i < std::min(keep_unsynced, unsynced_.size()); ++i) {
    Apply(unsynced_[i].commit, rows_);
    survived = unsynced_[i].number;
  }
  synced_rows_ = rows_;
  unwritten_.clear();
  unsynced_.clear();
  waiting_.clear();
  answers_.clear();
  submitted_ = written_ = synced_ = CommitNumber();
  return survived;
}

absl::Status FakeStore::Scan(
    RowKind kind,
    const std::function<absl::Status(std::string_view key, std::string_view value)>& visit) const {
  const KeyRange range = AllOf(kind);
  absl::Status status;
  for (auto at = rows_.lower_bound(range.begin); status.ok() && at != rows_.end() && at->first < range.end;
       ++at)
    status = visit(at->first, at->second);
  return status;
}

size_t FakeStore::CountOf(RowKind kind) const {
  return static_cast<size_t>(std::count_if(rows_.begin(), rows_.end(), [kind](const auto& row) {
    return row.first.front() == static_cast<char>(kind);
  }));
}

void FakeStore::Tamper(const std::function<void(Rows&)>& change) {
  BATON_CHECK(unwritten_.empty() && unsynced_.empty());
  change(rows_);
  synced_rows_ = rows_;
  forgives_ = true;
}

void FakeStore::Apply(const Commit& commit, Rows& rows) const {
  commit.ForEach([this, &rows](const Commit::Op& op) {
    const std::string key(op.key);
    switch (op.kind) {
      case Commit::Kind::kPut: {
        const bool fresh = rows.insert_or_assign(key, std::string(op.value)).second;
        BATON_CHECK(fresh || forgives_ || !Alternates(key))
            << "a second Put on a row of kind " << key.front();
        break;
      }
      case Commit::Kind::kDelete:
        BATON_CHECK(!Alternates(key)) << "Delete on a row of kind " << key.front();
        rows.erase(key);
        break;
      case Commit::Kind::kSingleDelete:
        BATON_CHECK(Alternates(key)) << "SingleDelete on a row of kind " << key.front();
        BATON_CHECK(rows.erase(key) == 1 || forgives_)
            << "SingleDelete of a row that is not there, kind " << key.front();
        break;
      case Commit::Kind::kDeleteRange:
        rows.erase(rows.lower_bound(key), rows.lower_bound(std::string(op.value)));
        break;
    }
  });
}

Row FakeStore::Find(const std::string& key, const ReadRequest& request) const {
  Row row{.key = key, .value = {}, .companion = {}, .status = {}};
  if (damaged_.contains(key)) row.status = absl::DataLossError("a damaged block");
  const auto found = rows_.find(key);
  if (found == rows_.end() || !row.status.ok()) return row;
  row.value = found->second;
  if (request.companion == nullptr) return row;
  const auto companion = rows_.find(request.companion(key));
  if (companion != rows_.end()) row.companion = companion->second;
  return row;
}

ReadResult FakeStore::Look(const ReadRequest& request) const {
  ReadResult result{.id = request.id, .status = absl::OkStatus(), .rows = {}, .end_reached = false};
  size_t bytes = 0;
  if (!request.keys.empty()) {
    for (const std::string& key : request.keys) {
      if (request.bytes_max != 0 && result.rows.size() >= 2 && bytes >= request.bytes_max) break;
      const auto& value = result.rows.emplace_back(Find(key, request)).value;
      bytes += value.has_value() ? value->size() : 0;
    }
    return result;
  }
  std::vector<std::string> keys;
  for (auto at = rows_.lower_bound(request.begin); at != rows_.end() && at->first < request.end; ++at)
    keys.push_back(at->first);
  if (request.reverse) std::reverse(keys.begin(), keys.end());
  for (const std::string& key : keys) {
    if (!result.rows.empty() && (result.rows.size() >= request.rows_max || bytes >= request.bytes_max))
      return result;
    if (damaged_.contains(key)) {
      if (result.rows.empty() && !request.skip_damage) result.status = absl::DataLossError("a damaged block");
      if (!request.skip_damage) return result;
      ++result.skipped;
      continue;
    }
    result.rows.push_back(Find(key, request));
    bytes += result.rows.back().value->size();
  }
  result.end_reached = true;
  return result;
}

}  // namespace baton
