# Sourced by the scripts: one way to report progress and failure.
if [[ -t 2 && -z "${NO_COLOR:-}" ]]; then
  say_bold=$'\033[1m' say_red=$'\033[31;1m' say_off=$'\033[0m'
else
  say_bold='' say_red='' say_off=''
fi

# Progress goes to stderr, so that a script's stdout stays its result.
say() { printf '%s==> [%4ds] %s%s\n' "$say_bold" "$SECONDS" "$*" "$say_off" >&2; }
die() {
  printf '%serror: %s%s\n' "$say_red" "$*" "$say_off" >&2
  exit 1
}
