#include "client/cli/progress_line.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "base/byte_size.h"
#include "client/cli/output.h"
#include "client/cli/text.h"

namespace baton::cli {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPause{200};
constexpr std::chrono::seconds kQuietAtFirst{1};

double Seconds(steady_clock::duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

ProgressLine::ProgressLine(std::string what)
    : what_(std::move(what)), shown_(StderrIsTerminal()), started_(steady_clock::now()), last_(started_) {}

void ProgressLine::Update(uint64_t messages, uint64_t bytes) {
  if (!shown_) return;
  const steady_clock::time_point now = steady_clock::now();
  if (now - started_ < kQuietAtFirst || now - last_ < kPause) return;
  const double rate = static_cast<double>(messages - last_messages_) / Seconds(now - last_);
  const std::string line = fmt::format("\r{} {} ({}), {}/s\x1b[K", CountText(messages), what_,
                                       FormatByteSizeRounded(bytes), CountText(static_cast<uint64_t>(rate)));
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
  last_ = now;
  last_messages_ = messages;
  visible_ = true;
}

void ProgressLine::Clear() {
  if (!visible_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  visible_ = false;
}

std::string Summary(uint64_t messages, uint64_t bytes, steady_clock::duration time, const std::string& what) {
  const double seconds = Seconds(time);
  const double rate = seconds > 0 ? static_cast<double>(messages) / seconds : 0;
  return fmt::format("{} {} ({}) in {:.1f} s, {}/s", CountText(messages), what, FormatByteSizeRounded(bytes),
                     seconds, CountText(static_cast<uint64_t>(rate)));
}

}  // namespace baton::cli
