#include "storage/rocks/rocks_status.h"

#include <fmt/format.h>

namespace baton {

absl::Status FromRocks(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) return absl::OkStatus();
  if (status.IsCorruption()) {  // RocksDB's words name the file
    return {absl::StatusCode::kDataLoss,
            fmt::format(
                "the store is damaged: {} ({}). Check the disk, and restore the whole data directory from "
                "a copy",
                status.ToString(), what)};
  }
  absl::StatusCode code = absl::StatusCode::kInternal;
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit)
    code = absl::StatusCode::kResourceExhausted;
  return {code, fmt::format("{}: {}", what, status.ToString())};
}

}  // namespace baton
