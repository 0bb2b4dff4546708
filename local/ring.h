// The two ends of a ring: a stream of bytes with one writer and one reader, in memory that both sides write.
//
// Each end keeps its own index in private memory and only shows it to the other; what the other one shows is
// read once, checked, and believed only within the ring's bounds, so a hostile peer can hand over nonsense
// bytes but not make this side read or write elsewhere. An index that cannot be makes the end `broken` for
// good.
//
// WAKING. A side that finds nothing to do sets its flag and looks again; whoever makes progress shows it and
// then looks at the flag. Both orders are sequentially consistent, so at least one of them sees the other
// (Dekker's argument), and a bell is rung only for a side that sleeps. tests/unit/ring_interleavings_test.cc
// explores every order of these steps.
//
// `Indices` is RingIndices, or a model of it in tests. THREADS: one for each end.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "local/segment_layout.h"

namespace baton {

template <class Indices>
class BasicRingWriter {
 public:
  // `bytes` has a power of two. Indices and bytes outlive the end.
  BasicRingWriter(Indices* indices, std::span<char> bytes) : indices_(*indices), bytes_(bytes) {}

  // Copies as much of `data` as there is room for, and says how much. Seen by the reader after Publish.
  size_t Write(std::string_view data) {
    if (bytes_.size() - (tail_ - head_) < data.size()) LookAtHead();
    const size_t count = std::min(data.size(), Room());
    const size_t at = tail_ & (bytes_.size() - 1);
    const size_t until_end = std::min(count, bytes_.size() - at);
    if (count > 0) {
      std::memcpy(bytes_.data() + at, data.data(), until_end);
      std::memcpy(bytes_.data(), data.data() + until_end, count - until_end);
    }
    tail_ += count;
    return count;
  }

  // Shows the reader what was written. True: it sleeps, and its bell must be rung.
  [[nodiscard]] bool Publish() {
    if (published_ == tail_) return false;
    published_ = tail_;
    indices_.tail.store(tail_, std::memory_order_seq_cst);
    return indices_.reader_waits.load(std::memory_order_seq_cst) != 0 &&
           indices_.reader_waits.exchange(0, std::memory_order_seq_cst) != 0;
  }

  // The writer is about to sleep until there is room. False: there is some.
  // REQUIRES: what was written is published.
  [[nodiscard]] bool WaitForRoom() {
    indices_.writer_waits.store(1, std::memory_order_seq_cst);
    LookAtHead();
    if (Room() == 0) return true;
    indices_.writer_waits.store(0, std::memory_order_relaxed);
    return false;
  }

  // As far as is known; looks again when it seems to be full.
  bool HasRoom() {
    if (Room() == 0) LookAtHead();
    return Room() > 0;
  }
  bool broken() const { return broken_; }

 private:
  size_t Room() const { return broken_ ? 0 : bytes_.size() - static_cast<size_t>(tail_ - head_); }
  void LookAtHead() {
    const uint64_t head = indices_.head.load(std::memory_order_seq_cst);
    // Never backwards, never past what was shown.
    if (head < head_ || head > published_) {
      broken_ = true;
      return;
    }
    head_ = head;
  }

  Indices& indices_;
  const std::span<char> bytes_;
  uint64_t tail_ = 0;
  uint64_t published_ = 0;
  uint64_t head_ = 0;  // as last seen
  bool broken_ = false;
};

template <class Indices>
class BasicRingReader {
 public:
  BasicRingReader(Indices* indices, std::span<const char> bytes) : indices_(*indices), bytes_(bytes) {}

  // Copies up to `count` bytes, and says how many there were.
  size_t Read(char* into, size_t count) {
    if (tail_ - head_ < count) LookAtTail();
    count = std::min(count, static_cast<size_t>(tail_ - head_));
    const size_t at = head_ & (bytes_.size() - 1);
    const size_t until_end = std::min(count, bytes_.size() - at);
    if (count > 0) {
      std::memcpy(into, bytes_.data() + at, until_end);
      std::memcpy(into + until_end, bytes_.data(), count - until_end);
    }
    head_ += count;
    return count;
  }

  // Gives the writer the room of what was read. True: it sleeps, and its bell must be rung. It is let sleep
  // until half the ring is free, so that it does not wake for every few bytes.
  [[nodiscard]] bool Release() {
    if (released_ != head_) {
      released_ = head_;
      indices_.head.store(head_, std::memory_order_seq_cst);
    }
    if (indices_.writer_waits.load(std::memory_order_seq_cst) == 0) return false;
    LookAtTail();
    if (tail_ - head_ > bytes_.size() / 2) return false;
    return indices_.writer_waits.exchange(0, std::memory_order_seq_cst) != 0;
  }

  // The reader is about to sleep until there is something. False: there is.
  [[nodiscard]] bool WaitForData() {
    indices_.reader_waits.store(1, std::memory_order_seq_cst);
    LookAtTail();
    if (tail_ == head_ && !broken_) return true;
    indices_.reader_waits.store(0, std::memory_order_relaxed);
    return false;
  }
  // It sleeps no more.
  void StopWaiting() { indices_.reader_waits.store(0, std::memory_order_relaxed); }

  bool HasData() {
    if (tail_ == head_) LookAtTail();
    return tail_ != head_;
  }
  bool broken() const { return broken_; }

 private:
  void LookAtTail() {
    if (broken_) return;
    const uint64_t tail = indices_.tail.load(std::memory_order_seq_cst);
    if (tail < tail_ || tail - released_ > bytes_.size()) {
      broken_ = true;
      return;
    }
    tail_ = tail;
  }

  Indices& indices_;
  const std::span<const char> bytes_;
  uint64_t head_ = 0;
  uint64_t released_ = 0;
  uint64_t tail_ = 0;  // as last seen
  bool broken_ = false;
};

using RingWriter = BasicRingWriter<RingIndices>;
using RingReader = BasicRingReader<RingIndices>;

}  // namespace baton
