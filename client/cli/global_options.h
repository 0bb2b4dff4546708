// The options that every command has.
#pragma once

#include <CLI/App.hpp>
#include <chrono>
#include <functional>
#include <string>

#include "baton/client.h"

namespace baton::cli {

enum class Format { kText, kJson };

struct GlobalOptions {
  std::string url;  // "" = BATON_URL, else the local broker
  bool json = false;
  std::chrono::milliseconds wait{0};  // for a broker that is not there yet
  TlsOptions tls;

  Format format() const { return json ? Format::kJson : Format::kText; }
};

void AddGlobalOptions(CLI::App& app, GlobalOptions& options);

// What parsing the command line found: the command to run. Returns the exit code.
struct Invocation {
  GlobalOptions global;
  std::function<int()> run;
};

}  // namespace baton::cli
