// baton status
#pragma once

#include <CLI/App.hpp>

#include "client/cli/global_options.h"

namespace baton::cli {

void AddStatusCommand(CLI::App& app, Invocation& invocation);

}  // namespace baton::cli
