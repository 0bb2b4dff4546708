#include "storage/memory/memory_region.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <new>
#include <tuple>

#include "base/check.h"
#include "base/error.h"

namespace baton {
namespace {

namespace ipc = boost::interprocess;

struct Mappable {
  int fd;
  ipc::mapping_handle_t get_mapping_handle() const { return {.handle = fd}; }
};

// Each MiB takes the system some 50 us.
constexpr size_t kGivenBackAtOnce = 64u << 20;
// What the system could not give lately is kept longer.
constexpr uint32_t kKeptWhenLow = 4;

absl::Status Full(std::string_view why) {
  return MakeError(absl::StatusCode::kResourceExhausted, reason::kQueueFull, why);
}

absl::Status NoRoom(const std::string& path, int error) {
  return Full(
      fmt::format("no room in shared memory for memory queues ({}: {}): consume from them, or make the "
                  "file system of option memory_queue_dir larger",
                  path, std::strerror(error)));
}

// Of descriptors, or of the process's or the system's memory: it passes, whatever consumers do.
bool IsShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR || error == EAGAIN;
}

absl::Status Shortage(const std::string& path, int error) {
  return MakeError(
      absl::StatusCode::kResourceExhausted, reason::kBrokerBusy,
      fmt::format("the file of memory queues cannot be had just now ({}: {}): try again; if it stays so, "
                  "raise the broker's limits (of open files, ulimit -n; of memory), or free memory",
                  path, std::strerror(error)));
}

absl::Status AtLimit(size_t bytes_max) {
  return Full(
      fmt::format("shared memory is full: memory queues, with what is kept for their messages to be settled, "
                  "may take {} MiB (option memory_queue_bytes): consume from them, or raise it",
                  bytes_max >> 20));
}

// It cannot be made there. That takes an operator; but a consumer where there is only no room, and time in a
// shortage.
absl::Status Unusable(const std::string& path, int error) {
  if (error == ENOSPC || error == EDQUOT) return NoRoom(path, error);  // not even for the file's name
  if (IsShortage(error)) return Shortage(path, error);
  return MakeError(
      absl::StatusCode::kFailedPrecondition, reason::kMemoryQueuesUnavailable,
      fmt::format("memory queues cannot be kept in {}: {}; set memory_queue_dir to a directory of a file "
                  "system in memory that the broker's user may write (default: /dev/shm)",
                  path, std::strerror(error)));
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
  return std::max(kMiB, (bytes_max / (kSlotsMax / 2) + kMiB - 1) / kMiB * kMiB);
}

size_t MemoryRegion::Capacity() const {
  struct statvfs info {};
  const bool is_known = fstatvfs(fd_, &info) == 0 && info.f_blocks > 0;
  return is_known ? std::min(options_.bytes_max, size_t{info.f_blocks} * info.f_frsize) : options_.bytes_max;
}

MemoryRegion::Extent MemoryRegion::Look() const {
  const uint32_t available = Available();
  const uint32_t slots = used_ + backed_ + available;
  const bool system_has_less = available < Allowed();
  return {.slots = slots,
          .bytes = system_has_less ? kSlotsOffset + slots * slot_bytes_ : AllowedBytes(),
          .system_has_less = system_has_less};
}

size_t MemoryRegion::AllowedBytes() const {
  return std::max(options_.bytes_max, kSlotsOffset + slots_max_ * slot_bytes_);
}

MemoryRegion::MemoryRegion(const Options& options, int fd) : options_(options), fd_(fd) {}
MemoryRegion::~MemoryRegion() { close(fd_); }

// Under another name until it is whole: one that a kill leaves half made would look damaged.
absl::StatusOr<std::unique_ptr<MemoryRegion>> MemoryRegion::Create(const Options& options) {
  const std::string unfinished = options.path + ".new";
  unlink(unfinished.c_str());
  const int fd = open(unfinished.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Unusable(options.path, errno);
  std::unique_ptr<MemoryRegion> region(new MemoryRegion(options, fd));
  absl::Status made = region->Make();
  if (made.ok() &&
      renameat2(AT_FDCWD, unfinished.c_str(), AT_FDCWD, options.path.c_str(), RENAME_NOREPLACE) != 0)
    made = errno == EEXIST ? absl::AlreadyExistsError(options.path) : Unusable(options.path, errno);
  if (made.ok()) return region;
  unlink(unfinished.c_str());
  return made;
}

absl::StatusOr<std::string> MemoryRegion::SetAside(const std::string& path, std::string_view why) {
  std::string aside = fmt::format("{}.aside-{}", path, static_cast<uint64_t>(std::time(nullptr)));
  while (access(aside.c_str(), F_OK) == 0) aside += '+';  // nothing that was set aside is overwritten
  if (std::rename(path.c_str(), aside.c_str()) == 0) return fmt::format("{} ({})", aside, why);
  return absl::InternalError(fmt::format("{} cannot be set aside: {}", path, std::strerror(errno)));
}

void MemoryRegion::Remove(const std::string& path) { unlink(path.c_str()); }

absl::Status MemoryRegion::Make() {
  slot_bytes_ = options_.slot_bytes;
  const int error = posix_fallocate(fd_, 0, static_cast<off_t>(kSlotsOffset));
  if (error != 0) return Unusable(options_.path, error);
  if (absl::Status locked = Lock(); !locked.ok()) return locked;
  if (absl::Status mapped = MapAll(); !mapped.ok()) return mapped;
  SetLimits();
  auto* made = new (base()) RegionHeader{};
  made->magic = kRegionMagic;
  made->header_bytes = sizeof(RegionHeader);
  made->slot_bytes = options_.slot_bytes;
  FillText(options_.identity, made->identity);
  FillText(options_.boot_id, made->boot_id);
  made->version.store(kRegionVersion, std::memory_order_release);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> MemoryRegion::Open(const Options& options) {
  const int fd = open(options.path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT) return absl::NotFoundError(options.path);
  if (fd < 0 && errno == ELOOP) return Untrusted(options.path, "it is a link");
  if (fd < 0 && IsShortage(errno)) return Shortage(options.path, errno);
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
    return Untrusted(options.path, "it is from before the machine was started, or damaged");
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
  if (fstat(fd_, &info) != 0) return Unusable(options_.path, errno);
  // Twice, for the file has holes: what must lie in a row goes to its end when there is no room before.
  const size_t bytes = 2 * std::max(options_.bytes_max, static_cast<size_t>(info.st_size));
  try {
    mapping_ = ipc::mapped_region(Mappable{fd_}, ipc::read_write, 0, bytes);
  } catch (const ipc::interprocess_exception& error) {
    return Unusable(options_.path, error.get_native_error());
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
  auto first = FindFree(SlotState::kBacked, slots);
  if (!first.has_value()) {
    first = FindFree(SlotState::kBare, slots).value_or(this->slots());
    if (*first + slots > slots_mapped_ || used_ + slots > slots_max_) return AtLimit(AllowedBytes());
    if (absl::Status backed = BackRun(*first, slots); !backed.ok()) return backed;
    if (*first + slots > state_.size()) state_.resize(*first + slots, SlotState::kBare);
  }
  Use(*first, slots);
  return *first;
}

// Of a run that has not all its memory. Where there may be no more of it, or is no more, free slots elsewhere
// give up theirs: so many slots in hand are worth as many in a row.
absl::Status MemoryRegion::BackRun(uint32_t first, uint32_t slots) {
  uint32_t bare = 0;
  for (uint32_t slot = first; slot < first + slots; ++slot)
    bare += slot >= this->slots() || state_[slot] == SlotState::kBare ? 1 : 0;
  const uint32_t excess = std::max(used_ + backed_ + bare, slots_max_) - slots_max_;
  PunchOutside(first, slots, excess);
  absl::Status backed = Back(first, slots);
  if (backed.ok() || backed_ + excess < slots) return backed;
  PunchOutside(first, slots, bare - excess);
  backed = Back(first, slots);
  system_is_low_ = true;
  return backed;
}

void MemoryRegion::PunchOutside(uint32_t first, uint32_t slots, uint32_t count) {
  for (uint32_t slot = 0; count > 0; ++slot) {
    if (state_.at(slot) != SlotState::kBacked || (slot >= first && slot < first + slots)) continue;
    Punch(slot);
    --count;
  }
}

void MemoryRegion::Punch(uint32_t slot) {
  if (state_[slot] == SlotState::kBacked) --backed_;
  least_backed_ = std::min(least_backed_, backed_);
  state_[slot] = SlotState::kBare;
  const auto offset = static_cast<off_t>(kSlotsOffset + size_t{slot} * slot_bytes_);
  // allowed to fail: then the slot keeps its memory, and nobody counts on it
  std::ignore =
      fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, static_cast<off_t>(slot_bytes_));
}

// In a row; of those that have memory, or of any.
std::optional<uint32_t> MemoryRegion::FindFree(SlotState wanted, uint32_t slots) const {
  uint32_t run = 0;
  for (uint32_t slot = 0; slot < state_.size(); ++slot) {
    const bool fits =
        state_[slot] != SlotState::kUsed && (wanted == SlotState::kBare || state_[slot] == wanted);
    run = fits ? run + 1 : 0;
    if (run == slots) return slot + 1 - slots;
  }
  return std::nullopt;
}

absl::Status MemoryRegion::Back(uint32_t first, uint32_t slots) {
  const auto offset = static_cast<off_t>(kSlotsOffset + size_t{first} * slot_bytes_);
  const int error = posix_fallocate(fd_, offset, static_cast<off_t>(size_t{slots} * slot_bytes_));
  system_is_low_ = error != 0;
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
  least_backed_ = std::min(least_backed_, backed_);
}

void MemoryRegion::Free(uint32_t first, uint32_t slots) {
  for (uint32_t slot = first; slot < first + slots; ++slot) {
    BATON_CHECK(state_[slot] == SlotState::kUsed) << slot;
    --used_;
    state_[slot] = SlotState::kBacked;
    ++backed_;
  }
}

// Those at the end of the file: the first free ones are taken first.
void MemoryRegion::GiveBackIdle() {
  const uint32_t kept = kept_ * (system_is_low_ ? kKeptWhenLow : 1);
  size_t spare = std::min<size_t>(std::max(kept, least_backed_) - kept, kGivenBackAtOnce / slot_bytes_);
  for (uint32_t slot = slots(); spare > 0 && slot-- > 0;) {
    if (state_[slot] != SlotState::kBacked) continue;
    Punch(slot);
    --spare;
  }
  least_backed_ = backed_;
}

absl::Status MemoryRegion::KeepInHand(uint32_t slots) {
  for (uint32_t slot = 0; backed_ < slots; ++slot) {
    if (slot < this->slots() && state_[slot] != SlotState::kBare) continue;
    if (slot >= slots_mapped_ || used_ + backed_ >= slots_max_) return AtLimit(AllowedBytes());
    if (absl::Status backed = Back(slot, 1); !backed.ok()) return backed;
    if (slot >= this->slots()) state_.resize(slot + 1, SlotState::kBare);
    state_[slot] = SlotState::kBacked;
    ++backed_;
  }
  return absl::OkStatus();
}

uint32_t MemoryRegion::Available() const {
  struct statvfs info {};
  if (fstatvfs(fd_, &info) != 0 || info.f_blocks == 0) return Allowed();  // a file system without a limit
  const size_t free = size_t{info.f_bavail} * info.f_frsize / slot_bytes_;
  return static_cast<uint32_t>(std::min<size_t>(Allowed(), free));
}

absl::Status MemoryRegion::WhyNoMore() const {
  return Look().system_has_less ? NoRoom(options_.path, ENOSPC) : AtLimit(AllowedBytes());
}

void MemoryRegion::AllowAtLeast(uint32_t slots) {
  slots_max_ = std::max(slots_max_, std::min(slots, slots_mapped_));
}

// Which of them have memory is not known: it is asked for again, which costs nothing where it is there.
void MemoryRegion::FreeRest() {
  for (uint32_t slot = 0; slot < slots(); ++slot) {
    if (state_[slot] == SlotState::kUsed) continue;
    if (backed_ < kept_ && used_ + backed_ < slots_max_ && Back(slot, 1).ok()) {
      state_[slot] = SlotState::kBacked;
      ++backed_;
    } else {
      Punch(slot);
    }
  }
}

}  // namespace baton
