#include "client/cli/completion_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
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

// What may follow an option that takes a value, by its name: words, or @queues, @files, @anything.
void CollectValues(const CLI::App& command, std::map<std::string, std::string>& values) {
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_type_size() == 0) continue;  // a flag
    std::string value = option->get_type_name();
    if (value.find('|') != std::string::npos) {
      std::replace(value.begin(), value.end(), '|', ' ');
    } else {
      value = value == "QUEUE" ? "@queues" : value == "FILE" ? "@files" : "@anything";
    }
    for (const std::string& name : option->get_lnames()) values["--" + name] = value;
    for (const std::string& name : option->get_snames()) values["-" + name] = value;
  }
  for (const CLI::App* subcommand : command.get_subcommands([](const CLI::App*) { return true; })) {
    CollectValues(*subcommand, values);
  }
}

std::string ValueCasesOf(const CLI::App& app) {
  std::map<std::string, std::string> values;
  CollectValues(app, values);
  std::string cases;
  for (const auto& [name, value] : values) cases += fmt::format("    {}) printf '%s' '{}' ;;\n", name, value);
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
_baton_value() {{
  case "$1" in
{}  esac
}}
_baton_queues() {{
  baton queue list 2>/dev/null | awk 'NR > 1 {{print $1}}'
}}
_baton() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" path="" word words value i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    word="${{COMP_WORDS[i]}}"
    if [[ "$word" == -* ]]; then
      [[ -n "$(_baton_value "$word")" ]] && ((++i))
      continue
    fi
    [[ -n "$(_baton_words "${{path:+$path }}$word")" ]] && path="${{path:+$path }}$word"
  done
  value="$(_baton_value "${{COMP_WORDS[COMP_CWORD - 1]}}")"
  words="$(_baton_words "$path") --url --json --wait"
  if [[ -n "$value" ]]; then
    words="$value"
    case "$value" in
      @queues) words="$(_baton_queues)" ;;
      @files) words="" ;;
      @anything) return ;;
    esac
  elif [[ "$current" != -* ]]; then
    case "$path" in
      "queue create") words="" ;;
      produce | consume | "message list" | "queue "*) words="$(_baton_queues)" ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ "$value" == @files || ("$path" == produce && -z "$value" && ${{#COMPREPLY[@]}} -eq 0) ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}}
complete -F _baton baton
)bash",
                     CasesOf(app, ""), ValueCasesOf(app));
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
