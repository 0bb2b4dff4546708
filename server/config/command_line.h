// batond's command line: a flag for each option of config.cc, and what only answers and ends.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/config.h"

namespace baton {

struct CommandLine {
  Config config;  // data_dir and runtime_dir filled in
  std::vector<std::string> warnings;
  std::string answer;  // --help, --version, --print-config, --check-config: print this and end
};

// Reads flags, environment and file. ERRORS: INVALID_ARGUMENT that says what to write instead.
absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv);

}  // namespace baton
