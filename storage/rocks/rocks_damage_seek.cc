#include "storage/rocks/rocks_damage_seek.h"

#include <algorithm>

namespace baton {
namespace {

// The longest key of a message's row, or of what belongs to one; shorter ones end with zeros.
constexpr size_t kKeyBytes = 25;
constexpr int kBits = 8 * kKeyBytes;

// The key as a number, plus 2^bit; no further than `end`.
std::string Plus(std::string key, int bit, const std::string& end) {
  size_t at = kKeyBytes - 1 - static_cast<size_t>(bit) / 8;
  unsigned carry = 1u << (bit % 8);
  while (true) {
    carry += static_cast<unsigned char>(key[at]);
    key[at] = static_cast<char>(carry & 0xff);
    carry >>= 8;
    if (carry == 0) return std::min(key, end);
    if (at-- == 0) return end;
  }
}

}  // namespace

std::unique_ptr<rocksdb::Iterator> SeekBehindDamage(
    const std::function<std::unique_ptr<rocksdb::Iterator>()>& make, const std::string& from,
    const std::string& end) {
  const auto seek = [&make](const std::string& key) {
    std::unique_ptr<rocksdb::Iterator> it = make();
    it->Seek(key);
    return it->status().ok() ? std::move(it) : nullptr;
  };
  std::string damaged = from;  // from here nothing can be read
  damaged.resize(kKeyBytes, '\0');
  // In steps that grow until something can be read, then back in steps that shrink.
  int bit = 0;
  while (bit < kBits && damaged < end && seek(Plus(damaged, bit, end)) == nullptr) {
    damaged = Plus(damaged, bit++, end);
    damaged.resize(kKeyBytes, '\0');
  }
  for (--bit; bit >= 0; --bit) {
    const std::string next = Plus(damaged, bit, end);
    if (seek(next) == nullptr) damaged = next;
    damaged.resize(kKeyBytes, '\0');
  }
  return seek(Plus(damaged, 0, end));
}

}  // namespace baton
