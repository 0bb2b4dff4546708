#include "storage/memory_region.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/check.h"
#include "base/error.h"

namespace baton {
namespace {

namespace ipc = boost::interprocess;

struct Mappable {
  int fd;
  ipc::mapping_handle_t get_mapping_handle() const { return {.handle = fd}; }
};

absl::Status NoRoom(const std::string& path, int error) {
  return MakeError(absl::StatusCode::kResourceExhausted, reason::kQueueFull,
                   fmt::format("no room in shared memory for memory queues ({}: {}): make the file system of "
                               "{} larger, or lower memory_queue_bytes",
                               path, std::strerror(error), path));
}

absl::Status Untrusted(const std::string& path, std::string_view what) {
  return absl::DataLossError(fmt::format("{} cannot be used: {}", path, what));
}

void FillText(std::string_view text, char (&into)[64]) {
  BATON_CHECK(text.size() < sizeof(into));
  std::memcpy(into, text.data(), text.size());
}

std::string_view TextOf(const char (&text)[64]) { return {text, strnlen(text, sizeof(text))}; }

}  // namespace

size_t MemoryRegion::SlotBytesFor(size_t bytes_max) {
  constexpr size_t kMiB = 1u << 20;
  return std::max(kMiB, (bytes_max / kSlotsMax + kMiB) / kMiB * kMiB);
}

MemoryRegion::MemoryRegion(const Options& options, int fd) : options_(options), fd_(fd) {}
MemoryRegion::~MemoryRegion() { close(fd_); }

absl::StatusOr<std::unique_ptr<MemoryRegion>> MemoryRegion::Create(const Options& options) {
  const int fd = open(options.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0 && errno == EEXIST) return absl::AlreadyExistsError(options.path);
  if (fd < 0) return NoRoom(options.path, errno);
  std::unique_ptr<MemoryRegion> region(new MemoryRegion(options, fd));
  region->slot_bytes_ = options.slot_bytes;
  const int error = posix_fallocate(fd, 0, static_cast<off_t>(kSlotsOffset));
  absl::Status status = error == 0 ? region->Lock() : NoRoom(options.path, error);
  if (status.ok()) status = region->MapAll();
  region->SetLimits();
  if (!status.ok()) {
    unlink(options.path.c_str());
    return status;
  }
  auto* header = new (region->base()) RegionHeader{};
  header->magic = kRegionMagic;
  header->header_bytes = sizeof(RegionHeader);
  header->slot_bytes = options.slot_bytes;
  FillText(options.identity, header->identity);
  FillText(options.boot_id, header->boot_id);
  header->version.store(kRegionVersion, std::memory_order_release);
  return region;
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> MemoryRegion::Open(const Options& options) {
  const int fd = open(options.path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT) return absl::NotFoundError(options.path);
  if (fd < 0 && errno == ELOOP) return Untrusted(options.path, "it is a link");
  if (fd < 0) {
    return absl::FailedPreconditionError(
        fmt::format("cannot open {} with the memory queues: {}", options.path, std::strerror(errno)));
  }
  std::unique_ptr<MemoryRegion> region(new MemoryRegion(options, fd));
  struct stat info {};
  if (fstat(fd, &info) != 0) return Untrusted(options.path, std::strerror(errno));
  if (!S_ISREG(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 0077) != 0)
    return Untrusted(options.path, "it is no file of this user alone");
  const auto bytes = static_cast<size_t>(info.st_size);
  if (bytes < kSlotsOffset) return Untrusted(options.path, "it is too short");
  if (absl::Status locked = region->Lock(); !locked.ok()) return locked;
  if (absl::Status mapped = region->MapAll(); !mapped.ok()) return mapped;
  const RegionHeader& header = region->header();
  if (header.magic != kRegionMagic) return Untrusted(options.path, "its first bytes are not a region's");
  const uint32_t version = header.version.load(std::memory_order_acquire);
  if (version != kRegionVersion) {
    return Untrusted(
        options.path,
        fmt::format("its layout is of version {}, and this broker knows only version {}: another "
                    "version of the broker has left it",
                    version, kRegionVersion));
  }
  if (TextOf(header.identity) != options.identity)
    return Untrusted(options.path, "it belongs to another data directory");
  if (TextOf(header.boot_id) != options.boot_id)
    return Untrusted(options.path, "it is from before the machine was started");
  const size_t slot_bytes = header.slot_bytes;
  if (header.header_bytes != sizeof(RegionHeader) || slot_bytes == 0 || slot_bytes > kSlotBytesMax ||
      slot_bytes % kPage != 0 || (bytes - kSlotsOffset) % slot_bytes != 0 ||
      (bytes - kSlotsOffset) / slot_bytes > kSlotsMax) {
    return Untrusted(options.path, "its size does not fit its header");
  }
  region->slot_bytes_ = slot_bytes;
  region->state_.assign((bytes - kSlotsOffset) / slot_bytes, SlotState::kBare);
  region->SetLimits();
  return region;
}

// All there may ever be, so that nothing moves when the file grows.
absl::Status MemoryRegion::MapAll() {
  struct stat info {};
  if (fstat(fd_, &info) != 0) return NoRoom(options_.path, errno);
  // Twice, for what may go beyond the limit.
  const size_t bytes = std::max(2 * options_.bytes_max, static_cast<size_t>(info.st_size));
  try {
    mapping_ = ipc::mapped_region(Mappable{fd_}, ipc::read_write, 0, bytes);
  } catch (const ipc::interprocess_exception& error) {
    return NoRoom(options_.path, error.get_native_error());
  }
  return absl::OkStatus();
}

void MemoryRegion::SetLimits() {
  const auto fit = [this](size_t bytes) {
    return static_cast<uint32_t>(
        bytes < kSlotsOffset ? 0 : std::min((bytes - kSlotsOffset) / slot_bytes_, kSlotsMax));
  };
  slots_max_ = fit(options_.bytes_max);
  slots_mapped_ = fit(mapping_.get_size());
}

absl::Status MemoryRegion::Lock() {
  if (flock(fd_, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("{} is in use by another broker: was its data directory copied?", options_.path));
}

absl::StatusOr<uint32_t> MemoryRegion::Take(uint32_t slots) {
  auto first = FindFree(slots);
  if (!first.has_value()) {
    if (this->slots() + slots > slots_mapped_) return NoRoom(options_.path, ENOSPC);
    first = this->slots();
  }
  if (absl::Status backed = Back(*first, slots); !backed.ok()) return backed;
  if (*first + slots > state_.size()) state_.resize(*first + slots, SlotState::kBare);
  Use(*first, slots);
  return *first;
}

std::optional<uint32_t> MemoryRegion::FindFree(uint32_t slots) const {
  for (const SlotState wanted : {SlotState::kBacked, SlotState::kBare}) {
    uint32_t run = 0;
    for (uint32_t slot = 0; slot < state_.size(); ++slot) {
      const bool fits =
          state_[slot] != SlotState::kUsed && (wanted == SlotState::kBare || state_[slot] == wanted);
      run = fits ? run + 1 : 0;
      if (run == slots) return slot + 1 - slots;
    }
  }
  return std::nullopt;
}

absl::Status MemoryRegion::Back(uint32_t first, uint32_t slots) {
  const auto offset = static_cast<off_t>(kSlotsOffset + size_t{first} * slot_bytes_);
  const int error = posix_fallocate(fd_, offset, static_cast<off_t>(size_t{slots} * slot_bytes_));
  if (error == 0) return absl::OkStatus();
  // A file that grew half-way would not fit its header.
  const auto whole = static_cast<off_t>(kSlotsOffset + state_.size() * slot_bytes_);
  BATON_CHECK_EQ(ftruncate(fd_, whole), 0);
  return NoRoom(options_.path, error);
}

void MemoryRegion::Use(uint32_t first, uint32_t slots) {
  for (uint32_t slot = first; slot < first + slots; ++slot) {
    if (state_[slot] == SlotState::kBacked) --backed_;
    BATON_CHECK(state_[slot] != SlotState::kUsed) << slot;
    state_[slot] = SlotState::kUsed;
    ++used_;
  }
}

void MemoryRegion::Free(uint32_t first, uint32_t slots) {
  for (uint32_t slot = first; slot < first + slots; ++slot) {
    BATON_CHECK(state_[slot] == SlotState::kUsed) << slot;
    --used_;
    if (backed_ < 2 * options_.slots_in_hand) {
      state_[slot] = SlotState::kBacked;
      ++backed_;
      continue;
    }
    state_[slot] = SlotState::kBare;
    const auto offset = static_cast<off_t>(kSlotsOffset + size_t{slot} * slot_bytes_);
    // allowed to fail: then the memory stays with the region
    std::ignore =
        fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, static_cast<off_t>(slot_bytes_));
  }
}

absl::Status MemoryRegion::KeepInHand(uint32_t slots) {
  for (uint32_t slot = 0; backed_ < slots; ++slot) {
    if (slot < this->slots() && state_[slot] != SlotState::kBare) continue;
    if (slot >= slots_max_ || used_ + slots > slots_max_) return NoRoom(options_.path, ENOSPC);
    if (absl::Status backed = Back(slot, 1); !backed.ok()) return backed;
    if (slot >= this->slots()) state_.resize(slot + 1, SlotState::kBare);
    state_[slot] = SlotState::kBacked;
    ++backed_;
  }
  return absl::OkStatus();
}

void MemoryRegion::FreeRest() {
  for (uint32_t slot = 0; slot < slots(); ++slot) {
    if (state_[slot] == SlotState::kUsed) continue;
    Use(slot, 1);
    Free(slot, 1);
  }
}

}  // namespace baton
