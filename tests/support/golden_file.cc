#include "tests/support/golden_file.h"

#include <fmt/format.h>

#include <fstream>

#include "base/check.h"

namespace baton {

std::string ReadGoldenFile(std::string_view name) {
  const std::string path = fmt::format("{}/{}.hex", BATON_GOLDEN_DIR, name);
  std::ifstream file(path);
  BATON_CHECK(file.good()) << "cannot read " << path;
  std::string digits;
  for (std::string line; std::getline(file, line);) {
    for (const char c : line.substr(0, line.find('#'))) {
      if (c != ' ') digits.push_back(c);
    }
  }
  BATON_CHECK_EQ(digits.size() % 2, 0u) << path;
  std::string bytes;
  for (size_t i = 0; i < digits.size(); i += 2) {
    const std::string pair = digits.substr(i, 2);
    BATON_CHECK(pair.find_first_not_of("0123456789abcdef") == std::string::npos) << path << ": " << pair;
    bytes.push_back(static_cast<char>(std::stoi(pair, nullptr, 16)));
  }
  return bytes;
}

std::string ToHex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes)
    text += fmt::format("{}{:02x}", text.empty() ? "" : " ", static_cast<uint8_t>(byte));
  return text;
}

}  // namespace baton
