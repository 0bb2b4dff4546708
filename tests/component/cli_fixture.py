"""What tests of the command line share: a broker, and `baton` run against it. BIN_DIR is the first argument."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BIN = pathlib.Path(sys.argv.pop(1)) if len(sys.argv) > 1 else pathlib.Path("build/bin")
PATIENCE = 30  # seconds for anything; reached only by a failure
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # None = where temporary files are

OK, FAILURE, USAGE, NOT_FOUND, UNREACHABLE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


class Broker:
    """batond in directories of its own. Its memory queues live from start to stop: a broker that is stopped leaves
    their file behind, as it should, and nobody else would remove it."""

    def __init__(self, directory, *options):
        self.directory = pathlib.Path(directory)
        self.url = f"grpc+unix:{self.directory}/run/grpc.sock"
        self.start(*options)

    def start(self, *options):
        self.log = open(self.directory / "log", "a")
        self.shared = tempfile.TemporaryDirectory(prefix="baton-cli-", dir=MEMORY)
        self.process = subprocess.Popen(
            [BIN / "batond", "--data-dir", self.directory / "data", "--runtime-dir", self.directory / "run", *options],
            env=os.environ | {"BATON_MEMORY_QUEUE_DIR": self.shared.name},  # which an option overrules
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        assert line.strip() == "ready", f"batond said {line!r}: {(self.directory / 'log').read_text()}"

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.log.close()
        self.shared.cleanup()


class CliTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="baton-cli-")
        cls.broker = Broker(cls.directory)

    @classmethod
    def tearDownClass(cls):
        cls.broker.stop()
        shutil.rmtree(cls.directory)

    def setUp(self):
        # A queue of its own for each test.
        self.queue = self._testMethodName.replace("test_", "")
        self.baton("queue", "create", self.queue)

    def environment(self):
        return {**os.environ, "BATON_URL": self.broker.url}

    def spawn(self, *arguments, **options):
        return subprocess.Popen([BIN / "baton", *arguments], stdin=options.pop("stdin", subprocess.PIPE),
                                stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE,
                                env=self.environment(), **options)

    def run_baton(self, *arguments, input=b"", url=None):
        """Exit code, standard output, standard error."""
        environment = self.environment()
        if url is not None:
            environment["BATON_URL"] = url
        done = subprocess.run([BIN / "baton", *arguments], input=input, capture_output=True, env=environment,
                              timeout=PATIENCE)
        return done.returncode, done.stdout, done.stderr.decode()

    def baton(self, *arguments, input=b""):
        code, output, errors = self.run_baton(*arguments, input=input)
        self.assertEqual(code, OK, errors)
        return output

    def fails(self, code, *arguments, input=b"", url=None):
        """The error message."""
        got, output, errors = self.run_baton(*arguments, input=input, url=url)
        self.assertEqual(got, code, f"{output!r} {errors!r}")
        return errors

    def counts(self, queue=None):
        return json.loads(self.baton("queue", "show", queue or self.queue, "--json"))["counts"]

    def wait_for(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"waited for {what}")
            time.sleep(0.02)
