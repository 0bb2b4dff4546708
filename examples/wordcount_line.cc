#include "examples/wordcount_line.h"

#include <algorithm>
#include <fstream>

namespace wordcount {
namespace {

constexpr std::string_view kBlanks = " \t\n\v\f\r";

std::vector<std::filesystem::path> TextFiles(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.is_symlink() && entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::vector<Line> ReadTexts(const std::filesystem::path& folder, uint32_t rounds, Share share) {
  std::vector<Line> lines;
  uint64_t position = 0;
  const auto files = TextFiles(folder);
  for (uint32_t round = 0; round < rounds; ++round) {
    for (const auto& path : files) {
      std::ifstream file(path, std::ios::binary);
      std::string body;
      for (uint64_t number = 1; std::getline(file, body); ++number) {
        if (position++ % share.of != share.number - 1) continue;
        const std::string name =
            path.filename().string() + ":" + std::to_string(number) + ":" + std::to_string(round);
        lines.push_back({.name = name, .body = body});
      }
    }
  }
  return lines;
}

uint32_t CountWords(std::string_view body) {
  uint32_t words = 0;
  size_t start = body.find_first_not_of(kBlanks);
  while (start != std::string_view::npos) {
    ++words;
    const size_t end = body.find_first_of(kBlanks, start);
    start = end == std::string_view::npos ? end : body.find_first_not_of(kBlanks, end);
  }
  return words;
}

uint64_t Checksum(std::string_view bytes) {
  uint64_t value = 0xcbf29ce484222325;
  for (const char byte : bytes) value = (value ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  return value;
}

}  // namespace wordcount
