// Bodies that tell which they are, and whether they are whole: "KEY|" and filling that follows from key and
// size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace baton {

// `size` is at least that of the key and its mark.
inline std::string MakeTestBody(std::string_view key, size_t size) {
  std::string body(key);
  body.push_back('|');
  uint32_t state = static_cast<uint32_t>(std::hash<std::string_view>{}(key)) ^ static_cast<uint32_t>(size);
  while (body.size() < size) {
    state = state * 1'664'525 + 1'013'904'223;
    body.push_back(static_cast<char>(state >> 24));
  }
  return body;
}

// "": not a body that was made so, or not as it was made.
inline std::string KeyOfTestBody(std::string_view body) {
  const size_t mark = body.find('|');
  if (mark == std::string_view::npos) return "";
  std::string key(body.substr(0, mark));
  return MakeTestBody(key, body.size()) == body ? key : "";
}

}  // namespace baton
