// The memory that a client and the broker share, as each of them maps it. The broker makes it: an unnamed
// file in memory (memfd), sealed so that nobody can change its size under the other's feet, and passed over
// the socket. It is gone when both have let go of it, however they end.
#pragma once

#include <sys/types.h>

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "local/descriptor.h"
#include "local/ring.h"

namespace baton {

class Segment {
 public:
  // The broker's. `ring_bytes` is a power of two from kRingBytesMin to kRingBytesMax.
  // ERRORS: RESOURCE_EXHAUSTED when the system has no memory or descriptors left.
  static absl::StatusOr<Segment> Create(size_t ring_bytes);
  // The client's: maps what the broker sent, and checks that it is what it should be. A forked child does not
  // inherit the mapping. ERRORS: FAILED_PRECONDITION, INVALID_ARGUMENT.
  static absl::StatusOr<Segment> Map(Descriptor file);

  Segment(Segment&&) noexcept = default;
  Segment& operator=(Segment&&) noexcept = default;
  ~Segment() = default;

  RingReader FromClient() const { return {to_broker(), ToBrokerBytes()}; }
  RingWriter ToClient() const { return {to_client(), ToClientBytes()}; }
  RingWriter ToBroker() const { return {to_broker(), ToBrokerBytes()}; }
  RingReader FromBroker() const { return {to_client(), ToClientBytes()}; }

  size_t bytes() const { return region_.get_size(); }
  // To be sent; the broker closes it then.
  Descriptor& file() { return file_; }

 private:
  Segment(Descriptor file, boost::interprocess::mapped_region region, size_t ring_bytes)
      : file_(std::move(file)), region_(std::move(region)), ring_bytes_(ring_bytes) {}

  char* base() const { return static_cast<char*>(region_.get_address()); }
  RingIndices* to_broker() const { return reinterpret_cast<RingIndices*>(base() + kToBrokerIndicesOffset); }
  RingIndices* to_client() const { return reinterpret_cast<RingIndices*>(base() + kToClientIndicesOffset); }
  std::span<char> ToBrokerBytes() const { return {base() + kRingsOffset, ring_bytes_}; }
  std::span<char> ToClientBytes() const { return {base() + kRingsOffset + ring_bytes_, ring_bytes_}; }

  Descriptor file_;
  boost::interprocess::mapped_region region_;
  size_t ring_bytes_;
};

}  // namespace baton
