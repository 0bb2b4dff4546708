#include "server/config/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/runtime_dir.h"
#include "server/config/config_option.h"
#include "server/config/memory_queue_dir.h"
#include "server/config/tls_files.h"

namespace baton {
namespace {

constexpr char kDescription[] =
    "batond keeps priority queues, durable or in shared memory, and serves them over rings in shared memory\n"
    "and over gRPC.\n"
    "Without options it serves this user's own queues on local sockets.\n";

constexpr char kFooter[] =
    "Each option is also a key of the configuration file (memory_budget = \"1GiB\") and an environment "
    "variable\n"
    "(BATON_MEMORY_BUDGET=1GiB). A flag beats the environment, the environment beats the file.\n"
    "\n"
    "examples:\n"
    "  batond                                                   this user's queues, on the local socket\n"
    "  batond --data-dir /srv/queues --memory-budget 1GiB\n"
    "  batond --listen 127.0.0.1:7300 --http 127.0.0.1:7301     loopback ports, with metrics\n";

absl::Status UnknownArgument(const std::string& argument) {
  std::vector<std::string> flags = {"--config", "--check-config", "--print-config", "--version", "--help"};
  for (const OptionInfo& option : ConfigOptions()) flags.push_back(option.flag);
  const std::string nearest = NearestWord(argument.substr(0, argument.find('=')), flags);
  return InvalidArgument(fmt::format("unknown argument \"{}\"; {}", argument,
                                     nearest.empty() ? std::string("batond --help lists the known ones")
                                                     : fmt::format("did you mean {}?", nearest)));
}

absl::Status FillDirectories(Config& config) {
  if (config.data_dir.empty()) {
    const auto data_dir = DefaultDataDir();
    if (!data_dir.ok()) {
      return InvalidArgument(
          "there is no default data directory, because HOME is not set: give --data-dir, or set HOME");
    }
    config.data_dir = *data_dir;
  }
  if (config.runtime_dir.empty()) config.runtime_dir = DefaultRuntimeDir();
  if (const absl::Status fit = CheckSocketPaths(config.runtime_dir); !fit.ok())
    return InvalidArgument(fmt::format("{} (option --runtime-dir)", std::string(fit.message())));
  return absl::OkStatus();
}

// The files that the configuration names: read at a start before anything is made or bound, and by
// --check-config.
absl::Status CheckFiles(const Config& config) {
  if (config.tls_cert.empty()) return absl::OkStatus();
  return ReadTlsFiles({.cert = config.tls_cert, .key = config.tls_key, .ca = config.tls_ca}).status();
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  CLI::App app(kDescription, "batond");
  app.footer(kFooter);
  app.allow_extras();
  ConfigSources sources;
  sources.environment = BatonEnvironment();
  if (const auto found = sources.environment.find("BATON_CONFIG"); found != sources.environment.end()) {
    sources.file = found->second;
  }
  app.add_option("--config", sources.file, "configuration file (TOML), or the variable BATON_CONFIG")
      ->type_name("PATH");
  std::map<std::string, std::string> values;
  std::vector<std::pair<CLI::Option*, std::string>> flags;
  for (const OptionInfo& option : ConfigOptions()) {
    const std::string help =
        option.default_text.empty() ? option.help : fmt::format("{} [{}]", option.help, option.default_text);
    flags.emplace_back(app.add_option(option.flag, values[option.key], help)->type_name(option.value_name),
                       option.key);
  }
  bool print_config = false;
  bool check_config = false;
  bool version = false;
  app.add_flag("--print-config", print_config,
               "print every option, its value and where it comes from, and end");
  app.add_flag("--check-config", check_config, "say whether the configuration is good, and end");
  app.add_flag("--version", version, "print the version, and end");

  CommandLine result;
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    result.answer = app.help();
    return result;
  } catch (const CLI::ParseError& error) {
    return InvalidArgument(fmt::format("{} (batond --help)", error.what()));
  }
  if (const std::vector<std::string> extras = app.remaining(); !extras.empty())
    return UnknownArgument(extras.front());
  if (version) {
    result.answer = fmt::format("batond {}\n", BATON_VERSION);
    return result;
  }
  for (const auto& [option, key] : flags) {
    if (option->count() > 0) sources.flags.emplace_back(key, values[key]);
  }
  auto loaded = LoadConfig(sources);
  if (!loaded.ok()) return loaded.status();
  if (absl::Status status = FillDirectories(loaded->config); !status.ok()) return status;
  result.config = loaded->config;
  result.warnings = loaded->warnings;
  if (print_config) {
    result.answer = PrintConfig(*loaded);
    return result;
  }
  if (absl::Status status = CheckFiles(result.config); !status.ok()) return status;
  for (std::string& warning : MemoryQueueDirWarnings(*loaded)) result.warnings.push_back(std::move(warning));
  if (check_config) result.answer = "the configuration is good\n";
  return result;
}

}  // namespace baton
