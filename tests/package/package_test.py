#!/usr/bin/env python3
"""Installs the built tree into an empty prefix, builds every C++ program that the documents show against it, as an outside
project, and runs them: package_test.py BUILD_DIR CXX_COMPILER [sanitizer flags]."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

STEP_SECONDS_MAX = 300
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# The document, and what each of its programs prints with a broker that has an empty queue `orders`.
DOCUMENTS = {"README.md": ["hello\n"], "docs/client.md": ["hello\n"]}


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=STEP_SECONDS_MAX,
                          **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def write_programs(directory):
    """The C++ blocks of the documents as files: a list of (document, file, what it prints)."""
    programs = []
    for document, outputs in DOCUMENTS.items():
        blocks = re.findall(r"^```cpp\n(.*?)^```", (ROOT / document).read_text(), re.M | re.S)
        assert len(blocks) == len(outputs), f"{document} shows {len(blocks)} programs, this test knows {len(outputs)}"
        for number, (block, output) in enumerate(zip(blocks, outputs)):
            assert "int main(" in block, f"a C++ block of {document} is no program:\n{block}"
            path = directory / f"{pathlib.Path(document).stem.lower()}_{number}.cc"
            path.write_text(block)
            programs.append((document, path, output))
    return programs


def main():
    build, compiler, flags = sys.argv[1], sys.argv[2], " ".join(sys.argv[3:])
    with tempfile.TemporaryDirectory(prefix="baton-package-") as name:
        directory = pathlib.Path(name)
        prefix = directory / "prefix"
        run("cmake", "--install", build, "--prefix", prefix)
        installed = {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if path.is_file()}
        for needed in ("bin/batond", "bin/baton", "include/baton/client.h"):
            assert needed in installed, f"{needed} is not installed; these are: {sorted(installed)}"
        for archive in prefix.rglob("*.a"):
            assert b".gnu.lto_" not in archive.read_bytes(), f"{archive} can be linked by one version of g++ only"
        programs = write_programs(directory)
        run("cmake", "-S", HERE / "outside", "-B", directory / "build", f"-DCMAKE_PREFIX_PATH={prefix}",
            f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_CXX_FLAGS={flags}",
            f"-DPROGRAMS={';'.join(str(path) for _, path, _ in programs)}")
        run("cmake", "--build", directory / "build")
        use_without_broker(directory)
        use_with_broker(prefix, programs, directory)


def use_without_broker(directory):
    done = subprocess.run([directory / "build" / "client_0"], capture_output=True, text=True, timeout=STEP_SECONDS_MAX,
                          env={**os.environ, "BATON_URL": f"grpc+unix:{directory}/nobody.sock"})
    assert done.returncode == 1, done
    assert done.stderr.startswith("BROKER_UNREACHABLE: no broker answers at "), done.stderr


def use_with_broker(prefix, programs, directory):
    """The installed broker, the installed command line and the programs together."""
    broker = subprocess.Popen([prefix / "bin/batond", "--data-dir", directory / "data", "--runtime-dir", directory / "run"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        ready = broker.stdout.readline().strip()
        assert ready == "ready", f"batond said {ready!r}"
        environment = {**os.environ, "BATON_URL": f"grpc+unix:{directory}/run/grpc.sock"}
        run(prefix / "bin/baton", "queue", "create", "orders", env=environment)
        for document, path, output in programs:
            done = run(directory / "build" / path.stem, env=environment)
            assert done.stdout == output, f"the program of {document} printed {done.stdout!r}, expected {output!r}"
        left = run(prefix / "bin/baton", "consume", "orders", env=environment).stdout
        assert left == "", f"the programs left {left!r} behind"
    finally:
        broker.terminate()
        broker.wait(STEP_SECONDS_MAX)
        broker.stdout.close()


if __name__ == "__main__":
    main()
