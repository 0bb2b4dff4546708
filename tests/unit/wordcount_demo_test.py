#!/usr/bin/env python3
"""The demo, called wrongly: one line that says what is wrong, exit code 2, and nothing left behind."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 30  # seconds for anything; reached only by a failure
PROGRAMS = ("batond", "baton", "wordcount_producer", "wordcount_consumer")


class WrongCall(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.temporary = self.directory / "tmp"
        self.programs = self.directory / "bin"
        self.texts = self.directory / "texts"
        for folder in (self.temporary, self.programs, self.texts):
            folder.mkdir()
        for program in PROGRAMS:
            (self.programs / program).touch(mode=0o755)
        (self.texts / "text").write_text("a line\n")

    def refusal(self, command, *arguments, temporary=None, folder=PROJECT):
        """What it says, on one line."""
        done = subprocess.run([*command, *map(str, arguments)], cwd=folder, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=PATIENCE, check=False,
                              env={**os.environ, "TMPDIR": str(temporary or self.temporary)})
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertRegex(done.stderr, r"\Aerror: [^\n]+\n\Z")
        self.assertEqual(list(self.temporary.iterdir()), [])
        return done.stderr

    def demo(self, *arguments, **options):
        return self.refusal([sys.executable, "-B", PROJECT / "examples/wordcount_demo.py"], *arguments, **options)

    def script(self, *arguments, **options):
        return self.refusal([PROJECT / "scripts/demo.sh", "--no-install"], *arguments, **options)

    def test_rounds_are_a_number_from_1_to_1000(self):
        for rounds in ("0", "-1", "abc", "1001", "1e3", "", " 5"):
            self.assertIn(f'--rounds: "{rounds}" is not a whole number from 1 to 1000',
                          self.demo("--bin", self.programs, "--texts", self.texts, f"--rounds={rounds}"))

    def test_texts_are_a_folder_with_a_line_in_it(self):
        self.assertIn(f"--texts: cannot read {self.directory}/none: No such file",
                      self.demo("--bin", self.programs, "--texts", self.directory / "none"))
        self.assertIn(f"--texts: cannot read {self.texts}/text: Not a directory",
                      self.demo("--bin", self.programs, "--texts", self.texts / "text"))
        (self.texts / "text").write_text("")
        self.assertIn(f"--texts: no regular file in {self.texts} has a line",
                      self.demo("--bin", self.programs, "--texts", self.texts))

    def test_a_program_that_is_not_there_is_named(self):
        self.assertIn("--bin", self.demo("--texts", self.texts))
        for program in PROGRAMS:
            (self.programs / program).unlink()
            self.assertIn(f"--bin: there is no program {self.programs / program}; build it",
                          self.demo("--bin", self.programs, "--texts", self.texts))
            (self.programs / program).touch(mode=0o755)

    def test_a_folder_for_temporary_files_without_room_for_sockets_is_left_empty(self):
        deep = self.directory / ("x" * 100)
        deep.mkdir()
        self.assertIn("a socket's has at most 107; set TMPDIR",
                      self.demo("--bin", self.programs, "--texts", self.texts, temporary=deep))
        self.assertEqual(list(deep.iterdir()), [])

    def test_the_script_says_so_before_it_builds(self):
        self.assertIn('--rounds: "-1" is not', self.script("--rounds", "-1"))
        self.assertIn("--rounds needs a value", self.script("--rounds"))
        self.assertIn("unknown option: --round", self.script("--round", "3"))
        self.assertIn(f"cannot read {self.directory}/none", self.script("--texts", "none", folder=self.directory))


if __name__ == "__main__":
    unittest.main()
