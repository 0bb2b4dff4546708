#include "server/config/config.h"

#include <fmt/format.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

#include "base/error.h"
#include "server/config/config_option.h"
#include "server/config/tcp_address.h"

namespace baton {
namespace {

// The declarations. To add an option: a member of Config, a line here, a line in docs/operations.md.
const std::vector<ConfigOption>& Options() {
  static const std::vector<ConfigOption> options = {
      PathOption("data_dir", &Config::data_dir,
                 "where messages are kept; default: /var/lib/baton for root, else ~/.local/share/baton"),
      PathOption("runtime_dir", &Config::runtime_dir,
                 "where the local sockets baton.sock and grpc.sock are; default: $XDG_RUNTIME_DIR/baton, "
                 "/run/baton or /tmp/baton-UID"),
      AddressOption("listen", &Config::listen,
                    "serve gRPC on TCP too; anything but a loopback address needs tls_cert and tls_key"),
      AddressOption("http", &Config::http, "serve /metrics and /healthz; a loopback address"),
      SizeOption("memory_budget", &Config::memory_budget, {.min = 64u << 20, .max = uint64_t{1} << 40},
                 "memory for messages and the store; the process takes more, up to about 1.7 times of it"),
      SizeOption("memory_queue_bytes", &Config::memory_queue_bytes,
                 {.min = 24u << 20, .max = uint64_t{1} << 40},
                 "shared memory for all memory queues; at least half of it holds messages"),
      PathOption("memory_queue_dir", &Config::memory_queue_dir,
                 "where it lies: a file system in memory; default: /dev/shm"),
      SizeOption("wal_bytes_max", &Config::wal_bytes_max, {.min = 8u << 20, .max = uint64_t{1} << 30},
                 "size of the store's log, which a restart reads"),
      SizeOption("disk_free_min", &Config::disk_free_min, {.min = 0, .max = uint64_t{1} << 44},
                 "with less free on the disk, publishers are refused; 0B: what the store may need at once"),
      SizeOption("body_bytes_max", &Config::body_bytes_max, {.min = 1, .max = kBodyBytesCeiling},
                 "of one message"),
      SizeOption("header_bytes_max", &Config::header_bytes_max, {.min = 1u << 10, .max = 1u << 20},
                 "all headers of one message"),
      CountOption("sessions_max", &Config::sessions_max, {.min = 1, .max = 1'000'000}, "sessions at a time"),
      ChoiceOption<LogLevel>("log_level", &Config::log_level,
                             {{"debug", LogLevel::kDebug},
                              {"info", LogLevel::kInfo},
                              {"warning", LogLevel::kWarning},
                              {"error", LogLevel::kError}},
                             "least severe lines to log"),
      ChoiceOption<LogFormat>("log_format", &Config::log_format,
                              {{"text", LogFormat::kText}, {"json", LogFormat::kJson}},
                              "of log lines, on stderr"),
      PathOption("tls_cert", &Config::tls_cert, "PEM file: the certificate chain that `listen` shows"),
      PathOption("tls_key", &Config::tls_key, "PEM file: its private key"),
      PathOption("tls_ca", &Config::tls_ca, "PEM file: clients must show a certificate signed by this"),
  };
  return options;
}

std::vector<std::string> Keys() {
  std::vector<std::string> keys;
  for (const ConfigOption& option : Options()) keys.push_back(option.key);
  return keys;
}

const ConfigOption* Find(std::string_view key) {
  for (const ConfigOption& option : Options()) {
    if (option.key == key) return &option;
  }
  return nullptr;
}

absl::Status UnknownKey(std::string_view key, std::string_view origin) {
  const std::string nearest = NearestWord(key, Keys());
  return InvalidArgument(fmt::format("{}: unknown key \"{}\"; {}", origin, key,
                                     nearest.empty() ? std::string("batond --help lists the known ones")
                                                     : fmt::format("did you mean \"{}\"?", nearest)));
}

absl::Status Set(LoadedConfig& loaded, std::string_view key, std::string_view text,
                 const std::string& origin) {
  const ConfigOption* option = Find(key);
  if (option == nullptr) return UnknownKey(key, origin);
  const absl::Status status = option->set(loaded.config, text);
  if (!status.ok())
    return InvalidArgument(fmt::format("{}: {}: {}", origin, key, std::string(status.message())));
  loaded.origins[option->key] = origin;
  return absl::OkStatus();
}

// A value of the file as the text that a flag would have had.
absl::StatusOr<std::string> TextOf(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
  return InvalidArgument("a text in quotes or a whole number is expected");
}

// For what people write first: memory_budget = 512MiB.
std::string QuotesHint(const std::string& path, size_t line) {
  std::ifstream file(path);
  std::string text;
  for (size_t i = 0; i < line; ++i) {
    if (!std::getline(file, text)) return "";
  }
  const size_t equals = text.find('=');
  const size_t value = equals == std::string::npos ? equals : text.find_first_not_of(" \t", equals + 1);
  if (value == std::string::npos) return "";
  const auto first = static_cast<unsigned char>(text[value]);
  if (std::isdigit(first)) return "; sizes and durations are texts in quotes, as in \"512MiB\"";
  return std::isalpha(first) || first == '/' ? "; texts are in quotes, as in \"info\"" : "";
}

absl::Status LoadFile(const std::string& path, LoadedConfig& loaded) {
  if (std::error_code error; std::filesystem::is_directory(path, error)) {  // it would read as an empty file
    return InvalidArgument(fmt::format("{} is a directory; --config wants the path of a TOML file", path));
  }
  toml::table table;
  try {
    table = toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    return InvalidArgument(at.line == 0 ? fmt::format("{}: {}", path, error.description())
                                        : fmt::format("{}:{}:{}: {}{}", path, at.line, at.column,
                                                      error.description(), QuotesHint(path, at.line)));
  }
  for (const auto& [key, node] : table) {
    const std::string origin = fmt::format("{}:{}", path, node.source().begin.line);
    if (Find(key.str()) == nullptr) return UnknownKey(key.str(), origin);
    const auto text = TextOf(node);
    if (!text.ok()) {
      return InvalidArgument(
          fmt::format("{}: {}: {}", origin, key.str(), std::string(text.status().message())));
    }
    if (absl::Status set = Set(loaded, key.str(), *text, origin); !set.ok()) return set;
  }
  return absl::OkStatus();
}

// Not options, and no mistake: the command line's, the clients', the tests'.
constexpr std::string_view kOtherVariables[] = {"BATON_CONFIG", "BATON_URL", "BATON_SEED", "BATON_HISTORIES",
                                                "BATON_CHANGE"};

absl::Status LoadEnvironment(const std::map<std::string, std::string>& environment, LoadedConfig& loaded) {
  std::vector<std::string> variables;
  for (const ConfigOption& option : Options()) {
    variables.push_back(option.Variable());
    const auto found = environment.find(option.Variable());
    if (found == environment.end()) continue;
    if (absl::Status set = Set(loaded, option.key, found->second, "environment " + option.Variable());
        !set.ok())
      return set;
  }
  for (const auto& [name, value] : environment) {
    if (std::find(std::begin(kOtherVariables), std::end(kOtherVariables), name) != std::end(kOtherVariables))
      continue;
    if (std::find(variables.begin(), variables.end(), name) != variables.end()) continue;
    const std::string nearest = NearestWord(name, variables);
    loaded.warnings.push_back(fmt::format("the variable {} is not one of ours and is ignored{}", name,
                                          nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest)));
  }
  return absl::OkStatus();
}

// What no option can check alone.
absl::Status CheckTogether(const Config& config) {
  if (config.tls_cert.empty() != config.tls_key.empty()) {
    return InvalidArgument("tls_cert and tls_key belong together: set both or neither");
  }
  if (!config.tls_ca.empty() && config.tls_cert.empty())
    return InvalidArgument("tls_ca needs tls_cert and tls_key");
  if (!config.listen.empty() && config.tls_cert.empty() && !ParseTcpAddress(config.listen)->IsLoopback()) {
    return InvalidArgument(
        fmt::format("listen: {} can be reached from other machines, and without TLS anyone there could read "
                    "and write every queue; "
                    "set tls_cert and tls_key (and tls_ca to admit only clients with a certificate), or "
                    "listen on 127.0.0.1",
                    config.listen));
  }
  if (!config.http.empty() && !ParseTcpAddress(config.http)->IsLoopback()) {
    return InvalidArgument(
        fmt::format("http: {} can be reached from other machines, and this port has no TLS; use a loopback "
                    "address, and a proxy in front of it for anyone else",
                    config.http));
  }
  if (config.body_bytes_max * 8 > config.memory_budget) {
    return InvalidArgument(
        fmt::format("body_bytes_max is {} bytes and memory_budget {}: the budget must be at least 8 bodies",
                    config.body_bytes_max, config.memory_budget));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<OptionInfo> ConfigOptions() {
  std::vector<OptionInfo> infos;
  const Config defaults;
  for (const ConfigOption& option : Options()) {
    infos.push_back({.key = option.key,
                     .flag = option.Flag(),
                     .variable = option.Variable(),
                     .value_name = option.value_name,
                     .help = option.help,
                     .default_text = option.get(defaults)});
  }
  return infos;
}

absl::StatusOr<LoadedConfig> LoadConfig(const ConfigSources& sources) {
  LoadedConfig loaded;
  for (const ConfigOption& option : Options()) loaded.origins[option.key] = "default";
  if (!sources.file.empty()) {
    if (absl::Status status = LoadFile(sources.file, loaded); !status.ok()) return status;
  }
  if (absl::Status status = LoadEnvironment(sources.environment, loaded); !status.ok()) return status;
  for (const auto& [key, text] : sources.flags) {
    if (absl::Status status = Set(loaded, key, text, "flag"); !status.ok()) return status;
  }
  if (absl::Status status = CheckTogether(loaded.config); !status.ok()) return status;
  return loaded;
}

std::string PrintConfig(const LoadedConfig& loaded) {
  std::string text;
  for (const ConfigOption& option : Options()) {
    std::ostringstream value;  // quoted and escaped as the file wants it
    if (option.value_name == "N") {
      value << option.get(loaded.config);
    } else {
      value << toml::value<std::string>(option.get(loaded.config));
    }
    text += fmt::format("{} = {}  # {}\n", option.key, value.str(), loaded.origins.at(option.key));
  }
  return text;
}

std::map<std::string, std::string> BatonEnvironment() {
  std::map<std::string, std::string> found;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (text.substr(0, 6) != "BATON_" || equals == std::string_view::npos) continue;
    found.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return found;
}

}  // namespace baton
