// A line of a text: its name, its words, its checksum. Shared by the two programs of the word count demo;
// examples/wordcount_verify.py computes the same on its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace wordcount {

// The header that carries the line's name.
inline constexpr std::string_view kNameHeader = "line";

struct Line {
  std::string name;  // FILE:NUMBER:ROUND, numbers from 1, rounds from 0
  std::string body;  // without the line break; any bytes
};

// Which part of the texts a producer publishes: every `of`-th line, starting with the `number`-th (from 1).
struct Share {
  uint32_t number = 1;
  uint32_t of = 1;
};

// The producer's share of all lines of the regular files of `folder` (a symbolic link is no text of its own),
// `rounds` times, in order of file name, line, round by round. Throws std::filesystem::filesystem_error.
std::vector<Line> ReadTexts(const std::filesystem::path& folder, uint32_t rounds, Share share);

// Parts between blanks (ASCII white space).
uint32_t CountWords(std::string_view body);

// 64 bits of FNV-1a.
uint64_t Checksum(std::string_view bytes);

}  // namespace wordcount
