// The few file operations the store needs outside RocksDB, with errors a person can act on.
// BLOCKS: all of them. THREADS: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace baton {

// "<what>: <what the system said>", with the canonical code and, where one exists, the thing to do. `error`
// is an errno.
absl::Status PosixError(std::string_view what, int error);

absl::StatusOr<std::string> ReadFile(const std::string& path);
// Creates or replaces (0600); synced when it returns. Not atomic: write to a temporary name and rename.
absl::Status WriteFileSynced(const std::string& path, std::string_view bytes);
// What the folder and everything under it take on the disk, as `du` counts: blocks, not lengths. What
// vanishes meanwhile, or may not be looked at, counts nothing.
uint64_t DiskUsageOf(const std::string& path);
// Makes creations, renames and removals in the folder survive power loss.
absl::Status SyncDirectory(const std::string& path);

}  // namespace baton
