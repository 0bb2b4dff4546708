#include "client/session/headers.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/limits.h"

namespace baton::client {
namespace {

constexpr size_t kNameBytesMax = 128;
constexpr std::string_view kBrokersPrefix = "baton-";

}  // namespace

absl::Status FillHeaders(const Headers& headers, v1::Headers& out) {
  if (headers.size() > kHeaderCountMax) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, reason::kHeadersTooLarge,
        fmt::format("the message has {} headers; at most {} are allowed", headers.size(), kHeaderCountMax));
  }
  for (const Header& header : headers) {
    if (header.name.empty() || header.name.size() > kNameBytesMax) {
      return InvalidArgument(fmt::format("a header's name has {} bytes; 1 to {} are allowed",
                                         header.name.size(), kNameBytesMax));
    }
    if (header.name.rfind(kBrokersPrefix, 0) == 0) {
      return InvalidArgument(
          fmt::format("the header \"{}\" cannot be set: names starting with \"{}\" are the broker's",
                      header.name, kBrokersPrefix));
    }
    v1::Header* one = out.add_headers();
    one->set_name(header.name);
    one->set_value(header.value);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> EncodeHeaders(const Headers& headers) {
  if (headers.empty()) return std::string();
  v1::Headers encoded;
  if (absl::Status filled = FillHeaders(headers, encoded); !filled.ok()) return filled;
  std::string bytes;
  if (!encoded.SerializeToString(&bytes)) return InvalidArgument("a header's name is not valid UTF-8");
  return bytes;
}

Headers FromProto(const v1::Headers& headers) {
  Headers out;
  out.reserve(static_cast<size_t>(headers.headers_size()));
  for (const v1::Header& header : headers.headers())
    out.push_back({.name = header.name(), .value = header.value()});
  return out;
}

Headers DecodeHeaders(std::string_view encoded) {
  v1::Headers headers;
  if (!headers.ParseFromArray(encoded.data(), static_cast<int>(encoded.size()))) return {};
  return FromProto(headers);
}

}  // namespace baton::client
