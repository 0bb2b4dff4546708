// Every byte of the memory that a client and the broker share. The broker makes it, the client maps it; both
// run on one host, so numbers are in the host's byte order. docs/protocol.md tells the same for other
// languages.
//
//        0  SegmentHeader
//     4096  RingIndices  client -> broker
//     4608  RingIndices  broker -> client
//     8192  bytes of the ring client -> broker (ring_bytes of them, a power of two)
//      ...  bytes of the ring broker -> client (as many)
//
// A ring is a stream of bytes with one writer and one reader; position p of the stream is byte
// p mod ring_bytes. In it stand frames: four bytes of length (little end first), then so many bytes of an
// encoded ClientFrame or ServerFrame. A frame may be longer than the ring: it goes through in parts.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace baton {

inline constexpr uint64_t kSegmentMagic = 0x314745534E544142;  // the bytes "BATNSEG1"
inline constexpr uint32_t kLayoutVersion = 1;

struct SegmentHeader {
  uint64_t magic;
  // Written last, when everything else is in place; 0 until then.
  std::atomic<uint32_t> layout_version;
  uint32_t header_bytes;  // sizeof(SegmentHeader) of the writer
  uint64_t segment_bytes;
  uint64_t ring_bytes;
  uint64_t to_broker_indices;  // offsets from the start of the segment
  uint64_t to_client_indices;
  uint64_t to_broker_bytes;
  uint64_t to_client_bytes;
};

// Each word on cache lines of its own (two, for they are fetched in pairs), because the two sides write
// different ones.
struct RingIndices {
  alignas(128) std::atomic<uint64_t> tail;  // bytes written since the start; only the writer stores
  alignas(128) std::atomic<uint64_t> head;  // bytes read; only the reader stores
  // 1: that side sleeps until the other one clears this and rings its bell.
  alignas(128) std::atomic<uint32_t> reader_waits;
  alignas(128) std::atomic<uint32_t> writer_waits;
};

inline constexpr size_t kHeaderOffset = 0;
inline constexpr size_t kToBrokerIndicesOffset = 4096;
inline constexpr size_t kToClientIndicesOffset = 4608;
inline constexpr size_t kRingsOffset = 8192;

inline constexpr size_t kRingBytesMin = 4u << 10;
inline constexpr size_t kRingBytesDefault = 256u << 10;
inline constexpr size_t kRingBytesMax = 16u << 20;

constexpr size_t SegmentBytes(size_t ring_bytes) { return kRingsOffset + 2 * ring_bytes; }

static_assert(sizeof(SegmentHeader) == 64);
static_assert(offsetof(SegmentHeader, layout_version) == 8);
static_assert(offsetof(SegmentHeader, header_bytes) == 12);
static_assert(offsetof(SegmentHeader, segment_bytes) == 16);
static_assert(offsetof(SegmentHeader, ring_bytes) == 24);
static_assert(offsetof(SegmentHeader, to_broker_indices) == 32);
static_assert(offsetof(SegmentHeader, to_client_indices) == 40);
static_assert(offsetof(SegmentHeader, to_broker_bytes) == 48);
static_assert(offsetof(SegmentHeader, to_client_bytes) == 56);
static_assert(sizeof(RingIndices) == 512 && alignof(RingIndices) == 128);
static_assert(offsetof(RingIndices, tail) == 0);
static_assert(offsetof(RingIndices, head) == 128);
static_assert(offsetof(RingIndices, reader_waits) == 256);
static_assert(offsetof(RingIndices, writer_waits) == 384);
static_assert(kToBrokerIndicesOffset % alignof(RingIndices) == 0);
static_assert(kToClientIndicesOffset == kToBrokerIndicesOffset + sizeof(RingIndices));
static_assert(kToClientIndicesOffset + sizeof(RingIndices) <= kRingsOffset);
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free);

}  // namespace baton
