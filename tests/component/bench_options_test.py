#!/usr/bin/env python3
"""baton_bench says what it really does, and refuses what it cannot do: bench_options_test.py BIN_DIR."""

import pathlib
import subprocess
import sys
import unittest

BIN = pathlib.Path(sys.argv.pop(1)) if len(sys.argv) > 1 else pathlib.Path("build/bin")
PATIENCE = 60  # seconds for anything; reached only by a failure


def bench(*arguments):
    return subprocess.run([BIN / "baton_bench", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=PATIENCE, check=False)


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


if __name__ == "__main__":
    unittest.main()
