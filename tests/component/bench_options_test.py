#!/usr/bin/env python3
"""baton_bench says what it really does, and refuses what it cannot do: bench_options_test.py BIN_DIR."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BIN = pathlib.Path(sys.argv.pop(1)) if len(sys.argv) > 1 else pathlib.Path("build/bin")
PATIENCE = 60  # seconds for anything; reached only by a failure


def bench(*arguments):
    return subprocess.run([BIN / "baton_bench", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=PATIENCE, check=False)


def forks_of(running):
    """The ids of the processes that run the benchmark's own program, once there are two, the eldest first."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and running.poll() is None:
        children = pathlib.Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        forks = [int(child) for child in children if is_fork(child)]
        if len(forks) == 2:
            return forks
        time.sleep(0.01)
    running.kill()
    raise AssertionError(f"no relay: {running.communicate()[1]}")


def is_fork(process):
    return pathlib.Path(f"/proc/{process}/comm").read_text() == "baton_bench\n"


class BenchOptions(unittest.TestCase):
    def test_counts_and_rates_that_are_none_are_refused_with_what_is_allowed(self):
        for command, option, value, allowed in (("throughput", "--rounds", "-1", "1 to 1000"),
                                                ("open-loop", "--rounds", "0", "1 to 1000"),
                                                ("latency", "--rounds", "few", "1 to 1000"),
                                                ("latency", "--messages", "-1", "0 to "),
                                                ("throughput", "--body-bytes", "-1", "0 to 4194304"),
                                                ("produce", "--messages", "0", "1 to "),
                                                ("produce", "--priorities", "0", "1 to 4294967296"),
                                                ("produce", "--milestone", "0", "1 to "),
                                                ("consume", "--credit", "0", "1 to 65536"),
                                                ("collect", "--handlers", "-1", "0 to 1000"),
                                                ("pace", "--rate", "0", "1 to 1000000000"),
                                                ("pace", "--rate", "-5", "1 to 1000000000"),
                                                ("pace", "--body-bytes", "7", "8 to 67108864")):
            with self.subTest(command=command, option=option, value=value):
                done = bench(command, option, value)
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(done.stdout, "")
                self.assertIn(f"{option}: Value {value} not in range {allowed}", done.stderr)

    def test_a_smoke_run_says_that_it_is_one_and_how_long_it_takes(self):
        done = bench("open-loop", "--smoke")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("smoke run: "), done.stdout)
        self.assertIn("open loop, 1000 messages/s of 1 KiB, 0.1 s, from the intended time:", done.stdout)
        self.assertIn("open loop, 10000 messages/s of 1 KiB, 0.1 s, from the intended time:", done.stdout)
        self.assertNotIn(" 10 s", done.stdout)

    def test_a_benchmark_that_fails_takes_its_directories_with_it(self):
        with tempfile.TemporaryDirectory(prefix="baton-") as directory:
            done = bench("latency", "--batond", "/nonexistent/batond", "--dir", directory)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr, "failed: cannot start /nonexistent/batond: No such file or directory\n")
            self.assertEqual(os.listdir(directory), [])

    def test_a_relay_whose_processes_end_too_early_ends_the_benchmark_and_leaves_nothing_behind(self):
        for number, which in enumerate(("relay", "source")):
            with self.subTest(which=which), tempfile.TemporaryDirectory(prefix="baton-") as directory:
                # For minutes, if nobody noticed.
                with subprocess.Popen([BIN / "baton_bench", "open-loop", "--messages", "1000000", "--dir", directory],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                      text=True) as running:
                    try:
                        os.kill(forks_of(running)[number], signal.SIGKILL)
                        errors = running.communicate(timeout=PATIENCE)[1]
                    finally:
                        running.kill()
                self.assertEqual(running.returncode, 1, errors)
                self.assertEqual(errors, "bare relay: one of its processes ended before its last message\n")
                self.assertEqual(os.listdir(directory), [])


if __name__ == "__main__":
    unittest.main()
