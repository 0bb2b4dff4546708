"""The rules that this repository keeps about itself. Each returns a list of faults, "path:line: what, and why".

A tree is a dict {path relative to the root: text}; so rules are tried on small invented trees too (repository_test.py).
"""

import pathlib
import posixpath
import re

SOURCE = (".h", ".cc")
LAYERS = ("base", "proto", "local", "storage", "server", "client", "bench", "examples", "tests")

# What a file under the first matching folder may include of this tree ("baton/v1/" are the generated messages).
# storage/ and server/ are rooms: main -> broker -> grpc, local, http -> session -> loop -> engine; config and listen are leaves.
_BELOW = ("base/", "proto/", "baton/v1/")
_LOOP = (*_BELOW, "local/", "storage/store.h", "server/engine/", "server/loop/")
_SESSION = (*_LOOP, "server/session/")
MAY_INCLUDE = [
    ("base/", ("base/",)),
    ("proto/", ("base/", "proto/", "baton/v1/")),
    ("local/", (*_BELOW, "local/")),
    ("storage/format/", ("base/", "storage/format/")),
    ("storage/rocks/", ("base/", "storage/format/", "storage/store.h", "storage/crc32c.h", "storage/posix_file.h", "storage/rocks/")),
    ("storage/memory/", ("base/", "storage/format/", "storage/store.h", "storage/crc32c.h", "storage/posix_file.h", "storage/memory/")),
    ("storage/store.h", ("base/", "storage/format/", "storage/memory/memory_use.h")),
    ("storage/", ("base/", "storage/")),
    ("server/engine/", (*_BELOW, "storage/format/", "storage/store.h", "server/engine/")),
    ("server/loop/", _LOOP),
    ("server/session/", _SESSION),
    ("server/config/", (*_BELOW, "local/descriptor.h", "server/config/")),
    ("server/listen/", ("base/", "local/descriptor.h", "server/listen/")),
    ("server/local/", (*_SESSION, "server/listen/", "server/local/")),
    ("server/grpc/", (*_SESSION, "server/config/", "server/listen/", "server/grpc/")),
    ("server/http/", (*_SESSION, "server/config/", "server/listen/", "server/http/")),
    ("server/", (*_BELOW, "local/", "storage/", "server/")),
    ("client/include/", ("baton/",)),
    ("client/transport/", (*_BELOW, "local/", "baton/", "client/mutex.h", "client/transport/")),
    ("client/session/", (*_BELOW, "baton/", "client/mutex.h", "client/transport/", "client/session/")),
    ("client/", (*_BELOW, "local/", "baton/", "client/")),
    ("examples/", ("baton/", "examples/")),
    ("bench/", (*_BELOW, "local/", "baton/", "client/", "storage/", "server/engine/", "bench/")),
    ("tests/", ("",)),
]

# Third-party headers that stay behind one door: pattern, where they may be, the door in words.
DOORS = [
    (re.compile(r"^rocksdb/"), re.compile(r"^(storage/rocks/rocks_[^/]*|tests/.*|bench/.*)$"), "storage/rocks/rocks_*"),
    (re.compile(r"^(grpc/|grpcpp/|grpc\+\+/)|\.grpc\.pb\.h$"),
     re.compile(r"^((server/grpc|client|client/transport)/grpc_[^/]*|tests/.*|bench/.*)$"), "grpc_* of server/grpc/ and client/"),
    (re.compile(r"^boost/interprocess/"), re.compile(r"^(.*/)?(memory_region|segment)(_test)?\.(h|cc)$"), "segment.{h,cc}"),
    (re.compile(r"^openssl/"), re.compile(r"^(server/config/tls_files\.cc|tests/.*)$"), "server/config/tls_files.cc"),
]

# Pure code: decisions and bytes, no threads, no clock, no input or output.
PURE = ("server/engine/", "storage/format/")
IMPURE_INCLUDE = re.compile(
    r"^(thread|mutex|shared_mutex|condition_variable|future|fstream|iostream|filesystem|cstdio|unistd\.h|fcntl\.h"
    r"|sys/.*|absl/synchronization/.*|absl/time/clock\.h|spdlog/.*)$")

# Banned in code: pattern, the folders it is banned in, why.
EVERYWHERE = LAYERS
PRODUCT = ("base", "proto", "local", "storage", "server", "client")
BANNED = [
    (r"(?<![\w.>:])(?:std::)?system\s*\(", EVERYWHERE, "system() runs a shell; use fork/exec or a test of the program"),
    (r"(?<![\w.>:])(?:std::)?s?rand\s*\(", EVERYWHERE, "rand() has no seed of ours; use a seeded <random> engine"),
    (r"\.\s*detach\s*\(\s*\)", EVERYWHERE, "a detached thread outlives its owner; join it"),
    (r"(?<![\w.>:])(?:std::)?(?:sprintf|vsprintf|strcpy|strcat|gets)\s*\(", EVERYWHERE, "writes past its buffer"),
    (r"\busing\s+namespace\s+(?!\w*_literals|std::\w*literals|std::chrono_literals)std\s*;", EVERYWHERE,
     "names of std hide ours"),
    (r"\bthrow\b(?!\s*\(\s*\))", PRODUCT, "no exceptions cross our functions; return absl::Status"),
    (r"\bassert\s*\(", EVERYWHERE, "is off in release; use BATON_CHECK"),
]
SLEEP = re.compile(r"\b(?:sleep_for|sleep_until|SleepFor)\s*\(|(?<![\w.>:])(?:u|nano)?sleep\s*\(")
SLEEP_ALLOWED = ("tests/crash/", "tests/stress/", "tests/support/")
CLOCK = re.compile(r"\b(?:\w*[cC]lock)::now\s*\(|\bclock_gettime\s*\(|(?<![\w.>:])gettimeofday\s*\(|\babsl::Now\s*\(")

