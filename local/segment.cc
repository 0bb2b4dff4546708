#include "local/segment.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/error.h"

namespace baton {
namespace {

namespace ipc = boost::interprocess;

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// What Boost.Interprocess maps: anything with a handle.
struct Mappable {
  int fd;
  ipc::mapping_handle_t get_mapping_handle() const { return {.handle = fd}; }
};

absl::Status NoMemory(std::string_view what, int error) {
  return MakeError(absl::StatusCode::kResourceExhausted, reason::kSessionLimit,
                   fmt::format("no memory for a local session ({}: {})", what, std::strerror(error)));
}

absl::Status NotASegment(std::string_view what) {
  return MakeError(absl::StatusCode::kFailedPrecondition, reason::kProtocolViolation,
                   fmt::format("what the broker sent is not the memory of a session: {}", what));
}

absl::StatusOr<ipc::mapped_region> MapFile(int fd, size_t bytes) {
  try {
    return ipc::mapped_region(Mappable{fd}, ipc::read_write, 0, bytes);
  } catch (const ipc::interprocess_exception& error) {
    return NoMemory("mmap", error.get_native_error());
  }
}

}  // namespace

absl::StatusOr<Segment> Segment::Create(size_t ring_bytes) {
  BATON_CHECK(std::has_single_bit(ring_bytes) && ring_bytes >= kRingBytesMin && ring_bytes <= kRingBytesMax);
  const size_t bytes = SegmentBytes(ring_bytes);
  Descriptor file(memfd_create("baton-session", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return NoMemory("memfd_create", errno);
  if (ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) return NoMemory("ftruncate", errno);
  if (fcntl(file.get(), F_ADD_SEALS, kSeals) != 0) return NoMemory("F_ADD_SEALS", errno);
  auto region = MapFile(file.get(), bytes);
  if (!region.ok()) return region.status();
  char* base = static_cast<char*>(region->get_address());
  new (base + kToBrokerIndicesOffset) RingIndices{};
  new (base + kToClientIndicesOffset) RingIndices{};
  auto* header = new (base) SegmentHeader{};
  header->magic = kSegmentMagic;
  header->header_bytes = sizeof(SegmentHeader);
  header->segment_bytes = bytes;
  header->ring_bytes = ring_bytes;
  header->to_broker_indices = kToBrokerIndicesOffset;
  header->to_client_indices = kToClientIndicesOffset;
  header->to_broker_bytes = kRingsOffset;
  header->to_client_bytes = kRingsOffset + ring_bytes;
  header->layout_version.store(kLayoutVersion, std::memory_order_release);
  return Segment(std::move(file), *std::move(region), ring_bytes);
}

absl::StatusOr<Segment> Segment::Map(Descriptor file) {
  struct stat info {};
  if (fstat(file.get(), &info) != 0) return NotASegment(std::strerror(errno));
  const int seals = fcntl(file.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) return NotASegment("its size is not sealed");
  const auto bytes = static_cast<size_t>(info.st_size);
  if (bytes < SegmentBytes(kRingBytesMin) || bytes > SegmentBytes(kRingBytesMax))
    return NotASegment("its size");
  auto region = MapFile(file.get(), bytes);
  if (!region.ok()) return region.status();
  const auto& header = *static_cast<const SegmentHeader*>(region->get_address());
  if (header.magic != kSegmentMagic) return NotASegment("its first bytes");
  const uint32_t version = header.layout_version.load(std::memory_order_acquire);
  if (version != kLayoutVersion) {
    return NotASegment(
        fmt::format("its layout has version {}, and this client knows {}", version, kLayoutVersion));
  }
  const size_t ring_bytes = header.ring_bytes;
  const bool as_known = std::has_single_bit(ring_bytes) && SegmentBytes(ring_bytes) == bytes &&
                        header.segment_bytes == bytes && header.to_broker_indices == kToBrokerIndicesOffset &&
                        header.to_client_indices == kToClientIndicesOffset &&
                        header.to_broker_bytes == kRingsOffset &&
                        header.to_client_bytes == kRingsOffset + ring_bytes;
  if (!as_known) return NotASegment("its header");
  if (madvise(region->get_address(), bytes, MADV_DONTFORK) != 0) return NotASegment(std::strerror(errno));
  return Segment(std::move(file), *std::move(region), ring_bytes);
}

}  // namespace baton
