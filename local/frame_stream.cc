#include "local/frame_stream.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace baton {
namespace {

// A frame's memory is taken in steps, as its bytes come.
constexpr size_t kStep = 64u << 10;
// What an end keeps for the next frame, and when it is idle. Ends that stay busy would keep the memory of the
// largest frame they have ever carried.
constexpr size_t kKeptBytesMax = 512u << 10;
constexpr size_t kSpareBytes = 4u << 10;

void WriteLength(size_t length, char* into) {
  for (size_t i = 0; i < kFrameLengthBytes; ++i) into[i] = static_cast<char>((length >> (8 * i)) & 0xff);
}

size_t ReadLength(const char* from) {
  size_t length = 0;
  for (size_t i = 0; i < kFrameLengthBytes; ++i)
    length |= static_cast<size_t>(static_cast<unsigned char>(from[i])) << (8 * i);
  return length;
}

}  // namespace

void FrameSender::Begin(const google::protobuf::MessageLite& frame) {
  BATON_CHECK(idle());
  const size_t length = frame.ByteSizeLong();
  pending_.resize(kFrameLengthBytes + length);
  WriteLength(length, pending_.data());
  // Into private memory first: what the other side can write must not be read back while encoding.
  frame.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(pending_.data() + kFrameLengthBytes));
  sent_ = 0;
}

bool FrameSender::Push() {
  if (idle()) return false;
  const size_t moved = ring_.Write(std::string_view(pending_).substr(sent_));
  sent_ += moved;
  bytes_moved_ += moved;
  if (idle() && pending_.capacity() > kKeptBytesMax) FreeSpareMemory();
  return ring_.Publish();
}

void FrameSender::FreeSpareMemory() {
  if (!idle() || pending_.capacity() <= kSpareBytes) return;
  std::string().swap(pending_);  // assigning an empty one would keep the memory
  sent_ = 0;
}

FrameReceiver::State FrameReceiver::Pull(size_t& budget) {
  if (complete_) {
    complete_ = false;
    allowed_ = plain_bytes_max_;
    have_ = 0;
    expected_ = 0;
    if (buffer_.capacity() > kKeptBytesMax) std::string().swap(buffer_);
  }
  State state = State::kNothing;
  if (have_ < kFrameLengthBytes) state = PullLength(budget);
  if (have_ >= kFrameLengthBytes) state = PullBody(budget);
  return ring_.broken() ? State::kBroken : state;
}

FrameReceiver::State FrameReceiver::PullLength(size_t& budget) {
  const size_t taken = ring_.Read(length_ + have_, std::min(budget, kFrameLengthBytes - have_));
  have_ += taken;
  budget -= taken;
  if (have_ == kFrameLengthBytes) expected_ = ReadLength(length_);
  return State::kNothing;
}

FrameReceiver::State FrameReceiver::PullBody(size_t& budget) {
  if (expected_ > frame_bytes_max_) return State::kTooLarge;
  size_t at = have_ - kFrameLengthBytes;
  const size_t end = std::min(expected_, allowed_);
  while (at < end && budget > 0) {
    const size_t want = std::min({budget, end - at, kStep});
    if (buffer_.size() < at + want) buffer_.resize(at + want);
    const size_t taken = ring_.Read(buffer_.data() + at, want);
    at += taken;
    budget -= taken;
    if (taken < want) break;
  }
  have_ = kFrameLengthBytes + at;
  complete_ = at == expected_;
  if (complete_) return State::kFrame;
  return at == allowed_ && ring_.HasData() ? State::kLarge : State::kNothing;
}

// As much again as has come: what is announced takes no memory, and what comes is copied once or twice.
size_t FrameReceiver::wanted_bytes() const { return std::min(missing_bytes(), std::max(allowed_, kStep)); }

void FrameReceiver::Allow() {
  allowed_ += wanted_bytes();
  buffer_.reserve(allowed_);
}

void FrameReceiver::FreeSpareMemory() {
  if (InFrame() || buffer_.capacity() <= kSpareBytes) return;
  std::string().swap(buffer_);
}

}  // namespace baton