# Written in pieces, so that the rule does not find itself.
MARKERS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")
MACHINE_PATHS = re.compile(r"(?<![\w./-])/(?:" + "|".join(("wo" + "rk", "ro" + "ot")) + r")/[\w.-]")

LINES_MAX = 400
TEST_LINES_MAX = 600
COLUMNS_MAX = 110
# (A service manager is what systemd calls itself.)
VAGUE_NAME = re.compile(r"(^|_)(utils?|common|helpers?|(?<!service_)managers?|misc|impl\d+)(_|$)")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def read_tree(root):
    """Every text file of the tree, build directories and version control left out."""
    tree = {}
    root = pathlib.Path(root)
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        first = name.split("/", 1)[0]
        if first == ".git" or first.startswith("build") or "__pycache__" in name or first in (".cache", ".vscode"):
            continue
        if path.is_file():
            try:
                tree[name] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # golden files and the like
    return tree


def code_only(text):
    """`text` with comments and the insides of literals blanked; line breaks stay, so line numbers do too."""
    token = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<d>[^\s()\\]{0,16})\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"'
        r"|(?<![0-9a-fA-F'])'(?:\\.|[^'\\\n])+'", re.DOTALL)
    return token.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def resolve(folder, relative):
    """The path of `relative` as seen from `folder`, both relative to the root."""
    return posixpath.normpath(posixpath.join(folder, relative))


def sources(tree, suffixes=SOURCE, folders=LAYERS):
    return {p: t for p, t in tree.items() if p.endswith(suffixes) and p.split("/", 1)[0] in folders}


def includes(text):
    for match in INCLUDE.finditer(text):
        yield line_of(text, match.start(1 if match.group(1) else 2)), match.group(1) or match.group(2)


def include_direction(tree):
    faults = []
    ours = tuple(f"{layer}/" for layer in LAYERS) + ("baton/",)
    for path, text in sources(tree).items():
        allowed = next(targets for folder, targets in MAY_INCLUDE if path.startswith(folder))
        for line, target in includes(text):
            public_leak = path.startswith("client/include/") and target.startswith("baton/v1/")
            if target.startswith(ours) and (not target.startswith(allowed) or public_leak):
                faults.append(f"{path}:{line}: includes {target}; from here only {', '.join(allowed)} (folders are layers)")
    return faults


def third_party_doors(tree):
    faults = []
    for path, text in sources(tree).items():
        for line, target in includes(text):
            for pattern, door, words in DOORS:
                if pattern.search(target) and not door.match(path):
                    faults.append(f"{path}:{line}: includes {target}; it belongs behind {words}")
    return faults


def pure_code(tree):
    faults = []
    for path, text in sources(tree).items():
        if not path.startswith(PURE):
            continue
        for line, target in includes(text):
            if IMPURE_INCLUDE.match(target):
                faults.append(f"{path}:{line}: includes {target}; this folder has no threads, clock, input or output")
        code = code_only(text)
        for match in CLOCK.finditer(code):
            faults.append(f"{path}:{line_of(code, match.start())}: reads a clock; `now` is an argument")
    return faults


def is_allowed(text, line):
    """An exception with its reason: `// allowed: why` on the line or the one before."""
    return any(re.search(r"// allowed: \w.{8,}", near) for near in text.split("\n")[max(0, line - 2):line])


def banned_calls(tree):
    faults = []
    for path, text in sources(tree).items():
        code = code_only(text)
        for pattern, folders, why in BANNED:
            if path.split("/", 1)[0] in folders:
                for match in re.finditer(pattern, code):
                    if is_allowed(text, line_of(code, match.start())):
                        continue
                    faults.append(f"{path}:{line_of(code, match.start())}: {match.group().strip()}: {why}")
        if path.startswith("tests/") and not path.startswith(SLEEP_ALLOWED):
            for match in SLEEP.finditer(code):
                faults.append(f"{path}:{line_of(code, match.start())}: sleeps; wait for the event, or move to tests/crash")
    return faults


