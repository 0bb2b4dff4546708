#include "storage/rocks_status.h"

#include <fmt/format.h>

namespace baton {

absl::Status FromRocks(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) return absl::OkStatus();
  if (status.IsCorruption()) {  // RocksDB's words name the file
    return {absl::StatusCode::kDataLoss,
            fmt::format("{}: {}. A file of the store is damaged; check the disk, and "
                        "restore the whole data directory from a copy",
                        what, status.ToString())};
  }
  absl::StatusCode code = absl::StatusCode::kInternal;
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit)
    code = absl::StatusCode::kResourceExhausted;
  return {code, fmt::format("{}: {}", what, status.ToString())};
}

}  // namespace baton
