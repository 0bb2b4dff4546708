// A table for people: a header, then rows, columns as wide as their widest cell.
#pragma once

#include <string>
#include <vector>

namespace baton::cli {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // REQUIRES: as many cells as columns.
  void AddRow(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }

  std::string ToText() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "name: value" lines with the values in one column.
std::string ToText(const std::vector<std::pair<std::string, std::string>>& properties);

}  // namespace baton::cli
