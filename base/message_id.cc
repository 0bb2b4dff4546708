#include "base/message_id.h"

#include "base/coding.h"

namespace baton {
namespace {

// RFC 4648 "base32hex" without padding, in lower case: sorts as the bytes do.
constexpr char kAlphabet[] = "0123456789abcdefghijklmnopqrstuv";

std::string ToBase32(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() * 8 + 4) / 5);
  uint32_t bits = 0;
  int count = 0;
  for (const char byte : bytes) {
    bits = (bits << 8) | static_cast<uint8_t>(byte);
    for (count += 8; count >= 5; count -= 5) text.push_back(kAlphabet[(bits >> (count - 5)) & 31]);
  }
  if (count > 0) text.push_back(kAlphabet[(bits << (5 - count)) & 31]);
  return text;
}

std::optional<std::string> FromBase32(std::string_view text, size_t size) {
  if (text.size() != (size * 8 + 4) / 5) return std::nullopt;
  std::string bytes;
  bytes.reserve(size);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t value = c == '\0' ? std::string_view::npos : std::string_view(kAlphabet).find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = (bits << 5) | static_cast<uint32_t>(value);
    count += 5;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<char>(bits >> count));
    }
  }
  if ((bits & ((1u << count) - 1)) != 0) return std::nullopt;  // one text per value
  return bytes;
}

}  // namespace

void MessageId::AppendTo(std::string& out) const {
  AppendFixed32(out, (static_cast<uint32_t>(birth) << 24) | lane);
  AppendFixed32(out, queue.value());
  AppendFixed64(out, seq.value());
  AppendFixed64(out, place);
}

std::optional<MessageId> MessageId::FromBytes(std::string_view bytes) {
  if (bytes.size() != kBytes) return std::nullopt;
  ByteReader reader(bytes);
  const uint32_t head = reader.Fixed32();
  MessageId id{
      .birth = static_cast<Birth>(head >> 24), .lane = head & 0xffffff, .queue = {}, .seq = {}, .place = 0};
  id.queue = QueueId(reader.Fixed32());
  id.seq = Seq(reader.Fixed64());
  id.place = reader.Fixed64();
  const bool known = id.birth == Birth::kReady || id.birth == Birth::kDelayed;
  if (!known || !id.queue || !id.seq || id.place > INT64_MAX) return std::nullopt;
  return id;
}

std::string MessageId::ToText() const {
  std::string bytes;
  AppendTo(bytes);
  return ToBase32(bytes);
}

std::optional<MessageId> MessageId::FromText(std::string_view text) {
  const auto bytes = FromBase32(text, kBytes);
  return bytes.has_value() ? FromBytes(*bytes) : std::nullopt;
}

std::string LeaseToken::ToText() const {
  std::string bytes;
  AppendFixed32(bytes, epoch.value());
  AppendFixed64(bytes, delivery.value());
  AppendFixed32(bytes, attempt);
  id.AppendTo(bytes);
  return ToBase32(bytes);
}

std::optional<LeaseToken> LeaseToken::FromText(std::string_view text) {
  const auto bytes = FromBase32(text, kBytes);
  if (!bytes.has_value()) return std::nullopt;
  ByteReader reader(*bytes);
  LeaseToken token;
  token.epoch = Epoch(reader.Fixed32());
  token.delivery = DeliveryNumber(reader.Fixed64());
  token.attempt = reader.Fixed32();
  const auto id = MessageId::FromBytes(reader.Rest());
  if (!id.has_value() || token.attempt == 0) return std::nullopt;
  token.id = *id;
  return token;
}

}  // namespace baton
