#include "client/cli/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace baton::cli {
namespace {

// Characters of UTF-8 text; not exact for wide ones, which is only a matter of looks.
size_t WidthOf(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string Table::ToText() const {
  std::vector<size_t> widths;
  for (const Column& column : columns_) widths.push_back(WidthOf(column.title));
  for (const auto& row : rows_) {
    BATON_CHECK_EQ(row.size(), columns_.size());
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], WidthOf(row[i]));
  }
  std::string text;
  const auto add_line = [&](const auto& cell_of) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string& cell = cell_of(i);
      const std::string padding(widths[i] - WidthOf(cell), ' ');
      const bool last = i + 1 == columns_.size();
      if (columns_[i].align == Align::kRight) text += padding + cell;
      if (columns_[i].align == Align::kLeft) text += last ? cell : cell + padding;
      text += last ? "\n" : "  ";
    }
  };
  add_line([&](size_t i) -> const std::string& { return columns_[i].title; });
  for (const auto& row : rows_) add_line([&](size_t i) -> const std::string& { return row[i]; });
  return text;
}

std::string ToText(const std::vector<std::pair<std::string, std::string>>& properties) {
  size_t width = 0;
  for (const auto& [name, value] : properties) width = std::max(width, name.size());
  std::string text;
  for (const auto& [name, value] : properties)
    text += fmt::format("{:<{}}  {}\n", name + ":", width + 1, value);
  return text;
}

}  // namespace baton::cli
