// baton queue create | list | show | set | delete | purge | pause | resume
#pragma once

#include <CLI/App.hpp>

#include "client/cli/global_options.h"

namespace baton::cli {

void AddQueueCommands(CLI::App& app, Invocation& invocation);

}  // namespace baton::cli
