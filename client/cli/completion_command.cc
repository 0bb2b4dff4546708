#include "client/cli/completion_command.h"

#include <fmt/format.h>

#include <string>

#include "client/cli/exit_code.h"
#include "client/cli/output.h"
#include "client/cli/report.h"

namespace baton::cli {
namespace {

// The words that may follow a command: its subcommands and its long options.
std::string WordsOf(const CLI::App& command) {
  std::string words;
  for (const CLI::App* subcommand : command.get_subcommands([](const CLI::App*) { return true; })) {
    words += " " + subcommand->get_name();
  }
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) words += " --" + name;
  }
  return words.empty() ? words : words.substr(1);
}

// One `case` arm for each command, by its path.
std::string CasesOf(const CLI::App& command, const std::string& path) {
  std::string cases = fmt::format("    \"{}\") words=\"{}\" ;;\n", path, WordsOf(command));
  for (const CLI::App* subcommand : command.get_subcommands([](const CLI::App*) { return true; })) {
    cases +=
        CasesOf(*subcommand, path.empty() ? subcommand->get_name() : path + " " + subcommand->get_name());
  }
  return cases;
}

// Completes commands and options from this very program's description, and names of queues by asking the
// broker.
std::string BashScript(const CLI::App& app) {
  return fmt::format(R"bash(# bash completion for baton; load it with: source <(baton completion bash)
_baton_words() {{
  local words=""
  case "$1" in
{}  esac
  printf '%s' "$words"
}}
_baton() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" path="" word words i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    word="${{COMP_WORDS[i]}}"
    [[ "$word" == -* ]] && continue
    [[ -n "$(_baton_words "${{path:+$path }}$word")" ]] && path="${{path:+$path }}$word"
  done
  words="$(_baton_words "$path") --url --json --wait"
  if [[ "$current" != -* ]]; then
    case "$path" in
      produce | consume | "message list" | "queue "*)
        words="$(baton queue list 2>/dev/null | awk 'NR > 1 {{print $1}}')" ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ "$path" == produce && ${{#COMPREPLY[@]}} -eq 0 ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}}
complete -F _baton baton
)bash",
                     CasesOf(app, ""));
}

}  // namespace

void AddCompletionCommand(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand("completion", "Print a script that completes command lines");
  command->require_subcommand(1);
  CLI::App* bash = command->add_subcommand("bash", "For bash: source <(baton completion bash)");
  bash->callback([&invocation, &app] {
    invocation.run = [&app] {
      const absl::Status printed = Print(BashScript(app));
      return printed.ok() ? static_cast<int>(kOk) : Report(printed);
    };
  });
}

}  // namespace baton::cli
