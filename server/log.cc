#include "server/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>

namespace baton {
namespace {

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::string_view NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "info";
}

// UTC, by the wall clock: lines are compared with those of other programs.
std::string UtcNow() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_nsec / 1'000'000);
}

// Bare when it is one word, else as a JSON string, so that a line stays a line whatever a client put into it.
std::string Quoted(std::string_view value) {
  const bool bare = !value.empty() && value.find_first_not_of(
                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                          "0123456789.,_:/+-[]%") == std::string_view::npos;
  if (bare) return std::string(value);
  return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string FormatLogText(std::string_view event, std::initializer_list<Log::Field> fields) {
  std::string line(event);
  const char* separator = "  ";
  for (const auto& [key, value] : fields) {
    line += fmt::format("{}{}={}", separator, key, Quoted(value));
    separator = " ";
  }
  return line;
}

std::string FormatLogJson(std::string_view time, std::string_view level, std::string_view event,
                          std::initializer_list<Log::Field> fields) {
  nlohmann::ordered_json line;
  line["time"] = time;
  line["level"] = level;
  line["event"] = event;
  for (const auto& [key, value] : fields) line[std::string(key)] = value;
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Log::Log(LogLevel level, LogFormat format)
    : format_(format),
      logger_(std::make_unique<spdlog::logger>("batond", std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  logger_->set_pattern("%v");
  logger_->set_level(ToSpdlog(level));
  logger_->flush_on(spdlog::level::debug);
}

Log::~Log() = default;

void Log::Write(LogLevel level, std::string_view event, std::initializer_list<Field> fields) {
  if (!logger_->should_log(ToSpdlog(level))) return;
  const std::string time = UtcNow();
  const std::string line = format_ == LogFormat::kJson ? FormatLogJson(time, NameOf(level), event, fields)
                                                       : fmt::format("{} {:<7} {}", time, NameOf(level),
                                                                     FormatLogText(event, fields));
  logger_->log(ToSpdlog(level), spdlog::string_view_t(line));
}

void Log::Debug(std::string_view event, std::initializer_list<Field> fields) {
  Write(LogLevel::kDebug, event, fields);
}
void Log::Info(std::string_view event, std::initializer_list<Field> fields) {
  Write(LogLevel::kInfo, event, fields);
}
void Log::Warning(std::string_view event, std::initializer_list<Field> fields) {
  Write(LogLevel::kWarning, event, fields);
}
void Log::Error(std::string_view event, std::initializer_list<Field> fields) {
  Write(LogLevel::kError, event, fields);
}

}  // namespace baton
