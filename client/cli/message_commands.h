// baton message list | show | delete
#pragma once

#include <CLI/App.hpp>

#include "client/cli/global_options.h"

namespace baton::cli {

void AddMessageCommands(CLI::App& app, Invocation& invocation);

}  // namespace baton::cli
