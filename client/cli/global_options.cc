#include "client/cli/global_options.h"

#include <utility>

#include "client/cli/option_types.h"

namespace baton::cli {

void AddGlobalOptions(CLI::App& app, GlobalOptions& options) {
  constexpr const char* kGroup = "Options of every command";
  app.add_option(
         "--url", options.url,
         "The broker: unix:PATH, grpc+unix:PATH, grpc://HOST:PORT or grpcs://HOST:PORT (default: $BATON_URL, "
         "else the "
         "local broker)")
      ->type_name("URL")
      ->group(kGroup);
  app.add_flag("--json", options.json, "Print JSON, for programs")->group(kGroup);
  AddDuration(app, "--wait", options.wait, "Wait this long for a broker that is not there yet")
      ->group(kGroup);
  app.add_option("--tls-ca", options.tls.ca_file, "grpcs: trust certificates signed by this one (PEM)")
      ->type_name("FILE")
      ->group(kGroup);
  app.add_option("--tls-cert", options.tls.certificate_file, "grpcs: this client's certificate (PEM)")
      ->type_name("FILE")
      ->group(kGroup);
  app.add_option("--tls-key", options.tls.key_file, "grpcs: the key of --tls-cert (PEM)")
      ->type_name("FILE")
      ->group(kGroup);
  app.add_option("--tls-server-name", options.tls.server_name, "grpcs: the name in the broker's certificate")
      ->type_name("NAME")
      ->group(kGroup);
}

}  // namespace baton::cli
