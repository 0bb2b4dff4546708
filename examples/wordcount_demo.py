#!/usr/bin/env python3
"""The main job, end to end, on real input: programs count the words of texts, with Baton between them.

Act 1, queue `ordered`: three producers publish every line, with priorities, while nobody consumes; half-way the
broker is killed with kill -9 and started again. Then one consumer drains the backlog: its order can be judged.

Act 2, queue `lines`: three producers and four consumers at the same time. Some lines are nacked once, a few every
time, so that they end in `lines.dead`. A consumer is killed with kill -9 after a quarter of the deliveries, the
broker after half of them.

Then wordcount_verify.py judges the logs. Exit code 0 only if every claim holds; 2 when it was called wrongly. Run by
scripts/demo.sh.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import wordcount_report as report
import wordcount_verify as verify

PROGRAMS = ("batond", "baton", "wordcount_producer", "wordcount_consumer")
SOCKET_PATH_BYTES_MAX = 107
ROUNDS_MAX = 1000
PRODUCERS = 3
CONSUMERS = 4
NACK_EVERY = 20
POISON_EVERY = 400
ATTEMPTS_MAX = 5  # above what a line that is not poison can meet here: a nack, a killed consumer, a killed broker
STEP_SECONDS_MAX = 180
DOWN_SECONDS = 0.3


class Failed(Exception):
    pass


def say(text):
    print(f"[{time.monotonic() - STARTED:6.2f}s] {text}", flush=True)


def wait_until(condition, what, processes=()):
    deadline = time.monotonic() + STEP_SECONDS_MAX
    while not condition():
        for process in processes:
            if process.popen.poll() not in (None, 0):
                raise Failed(f"{process.name} ended with code {process.popen.returncode}: {process.last_words()}")
        if time.monotonic() > deadline:
            raise Failed(f"waited {STEP_SECONDS_MAX} s for {what}")
        time.sleep(0.005)


class Process:
    """A program of the demo; what it prints goes to a file of its own."""

    def __init__(self, name, folder, *command):
        self.name = name
        self.output = folder / f"{name}.out"
        with open(self.output, "ab") as output:
            self.popen = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=output,
                                          stderr=subprocess.STDOUT)

    def kill_nine(self):
        self.popen.kill()
        self.popen.wait()

    def stop(self):
        """SIGTERM: finishes what it has begun, then ends with code 0."""
        self.popen.send_signal(signal.SIGTERM)
        self.finish()

    def finish(self):
        try:
            code = self.popen.wait(timeout=STEP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end within {STEP_SECONDS_MAX} s") from None
        if code != 0:
            raise Failed(f"{self.name} ended with code {code}: {self.last_words()}")

    def last_words(self):
        return self.output.read_text(errors="replace")[-2000:].strip() or "(no output)"


class RowCount:
    """How many complete rows of a kind the logs of a folder hold; reads only what was added since."""

    def __init__(self, folder, kind):
        self.folder, self.kind, self.seen = folder, kind.encode(), {}

    def total(self):
        for path in self.folder.glob("*.tsv"):
            offset, count = self.seen.get(path, (0, 0))
            with open(path, "rb") as log:
                log.seek(offset)
                added = log.read()
            added = added[:added.rfind(b"\n") + 1]
            count += sum(row.startswith(self.kind) for row in added.split(b"\n"))
            self.seen[path] = (offset + len(added), count)
        return sum(count for _, count in self.seen.values())


class Demo:
    def __init__(self, programs, texts, lines, rounds, folder, grpc):
        self.programs, self.texts, self.lines, self.rounds, self.folder = programs, texts, lines, rounds, folder
        self.socket_path = folder / "run" / ("grpc.sock" if grpc else "baton.sock")
        self.url = f"{'grpc+unix' if grpc else 'unix'}:{self.socket_path}"
        self.processes, self.broker, self.restarts_us = [], None, {}

    # The broker.

    def start_broker(self):
        self.broker = self.start("batond", self.folder, self.programs / "batond", "--data-dir", self.folder / "data",
                                 "--runtime-dir", self.folder / "run")
        wait_until(self.broker_answers, "the broker to answer", [self.broker])

    def broker_answers(self):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket_path)) == 0

    def kill_and_restart_broker(self, queue):
        say(f"kill -9 of the broker (pid {self.broker.popen.pid})")
        self.broker.kill_nine()
        time.sleep(DOWN_SECONDS)
        self.restarts_us[queue] = [time.monotonic_ns() // 1000]
        before = time.monotonic()
        self.start_broker()
        say(f"the broker is back (pid {self.broker.popen.pid}), serving {time.monotonic() - before:.2f} s after start")

    def baton(self, *arguments):
        done = subprocess.run([str(self.programs / "baton"), "--url", self.url, *map(str, arguments)], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=STEP_SECONDS_MAX, check=False)
        if done.returncode != 0:
            raise Failed(f"baton {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def messages_in(self, queue):
        counts = json.loads(self.baton("--json", "queue", "show", queue))["counts"]
        return sum(int(counts.get(state, 0)) for state in ("ready", "leased", "delayed", "parked"))

    # The programs.

    def start(self, name, folder, *command):
        process = Process(name, folder, *command)
        self.processes.append(process)
        return process

    def start_producers(self, queue):
        logs = self.logs(queue)
        return [self.start(f"producer-{n}", logs, self.programs / "wordcount_producer", "--url", self.url,
                           "--queue", queue, "--texts", self.texts, "--rounds", self.rounds,
                           "--share", n, "--shares", PRODUCERS, "--log", logs / f"producer-{n}.tsv")
                for n in range(1, PRODUCERS + 1)]

    def start_consumer(self, name, queue, logs, *options):
        return self.start(name, logs, self.programs / "wordcount_consumer", "--url", self.url, "--queue", queue,
                          "--log", logs / f"{name}.tsv", *options)

    def logs(self, queue):
        folder = self.folder / "logs" / queue
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def tell_who_died(self):
        for process in self.processes:
            if process.popen.poll() not in (None, 0, -signal.SIGKILL):
                code = process.popen.returncode
                print(f"{process.name} ended with code {code}: {process.last_words()}", file=sys.stderr)

    def stop_all(self):
        for process in self.processes:
            if process.popen.poll() is None:
                process.kill_nine()

    # The acts.

    def play_backlog(self):
        total = len(self.lines)
        say(f"act 1: {PRODUCERS} producers publish {total:,} lines to `ordered`, nobody consumes")
        self.baton("queue", "create", "ordered")
        confirmed = RowCount(self.logs("ordered"), "confirmed")
        producers = self.start_producers("ordered")
        late = producers[-1].popen  # however quick the others are, something is left for after the kill
        late.send_signal(signal.SIGSTOP)
        try:
            wait_until(lambda: confirmed.total() >= total // 2, "half of the lines to be confirmed", producers)
            self.kill_and_restart_broker("ordered")
        finally:
            late.send_signal(signal.SIGCONT)
        for producer in producers:
            producer.finish()
        say(f"all producers have ended, {confirmed.total():,} confirmed; one consumer with one handler drains")
        consumer = self.start_consumer("consumer-1", "ordered", self.logs("ordered"), "--handlers", 1)
        delivered = RowCount(self.logs("ordered"), "delivery")
        wait_until(lambda: delivered.total() >= total, "the backlog to be delivered", [consumer])
        consumer.stop()

    def play_crowd(self):
        total = len(self.lines)
        say(f"act 2: {PRODUCERS} producers and {CONSUMERS} consumers on `lines`")
        self.baton("queue", "create", "lines.dead")
        self.baton("queue", "create", "lines", "--dead-letter-queue", "lines.dead", "--attempts-max", ATTEMPTS_MAX)
        logs = self.logs("lines")
        refusals = ("--handlers", 2, "--nack-every", NACK_EVERY, "--poison-every", POISON_EVERY)
        consumers = [self.start_consumer(f"consumer-{n}", "lines", logs, *refusals) for n in range(1, CONSUMERS + 1)]
        delivered = RowCount(logs, "delivery")
        producers = self.start_producers("lines")

        wait_until(lambda: delivered.total() >= total // 4, "a quarter of the deliveries", [*producers, *consumers])
        victim = consumers.pop()
        say(f"kill -9 of {victim.name} (pid {victim.popen.pid})")
        victim.kill_nine()
        wait_until(lambda: delivered.total() >= total // 2, "half of the deliveries", [*producers, *consumers])
        self.kill_and_restart_broker("lines")
        for producer in producers:
            producer.finish()
        wait_until(lambda: self.messages_in("lines") == 0, "`lines` to be empty", consumers)

        say(f"`lines` is empty; {self.messages_in('lines.dead'):,} refused lines are in `lines.dead`: now processed")
        consumers.append(self.start_consumer("consumer-dead", "lines.dead", logs))
        wait_until(lambda: self.messages_in("lines.dead") == 0, "`lines.dead` to be empty", consumers)
        for consumer in consumers:
            consumer.stop()

    def play(self):
        (self.folder / "run").mkdir()
        self.start_broker()
        self.play_backlog()
        self.play_crowd()
        left = {queue: self.messages_in(queue) for queue in ("ordered", "lines", "lines.dead")}
        if any(left.values()):
            raise Failed(f"messages left behind: {left}")
        before = time.monotonic()
        self.broker.stop()
        say(f"the broker stopped on SIGTERM in {time.monotonic() - before:.2f} s")

    def read_run(self, queue):
        run = verify.Run(self.lines, restarts_us=self.restarts_us.get(queue, []))
        for log in sorted(self.logs(queue).glob("*.tsv")):
            verify.read_log(log, run)
        return run

    def judge(self):
        backlog, crowd = self.read_run("ordered"), self.read_run("lines")
        texts = f"{len(self.lines) // self.rounds:,} lines of {self.texts}"
        print(f"\n{texts}, {self.rounds} times, make {len(self.lines):,} messages a queue\n")
        report.print_table([report.queue_row("ordered", backlog.confirmed, backlog),
                            report.queue_row("lines", crowd.confirmed, crowd),
                            report.queue_row("lines.dead", [], crowd)])
        good = report.print_claims("ordered: published while nobody consumed, the broker killed half-way, then drained",
                                   verify.judge_backlog(backlog))
        return report.print_claims("lines: everyone at once, a consumer killed, the broker killed half-way",
                                   verify.judge_crowd(crowd, "lines.dead", POISON_EVERY)) and good


class Options(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"error: {message}\n")  # one line: the help is asked for with --help


def number_of_rounds(text):
    if re.fullmatch("[0-9]{1,4}", text) is None or not 1 <= int(text) <= ROUNDS_MAX:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number from 1 to {ROUNDS_MAX}')
    return int(text)


def read_options():
    parser = Options(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="where batond, baton and the examples are")
    parser.add_argument("--texts", type=pathlib.Path, default="/usr/share/common-licenses", help="folder of texts")
    parser.add_argument("--rounds", type=number_of_rounds, default=10,
                        help="how often every line is published to each queue")
    parser.add_argument("--grpc", action="store_true", help="clients use gRPC, not rings in shared memory")
    parser.add_argument("--keep", action="store_true", help="keep the data directory and the logs")
    parser.add_argument("--check", action="store_true",
                        help="say whether --texts and --rounds can be used, and end; the programs need not be built")
    options = parser.parse_args()
    try:
        options.lines = verify.read_texts(options.texts, options.rounds)
    except OSError as error:
        parser.error(f"--texts: cannot read {error.filename}: {error.strerror}; name a folder of texts")
    if not options.lines:
        parser.error(f"--texts: no regular file in {options.texts} has a line; name a folder of texts")
    for program in () if options.check else PROGRAMS:
        if not (options.bin / program).is_file() or not os.access(options.bin / program, os.X_OK):
            parser.error(f"--bin: there is no program {options.bin / program}; build it (scripts/build.sh), or name the "
                         "folder of the programs")
    return parser, options


def make_folder(parser):
    """Of this run alone; where the paths of its sockets fit."""
    try:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="baton-demo-"))
    except OSError as error:
        parser.error(f"cannot make a temporary directory: {error.strerror}; set TMPDIR to where one can be made")
    longest = folder / "run" / "baton.sock"
    if len(os.fsencode(longest)) <= SOCKET_PATH_BYTES_MAX:
        return folder
    folder.rmdir()
    parser.error(f"the path {longest} has {len(os.fsencode(longest))} bytes, and a socket's has at most "
                 f"{SOCKET_PATH_BYTES_MAX}; set TMPDIR to a shorter one")


def main():
    parser, options = read_options()
    if options.check:
        return 0
    folder = make_folder(parser)
    demo = Demo(options.bin.resolve(), options.texts, options.lines, options.rounds, folder, options.grpc)
    passed = False
    try:
        demo.play()
        passed = demo.judge()
    except Failed as failure:
        print(f"\nerror: {failure}", file=sys.stderr)
        demo.tell_who_died()
    finally:
        demo.stop_all()
        if passed and not options.keep:
            shutil.rmtree(folder)
        else:
            print(f"\ndata and logs: {folder}", file=sys.stderr)
    print("\nThe demo passed." if passed else "\nThe demo FAILED.")
    return 0 if passed else 1


STARTED = time.monotonic()
if __name__ == "__main__":
    sys.exit(main())
