// CRC-32C (Castagnoli), the checksum of RocksDB's files; by the processor's own instruction where it has one.
#pragma once

#include <cstdint>
#include <string_view>

namespace baton {

uint32_t Crc32c(std::string_view bytes);
// Of what gave `crc`, followed by `bytes`.
uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes);
// The same without that instruction, for processors that do not have it.
uint32_t ExtendCrc32cByTables(uint32_t crc, std::string_view bytes);

}  // namespace baton
