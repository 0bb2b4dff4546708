// CRC-32C (Castagnoli), the checksum of RocksDB's files.
#pragma once

#include <cstdint>
#include <string_view>

namespace baton {

uint32_t Crc32c(std::string_view bytes);

}  // namespace baton
