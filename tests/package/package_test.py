#!/usr/bin/env python3
"""Installs the built tree into an empty prefix, builds an outside project against it, and runs that: package_test.py
BUILD_DIR CXX_COMPILER [sanitizer flags]."""

import os
import pathlib
import subprocess
import sys
import tempfile

STEP_SECONDS_MAX = 300


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=STEP_SECONDS_MAX,
                          **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def main():
    build, compiler, flags = sys.argv[1], sys.argv[2], " ".join(sys.argv[3:])
    outside = pathlib.Path(__file__).resolve().parent / "outside"
    with tempfile.TemporaryDirectory(prefix="baton-package-") as directory:
        prefix = pathlib.Path(directory) / "prefix"
        run("cmake", "--install", build, "--prefix", prefix)
        installed = {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if path.is_file()}
        for needed in ("bin/batond", "bin/baton", "include/baton/client.h"):
            assert needed in installed, f"{needed} is not installed; these are: {sorted(installed)}"
        run("cmake", "-S", outside, "-B", f"{directory}/build", f"-DCMAKE_PREFIX_PATH={prefix}",
            f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_CXX_FLAGS={flags}")
        run("cmake", "--build", f"{directory}/build")
        program = pathlib.Path(directory) / "build" / "outside"
        done = subprocess.run([program, f"grpc+unix:{directory}/nobody.sock"], capture_output=True, text=True,
                              timeout=STEP_SECONDS_MAX)
        assert done.returncode == 1, done
        assert done.stderr.startswith("BROKER_UNREACHABLE: no broker answers at "), done.stderr
        use_with_broker(prefix, program, pathlib.Path(directory))


def use_with_broker(prefix, program, directory):
    """The installed broker, the installed command line and the outside program together."""
    broker = subprocess.Popen([prefix / "bin/batond", "--data-dir", directory / "data", "--runtime-dir", directory / "run"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        ready = broker.stdout.readline().strip()
        assert ready == "ready", f"batond said {ready!r}"
        url = f"grpc+unix:{directory}/run/grpc.sock"
        run(prefix / "bin/baton", "queue", "create", "orders", env={**os.environ, "BATON_URL": url})
        run(program, url)
    finally:
        broker.terminate()
        broker.wait(STEP_SECONDS_MAX)
        broker.stdout.close()


if __name__ == "__main__":
    main()