def listed_sources(tree):
    """A .cc that no CMakeLists.txt names is not compiled: it rots. A header nobody includes is dead."""
    faults = []
    named = set()
    for path, text in tree.items():
        if path.endswith("CMakeLists.txt"):
            here = path.rpartition("/")[0]
            text = re.sub(r"#.*", "", text).replace("${CMAKE_CURRENT_SOURCE_DIR}/", "")
            for root, word in re.findall(r"(\$\{PROJECT_SOURCE_DIR\}/)?([\w./+-]+\.(?:cc|proto))\b", text):
                named.add(resolve("" if root else here, word))
    included = {target for text in sources(tree).values() for _, target in includes(text)}
    for path in sources(tree, (".cc", ".proto")):
        if path not in named:
            faults.append(f"{path}: no CMakeLists.txt lists it, so nothing compiles it")
    for path in sources(tree, (".h",)):
        public = path.removeprefix("client/include/")
        if path not in included and public not in included:
            faults.append(f"{path}: nobody includes it")
    return faults


def scripts(tree, is_executable):
    faults = []
    everything_else = "\n".join(t for p, t in tree.items() if not p.endswith(".py") or p.startswith("tests/"))
    for path, text in tree.items():
        if text.startswith("#!") and not is_executable(path):
            faults.append(f"{path}: starts with #! and is not executable (chmod +x)")
        if not text.startswith("#!") and is_executable(path):
            faults.append(f"{path}: is executable and does not start with #!")
        if text.startswith("#!/usr/bin/env bash") and "set -euo pipefail" not in text:
            faults.append(f"{path}: no `set -euo pipefail`, so it goes on after a failure")
        if path.endswith((".py", ".sh")):
            stem = path.rsplit("/", 1)[-1]
            imported = re.search(r"\b(?:from|import) " + re.escape(stem.removesuffix(".py")) + r"\b", "\n".join(tree.values()))
            if not imported and stem not in everything_else.replace(text, ""):
                faults.append(f"{path}: no script, build file or document mentions it")
    return faults


def markers(tree):
    return [f"{path}:{line_of(text, m.start())}: {m.group()}: finish it or write an issue"
            for path, text in tree.items() for m in MARKERS.finditer(text) if path != "LICENSE"]


def machine_paths(tree):
    return [f"{path}:{line_of(text, m.start())}: a path of one machine: {m.group()}"
            for path, text in tree.items() for m in MACHINE_PATHS.finditer(text)]


def lengths(tree):
    faults = []
    for path, text in tree.items():
        if not path.endswith((".h", ".cc", ".proto", ".py", ".sh", ".cmake", "CMakeLists.txt")):
            continue
        limit = TEST_LINES_MAX if path.startswith("tests/") else LINES_MAX
        count = text.count("\n")
        if count > limit:
            faults.append(f"{path}: {count} lines, at most {limit}: look for the missing noun")
        if path.endswith(SOURCE):
            for number, line in enumerate(text.split("\n"), start=1):
                if len(line) > COLUMNS_MAX and not re.search(r"#include|https?://|R\"", line):
                    faults.append(f"{path}:{number}: {len(line)} columns, at most {COLUMNS_MAX} (clang-format)")
                if line != line.rstrip() or "\t" in line:
                    faults.append(f"{path}:{number}: a tab or a trailing blank (clang-format)")
    return faults


def names(tree):
    faults = []
    for path in tree:
        stem = path.rsplit("/", 1)[-1].split(".")[0]
        if path.endswith((*SOURCE, ".py")) and VAGUE_NAME.search(stem):
            faults.append(f"{path}: a name that says nothing; which noun is it about?")
    for path, text in sources(tree, (".h",)).items():
        if "#pragma once" not in text:
            faults.append(f"{path}: no #pragma once")
    return faults


def links(tree):
    """Documents may only point at files that exist."""
    faults = []
    folders = {p.rsplit("/", depth)[0] for p in tree for depth in range(1, p.count("/") + 1)}
    for path, text in tree.items():
        if not path.endswith(".md"):
            continue
        prose = re.sub(r"```.*?```|`[^`\n]*`", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.DOTALL)
        for match in re.finditer(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
            target = match.group(1)
            if re.match(r"[a-z]+:", target):
                continue
            found = resolve(path.rpartition("/")[0], target)
            if found not in tree and found not in folders:
                faults.append(f"{path}:{line_of(text, match.start())}: links to {target}, which does not exist")
    return faults


def documented_options(tree):
    """Every option that server/config/config.cc declares has its key in docs/operations.md's table of options."""
    keys = re.findall(r'^\s*\w+Option(?:<\w+>)?\(\s*"(\w+)"', tree.get("server/config/config.cc", ""), re.MULTILINE)
    documented = set()
    for line in tree.get("docs/operations.md", "").split("\n"):
        if line.startswith("|"):
            documented.update(re.findall(r"`(\w+)`", line.split("|")[1]))
    return [f"docs/operations.md: the option {key} is not in the table of options"
            for key in keys if key not in documented]


RULES = (include_direction, third_party_doors, pure_code, banned_calls, listed_sources, markers, machine_paths,
         lengths, names, links, documented_options)
