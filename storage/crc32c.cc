#include "storage/crc32c.h"

#include <array>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace baton {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // 0x1edc6f41, reflected

// tables[k][b]: the checksum of byte b followed by k zero bytes, so that eight bytes are taken at a step.
constexpr std::array<std::array<uint32_t, 256>, 8> MakeTables() {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t crc = tables[k - 1][byte];
      tables[k][byte] = (crc >> 8) ^ tables[0][crc & 0xff];
    }
  }
  return tables;
}
constexpr auto kTables = MakeTables();

uint32_t Little32(const char* at) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(at);
  return bytes[0] | (uint32_t{bytes[1]} << 8) | (uint32_t{bytes[2]} << 16) | (uint32_t{bytes[3]} << 24);
}

#if defined(__x86_64__)
// The instruction takes three cycles, and a new one may begin in each: so three stretches of a long text go
// side by side, and their sums are joined.
constexpr size_t kStretch = 256;

// [b][v]: what value v in byte b of the register becomes by kStretch zero bytes. It is linear, so the 32 bits
// tell it.
constexpr std::array<std::array<uint32_t, 256>, 4> MakeSkips() {
  std::array<uint32_t, 32> bits{};
  for (size_t bit = 0; bit < bits.size(); ++bit) {
    uint32_t crc = uint32_t{1} << bit;
    for (size_t i = 0; i < kStretch; ++i) crc = (crc >> 8) ^ kTables[0][crc & 0xff];
    bits[bit] = crc;
  }
  std::array<std::array<uint32_t, 256>, 4> skips{};
  for (size_t byte = 0; byte < skips.size(); ++byte) {
    for (size_t value = 1; value < 256; ++value) {
      size_t lowest = 0;
      while ((value >> lowest & 1) == 0) ++lowest;
      skips[byte][value] = skips[byte][value & (value - 1)] ^ bits[8 * byte + lowest];
    }
  }
  return skips;
}
constexpr auto kSkips = MakeSkips();

uint32_t SkipStretch(uint32_t crc) {
  return kSkips[0][crc & 0xff] ^ kSkips[1][(crc >> 8) & 0xff] ^ kSkips[2][(crc >> 16) & 0xff] ^
         kSkips[3][crc >> 24];
}

uint64_t Word(const char* at) {
  uint64_t word = 0;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

__attribute__((target("sse4.2"))) uint32_t ExtendByInstruction(uint32_t start, std::string_view bytes) {
  uint64_t crc = ~start;
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 3 * kStretch; at += 3 * kStretch, left -= 3 * kStretch) {
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < kStretch; i += 8) {
      crc = _mm_crc32_u64(crc, Word(at + i));
      second = _mm_crc32_u64(second, Word(at + kStretch + i));
      third = _mm_crc32_u64(third, Word(at + 2 * kStretch + i));
    }
    const uint32_t first_two = SkipStretch(static_cast<uint32_t>(crc)) ^ static_cast<uint32_t>(second);
    crc = SkipStretch(first_two) ^ static_cast<uint32_t>(third);
  }
  for (; left >= 8; at += 8, left -= 8) crc = _mm_crc32_u64(crc, Word(at));
  auto rest = static_cast<uint32_t>(crc);
  for (; left > 0; ++at, --left) rest = _mm_crc32_u8(rest, static_cast<uint8_t>(*at));
  return ~rest;
}
#endif

using Extend = uint32_t (*)(uint32_t, std::string_view);

Extend FastestHere() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return &ExtendByInstruction;
#endif
  return &ExtendCrc32cByTables;
}

}  // namespace

uint32_t ExtendCrc32cByTables(uint32_t start, std::string_view bytes) {
  uint32_t crc = ~start;
  while (bytes.size() >= 8) {
    const uint32_t low = crc ^ Little32(bytes.data());
    const uint32_t high = Little32(bytes.data() + 4);
    crc = kTables[7][low & 0xff] ^ kTables[6][(low >> 8) & 0xff] ^ kTables[5][(low >> 16) & 0xff] ^
          kTables[4][low >> 24] ^ kTables[3][high & 0xff] ^ kTables[2][(high >> 8) & 0xff] ^
          kTables[1][(high >> 16) & 0xff] ^ kTables[0][high >> 24];
    bytes.remove_prefix(8);
  }
  for (const char c : bytes) crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<uint8_t>(c)) & 0xff];
  return ~crc;
}

uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes) {
  static const Extend extend = FastestHere();
  return extend(crc, bytes);
}

uint32_t Crc32c(std::string_view bytes) { return ExtendCrc32c(0, bytes); }

}  // namespace baton
