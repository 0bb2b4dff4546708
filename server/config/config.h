// What an operator decides. Every option is declared once, in config.cc: that declaration drives its flag
// (--memory-budget), its key in the configuration file (memory_budget), its environment variable
// (BATON_MEMORY_BUDGET), its default, its range, --print-config and the help.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/limits.h"

namespace baton {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

struct Config {
  std::string data_dir;     // "" = DefaultDataDir()
  std::string runtime_dir;  // "" = DefaultRuntimeDir()
  std::string listen;       // HOST:PORT of gRPC; "" = the local socket only
  std::string http;         // HOST:PORT of /metrics and /healthz; "" = none
  uint64_t memory_budget = 256u << 20;
  uint64_t wal_bytes_max = 64u << 20;
  uint64_t memory_queue_bytes = 256u << 20;   // shared memory of all memory queues
  std::string memory_queue_dir = "/dev/shm";  // where it lies
  uint64_t disk_free_min = 0;                 // 0 = what the store may need at once (docs/storage-format.md)
  uint64_t body_bytes_max = kBodyBytesDefaultMax;
  uint64_t header_bytes_max = kHeaderBytesDefaultMax;
  uint64_t sessions_max = kSessionsDefaultMax;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  std::string tls_cert;  // PEM files; needed for a `listen` that is not loopback
  std::string tls_key;
  std::string tls_ca;  // when set, clients must show a certificate signed by it
};

// One option as the outside sees it; the first layer that names it decides.
struct OptionInfo {
  std::string key;         // memory_budget
  std::string flag;        // --memory-budget
  std::string variable;    // BATON_MEMORY_BUDGET
  std::string value_name;  // SIZE
  std::string help;
  std::string default_text;
};
std::vector<OptionInfo> ConfigOptions();

// The layers below the defaults. Flags and file are pairs of key and text.
struct ConfigSources {
  std::vector<std::pair<std::string, std::string>> flags;
  std::map<std::string, std::string> environment;  // variables that start with BATON_
  std::string file;                                // path; "" = none
};

struct LoadedConfig {
  Config config;
  std::map<std::string, std::string> origins;  // key -> "default", "file …", "environment", "flag"
  std::vector<std::string> warnings;
};

// ERRORS: INVALID_ARGUMENT that names the option, where its value came from, and what is allowed; an unknown
// key names the nearest known one. BLOCKS to read the file.
absl::StatusOr<LoadedConfig> LoadConfig(const ConfigSources& sources);

// As a configuration file, with each value's origin.
std::string PrintConfig(const LoadedConfig& loaded);

// The process's own variables that start with BATON_.
std::map<std::string, std::string> BatonEnvironment();

}  // namespace baton
