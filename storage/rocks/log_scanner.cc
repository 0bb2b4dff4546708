#include "storage/rocks/log_scanner.h"

#include <algorithm>
#include <utility>

#include "storage/crc32c.h"

namespace baton {
namespace {

constexpr size_t kBlockBytes = 32768;
constexpr size_t kHeaderBytes = 7;
enum FragmentType : uint8_t { kWhole = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

uint8_t ByteAt(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

uint32_t Unmasked(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8u;
  return (rotated >> 17) | (rotated << 15);
}

}  // namespace

bool LogScanner::AtEndOfBlock() const { return block_.size() - at_ < kHeaderBytes; }

absl::Status LogScanner::LoadBlock() {
  block_begin_ += block_.size();
  block_.resize(kBlockBytes);
  const absl::StatusOr<size_t> count = read_block_(block_.data(), block_.size());
  if (!count.ok()) return count.status();
  block_.resize(*count);
  last_block_ = *count < kBlockBytes;
  at_ = 0;
  return absl::OkStatus();
}

std::optional<LogScanner::Fragment> LogScanner::FragmentAt(size_t at) const {
  const std::string_view rest = std::string_view(block_).substr(at);
  if (rest.size() < kHeaderBytes) return std::nullopt;
  const uint8_t type = ByteAt(rest, 6);
  const size_t length = ByteAt(rest, 4) | (size_t{ByteAt(rest, 5)} << 8);
  if (type < kWhole || type > kLast || kHeaderBytes + length > rest.size()) return std::nullopt;
  const uint32_t masked = ByteAt(rest, 0) | (uint32_t{ByteAt(rest, 1)} << 8) |
                          (uint32_t{ByteAt(rest, 2)} << 16) | (uint32_t{ByteAt(rest, 3)} << 24);
  if (Crc32c(rest.substr(6, 1 + length)) != Unmasked(masked)) return std::nullopt;
  return Fragment{.type = type, .payload = rest.substr(kHeaderBytes, length)};
}

absl::StatusOr<std::optional<LogScanner::Item>> LogScanner::Next() {
  while (true) {
    if (AtEndOfBlock()) {
      if (last_block_) return TakeEnd();
      if (absl::Status status = LoadBlock(); !status.ok()) return status;
      continue;
    }
    std::optional<Item> item;
    if (const std::optional<Fragment> fragment = FragmentAt(at_); fragment.has_value()) {
      item = TakeFragment(*fragment);
    } else {
      const uint64_t at = block_begin_ + at_;
      const absl::StatusOr<bool> end = SkipZeros();
      if (!end.ok()) return end.status();
      if (*end) return TakeEnd();
      item = TakeDamage(at);
      SearchFragment();
    }
    if (item.has_value()) return item;
  }
}

// Steps over zeros, block after block. True: there was nothing else up to the end of the file.
absl::StatusOr<bool> LogScanner::SkipZeros() {
  while (true) {
    const size_t other = block_.find_first_not_of('\0', at_);
    if (other != std::string::npos) {
      // A fragment may begin with zeros: all of its header but the type.
      at_ = std::max(at_, other - std::min(other, kHeaderBytes - 1));
      return false;
    }
    at_ = block_.size();
    if (last_block_) return true;
    if (absl::Status status = LoadBlock(); !status.ok()) return status;
  }
}

std::optional<LogScanner::Item> LogScanner::TakeFragment(const Fragment& fragment) {
  const uint64_t begin = block_begin_ + at_;
  const bool starts = fragment.type == kWhole || fragment.type == kFirst;
  if (starts == in_record_) {  // a record within a record, or the rest of one whose beginning is lost
    if (!lost_) {
      std::optional<Item> damage = TakeDamage(in_record_ ? record_begin_ : begin);
      return damage;  // a fragment that starts a record is looked at again
    }
    at_ += kHeaderBytes + fragment.payload.size();
    return std::nullopt;
  }
  at_ += kHeaderBytes + fragment.payload.size();
  lost_ = false;
  if (starts) {
    record_begin_ = begin;
    head_.clear();
  }
  head_.append(fragment.payload.substr(0, head_bytes_ - head_.size()));
  in_record_ = fragment.type == kFirst || fragment.type == kMiddle;
  if (in_record_) return std::nullopt;
  return Item{.kind = Item::Kind::kRecord,
              .begin = record_begin_,
              .end = block_begin_ + at_,
              .head = std::exchange(head_, {})};
}

// `at` is where it was noticed; a record in progress is lost from its beginning.
std::optional<LogScanner::Item> LogScanner::TakeDamage(uint64_t at) {
  const uint64_t begin = in_record_ ? record_begin_ : at;
  const bool known = std::exchange(lost_, true);
  in_record_ = false;
  if (known) return std::nullopt;
  return Item{.kind = Item::Kind::kDamage, .begin = begin, .end = 0, .head = {}};
}

std::optional<LogScanner::Item> LogScanner::TakeEnd() {
  const bool torn_header = block_.find_first_not_of('\0', at_) != std::string::npos;
  const uint64_t at = block_begin_ + at_;
  at_ = block_.size();
  if (!in_record_ && !torn_header) return std::nullopt;
  return TakeDamage(at);
}

// To the next place in this block where a fragment can be read, or to its end.
void LogScanner::SearchFragment() {
  while (!AtEndOfBlock() && !FragmentAt(at_).has_value()) ++at_;
  if (AtEndOfBlock() && !last_block_) at_ = block_.size();
}

}  // namespace baton
