// Log lines on stderr: one event each, a sentence and named values.
//   text  2024-05-01T12:00:00.123Z info  broker ready  epoch=3 queues=17
//   json  {"time":"2024-05-01T12:00:00.123Z","level":"info","event":"broker ready","epoch":"3","queues":"17"}
// THREADS: any.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "server/config/config.h"

namespace spdlog {
class logger;
}

namespace baton {

class Log {
 public:
  using Field = std::pair<std::string_view, std::string>;

  Log(LogLevel level, LogFormat format);
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log();

  void Debug(std::string_view event, std::initializer_list<Field> fields = {});
  void Info(std::string_view event, std::initializer_list<Field> fields = {});
  void Warning(std::string_view event, std::initializer_list<Field> fields = {});
  void Error(std::string_view event, std::initializer_list<Field> fields = {});

 private:
  void Write(LogLevel level, std::string_view event, std::initializer_list<Field> fields);

  const LogFormat format_;
  const std::unique_ptr<spdlog::logger> logger_;
};

// One line, without time and level: what Log writes, for tests.
std::string FormatLogText(std::string_view event, std::initializer_list<Log::Field> fields);
std::string FormatLogJson(std::string_view time, std::string_view level, std::string_view event,
                          std::initializer_list<Log::Field> fields);

}  // namespace baton
