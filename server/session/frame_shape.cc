#include "server/session/frame_shape.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/limits.h"
#include "baton/v1/session.pb.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "server/session/session_frames.h"

namespace baton {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using v1::ClientFrame;

// So few bytes cannot hold much.
constexpr size_t kSmallFrameBytes = 512;
// A settlement has up to six fields, and stands in one; that is the most that any good frame may hold.
constexpr size_t kFieldsMax = 8 * kSettleTagsMax;

class Shape {
 public:
  // False: it cannot be read.
  bool Count(CodedInputStream& in) {
    while (const uint32_t tag = in.ReadTag()) {
      const auto number = static_cast<size_t>(WireFormatLite::GetTagFieldNumber(tag));
      if (++fields_ > kFieldsMax) return true;
      if (number < entries_.size()) ++entries_[number];
      const bool nests = WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED &&
                         number < entries_.size();
      if (!(nests ? CountEntry(in, number) : Skip(in, tag))) return false;
    }
    return in.ConsumedEntireMessage();
  }

  absl::Status Check() const {
    const std::array<std::pair<size_t, size_t>, 5> limits = {
        {{fields_, kFieldsMax},
         {entries_[ClientFrame::kPublishFieldNumber], kPublishCreditMessages},
         {headers_, kPublishCreditMessages},
         {entries_[ClientFrame::kSettleFieldNumber], kSettleTagsMax},
         {entries_[ClientFrame::kSubscribeFieldNumber] + entries_[ClientFrame::kCreditFieldNumber] +
              entries_[ClientFrame::kUnsubscribeFieldNumber],
          kFrameEntriesMax}}};
    for (const auto& [count, max] : limits) {
      if (count > max) {
        return ProtocolViolation(
            fmt::format("the frame holds {} of something; at most {} are allowed", count, max));
      }
    }
    return absl::OkStatus();
  }

 private:
  bool CountEntry(CodedInputStream& in, size_t entry) {
    uint32_t length = 0;
    if (!in.ReadVarint32(&length)) return false;
    const auto outer = in.PushLimit(static_cast<int>(length));
    while (const uint32_t tag = in.ReadTag()) {
      if (++fields_ > kFieldsMax) return true;
      const bool is_header = entry == ClientFrame::kPublishFieldNumber &&
                             WireFormatLite::GetTagFieldNumber(tag) == v1::PublishBatch::kHeadersFieldNumber;
      headers_ += is_header ? 1 : 0;
      if (!Skip(in, tag)) return false;
    }
    const bool whole = in.ConsumedEntireMessage();
    in.PopLimit(outer);
    return whole;
  }

  // The content of a group is counted like that of what it stands in.
  static bool Skip(CodedInputStream& in, uint32_t tag) {
    uint64_t number = 0;
    uint32_t length = 0;
    switch (WireFormatLite::GetTagWireType(tag)) {
      case WireFormatLite::WIRETYPE_VARINT:
        return in.ReadVarint64(&number);
      case WireFormatLite::WIRETYPE_FIXED64:
        return in.Skip(8);
      case WireFormatLite::WIRETYPE_LENGTH_DELIMITED:
        return in.ReadVarint32(&length) && length <= kFrameBytesMax && in.Skip(static_cast<int>(length));
      case WireFormatLite::WIRETYPE_START_GROUP:
      case WireFormatLite::WIRETYPE_END_GROUP:
        return true;
      case WireFormatLite::WIRETYPE_FIXED32:
        return in.Skip(4);
    }
    return false;
  }

  size_t fields_ = 0;
  size_t headers_ = 0;
  std::array<size_t, ClientFrame::kUnsubscribeFieldNumber + 1> entries_ = {};  // by their field's number
};

}  // namespace

absl::Status CheckFrameShape(std::string_view encoded) {
  if (encoded.size() <= kSmallFrameBytes) return absl::OkStatus();
  CodedInputStream in(reinterpret_cast<const uint8_t*>(encoded.data()), static_cast<int>(encoded.size()));
  Shape shape;
  if (!shape.Count(in)) return ProtocolViolation("a frame cannot be read");
  return shape.Check();
}

}  // namespace baton
