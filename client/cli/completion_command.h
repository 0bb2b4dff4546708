// baton completion bash
#pragma once

#include <CLI/App.hpp>

#include "client/cli/global_options.h"

namespace baton::cli {

void AddCompletionCommand(CLI::App& app, Invocation& invocation);

}  // namespace baton::cli
