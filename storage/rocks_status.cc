#include "storage/rocks_status.h"

#include <fmt/format.h>

namespace baton {

absl::Status FromRocks(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) return absl::OkStatus();
  absl::StatusCode code = absl::StatusCode::kInternal;
  if (status.IsCorruption()) code = absl::StatusCode::kDataLoss;
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit)
    code = absl::StatusCode::kResourceExhausted;
  return {code, fmt::format("{}: {}", what, status.ToString())};
}

}  // namespace baton
