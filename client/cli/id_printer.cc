#include "client/cli/id_printer.h"

#include <utility>

#include "client/cli/output.h"

namespace baton::cli {

IdPrinter::IdPrinter() : thread_([this] { Run(); }) {}

IdPrinter::~IdPrinter() { Finish().IgnoreError(); }

void IdPrinter::Add(std::string line) {
  std::lock_guard<std::mutex> lock(mutex_);
  lines_.push_back(std::move(line));
  changed_.notify_one();
}

absl::Status IdPrinter::Finish() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    finishing_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  return status_;
}

bool IdPrinter::failed() {
  std::lock_guard<std::mutex> lock(mutex_);
  return !status_.ok();
}

void IdPrinter::Run() {
  while (true) {
    std::string text;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return finishing_ || !lines_.empty(); });
      if (lines_.empty() || !status_.ok()) {
        lines_.clear();
        if (finishing_) return;
        continue;
      }
      for (const std::string& line : lines_) text += line;
      lines_.clear();
    }
    absl::Status printed = Print(text);
    if (printed.ok()) continue;
    std::lock_guard<std::mutex> lock(mutex_);
    status_ = std::move(printed);
  }
}

}  // namespace baton::cli
