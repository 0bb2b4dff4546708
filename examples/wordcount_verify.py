"""Judges a run of the word count demo by what its programs logged, against the texts themselves.

Every claim is recomputed here from the files on disk; the word of broker and client library is not taken for it.
The logs have one row a line, written by one write(2), columns separated by tabs; times are microseconds of
CLOCK_MONOTONIC, the same for all processes:

  producer:  confirmed published_us confirmed_us index line priority message_id ("-": confirmed as a duplicate)
  consumer:  delivery start_us queue message_id attempt redelivered priority line checksum words ack|nack
             settled time_us queue message_id attempt ack|nack status ("OK" or an error)

A consumer writes `delivery` before it acknowledges. A line's name is FILE:NUMBER:ROUND.
"""

import dataclasses
import pathlib
from collections import defaultdict


@dataclasses.dataclass(frozen=True)
class Line:
    checksum: str
    words: int
    priority: int


@dataclasses.dataclass(frozen=True)
class Confirmed:
    producer: str
    published_us: int
    confirmed_us: int
    index: int
    line: str
    priority: int
    message_id: str


@dataclasses.dataclass(frozen=True)
class Delivery:
    consumer: str
    start_us: int
    queue: str
    message_id: str
    attempt: int
    redelivered: bool
    priority: int
    line: str
    checksum: str
    words: int
    outcome: str


@dataclasses.dataclass(frozen=True)
class Settled:
    time_us: int
    queue: str
    message_id: str
    attempt: int
    outcome: str
    status: str


@dataclasses.dataclass(frozen=True)
class Claim:
    name: str
    judged: int  # how many things it was checked on; a claim about nothing does not hold
    faults: tuple  # the first few, for people

    @property
    def holds(self):
        return not self.faults and self.judged > 0


@dataclasses.dataclass
class Run:
    """What producers and consumers of one queue logged. `restarts_us`: when a killed broker was started again."""

    lines: dict
    confirmed: list = dataclasses.field(default_factory=list)
    deliveries: list = dataclasses.field(default_factory=list)
    settled: list = dataclasses.field(default_factory=list)
    restarts_us: list = dataclasses.field(default_factory=list)


def fnv1a(data):
    """64 bits of FNV-1a, as examples/wordcount_line.cc computes it."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def read_texts(folder, rounds):
    """name -> Line, of all lines of the regular files of `folder`, `rounds` times; a symbolic link is no text."""
    lines = {}
    for path in sorted(pathlib.Path(folder).iterdir()):
        if path.is_symlink() or not path.is_file():
            continue
        bodies = path.read_bytes().split(b"\n")
        if bodies[-1] == b"":
            bodies.pop()
        for number, body in enumerate(bodies, start=1):
            words = len(body.split())
            line = Line(checksum=f"{fnv1a(body):016x}", words=words, priority=words)
            for round_number in range(rounds):
                lines[f"{path.name}:{number}:{round_number}"] = line
    return lines


def is_poison(line, poison_every):
    """Lines that every consumer of the first queue refuses, so that they end in the dead-letter queue."""
    return poison_every > 0 and fnv1a(line.encode()) % poison_every == 0


def read_log(path, run):
    """Adds a log to `run`. A killed writer's last row may be cut short; such a row never counted."""
    name = pathlib.Path(path).stem
    for row in pathlib.Path(path).read_text().split("\n")[:-1]:
        kind, *c = row.split("\t")
        if kind == "confirmed":
            run.confirmed.append(Confirmed(name, int(c[0]), int(c[1]), int(c[2]), c[3], int(c[4]), c[5]))
        elif kind == "delivery":
            run.deliveries.append(Delivery(
                name, int(c[0]), c[1], c[2], int(c[3]), c[4] == "1", int(c[5]), c[6], c[7], int(c[8]), c[9]))
        elif kind == "settled":
            run.settled.append(Settled(int(c[0]), c[1], c[2], int(c[3]), c[4], c[5]))
        else:
            raise ValueError(f"{path}: unknown row {row!r}")


def claim(name, judged, faults):
    return Claim(name, judged, tuple(faults[:5]))


def every_line_confirmed_once(run):
    seen = defaultdict(int)
    for row in run.confirmed:
        seen[row.line] += 1
    faults = [f"{line}: never confirmed" for line in run.lines if line not in seen]
    faults += [f"{line}: confirmed {times} times" for line, times in seen.items() if times != 1]
    faults += [f"{line}: not a line of the texts" for line in seen if line not in run.lines]
    return claim("every line of the texts was confirmed, once", len(run.lines), faults)


def every_confirmed_line_processed(run):
    right = {d.line for d in run.deliveries
             if d.outcome == "ack" and d.line in run.lines and d.checksum == run.lines[d.line].checksum}
    faults = [f"{row.line}: confirmed and never processed" for row in run.confirmed if row.line not in right]
    return claim("every confirmed line was processed, and its checksum is right", len(run.confirmed), faults)


def nothing_invented(run):
    faults = []
    for d in run.deliveries:
        line = run.lines.get(d.line)
        if line is None:
            faults.append(f"{d.line}: not a line of the texts")
        elif (d.checksum, d.words, d.priority) != (line.checksum, line.words, line.priority):
            faults.append(f"{d.line}: came as {d.checksum}, {d.words} words, priority {d.priority}, is {line}")
    return claim("nothing was invented: text, words and priority agree", len(run.deliveries), faults)


def acked_stays_gone(run):
    acked = {}
    faults = []
    for s in run.settled:
        if (s.outcome, s.status) != ("ack", "OK"):
            continue
        if s.message_id in acked:
            faults.append(f"{s.message_id}: two acks confirmed")
        acked[s.message_id] = min(s.time_us, acked.get(s.message_id, s.time_us))
    faults += [f"{d.line}: delivered to {d.consumer} after its ack was confirmed"
               for d in run.deliveries if d.start_us > acked.get(d.message_id, d.start_us)]
    return claim("no message came back after its ack was confirmed", len(acked), faults)


def repeats_are_flagged(run):
    deliveries = defaultdict(list)
    for d in run.deliveries:
        deliveries[d.queue, d.message_id].append(d)
    faults, repeats = [], 0
    for of_one in deliveries.values():
        of_one.sort(key=lambda d: d.start_us)
        for position, d in enumerate(of_one):
            repeats += position > 0
            if position > 0 and not d.redelivered:
                faults.append(f"{d.line}: delivery {position + 1} of {d.message_id} is not flagged")
            elif d.attempt > 1 and not d.redelivered:
                faults.append(f"{d.line}: attempt {d.attempt} of {d.message_id} is not flagged")
    return claim("every repeated delivery was flagged as redelivered", repeats, faults)


def one_message_per_line(run):
    """A line published again after the kill must not be stored twice. A message that was delivered ahead of its
    commit (eager delivery) and lost by the kill was perhaps seen under another id, but then only before the
    restart, and its ack was never confirmed."""
    lasting = defaultdict(set)
    restart_us = max(run.restarts_us, default=-1)
    acked = {s.message_id for s in run.settled if (s.outcome, s.status) == ("ack", "OK")}
    for row in run.confirmed:
        if row.message_id != "-":
            lasting[row.line].add(row.message_id)
    for d in run.deliveries:
        if d.start_us > restart_us or d.message_id in acked:
            lasting[d.line].add(d.message_id)
    faults = [f"{line}: stored as {sorted(ids)}" for line, ids in lasting.items() if len(ids) > 1]
    return claim("no line was stored twice, not even those sent again after the kill", len(lasting), faults)


def dead_letters_are_the_poison(run, dead_letter_queue, poison_every):
    poison = {line for line in run.lines if is_poison(line, poison_every)}
    dead = {d.line for d in run.deliveries if d.queue == dead_letter_queue}
    wrongly = {d.line for d in run.deliveries if d.queue != dead_letter_queue and d.outcome == "ack"} & poison
    faults = [f"{line}: refused every time, and not in {dead_letter_queue}" for line in sorted(poison - dead)]
    faults += [f"{line}: in {dead_letter_queue}, and was not refused" for line in sorted(dead - poison)]
    faults += [f"{line}: should have been refused, and was processed at once" for line in sorted(wrongly)]
    return claim(f"just the lines refused every time went to {dead_letter_queue}", len(poison), faults)


def word_total(run):
    counted = {d.line: d.words for d in run.deliveries if d.outcome == "ack"}
    expected, found = sum(line.words for line in run.lines.values()), sum(counted.values())
    faults = [] if expected == found else [f"counted {found} words, the texts have {expected}"]
    return claim(f"the job's result is right: {found:,} words", expected, faults)


def drained_in_order(run):
    """For a queue that was filled before one consumer with one handler emptied it: larger priority first; within
    one, nothing overtakes what was confirmed before it was published, nor what its producer sent before it."""
    published = {row.line: row for row in run.confirmed}
    faults = []
    last_priority = None
    newest_us, last_index = 0, {}
    for d in run.deliveries:
        row = published.get(d.line)
        if row is None:
            continue  # nothing_invented, every_line_confirmed_once tell
        if d.priority != last_priority:
            if last_priority is not None and d.priority > last_priority:
                faults.append(f"{d.line}: priority {d.priority} after {last_priority}")
            last_priority, newest_us, last_index = d.priority, 0, {}
        if row.confirmed_us < newest_us:
            faults.append(f"{d.line}: after a message that was published when it was already confirmed")
        if row.index < last_index.get(row.producer, -1):
            faults.append(f"{d.line}: after a later message of {row.producer} with the same priority")
        newest_us = max(newest_us, row.published_us)
        last_index[row.producer] = row.index
    return claim("the backlog came out by priority, first in first out in each", len(run.deliveries), faults)


def kill_was_in_the_middle(run, of_deliveries):
    """A demo in which the kill hit nothing would prove nothing."""
    at = [d.start_us for d in run.deliveries] if of_deliveries else [c.confirmed_us for c in run.confirmed]
    faults = [] if run.restarts_us else ["the broker was not killed"]
    for restart_us in run.restarts_us:
        if not min(at, default=restart_us) < restart_us < max(at, default=restart_us):
            faults.append("nothing happened before the kill, or nothing after it")
    what = "deliveries" if of_deliveries else "confirms"
    return claim(f"the broker was killed in the middle of the {what}", len(at), faults)


def judge_common(run):
    return [every_line_confirmed_once(run), every_confirmed_line_processed(run), nothing_invented(run),
            one_message_per_line(run), acked_stays_gone(run), word_total(run)]


def judge_backlog(run):
    return [kill_was_in_the_middle(run, of_deliveries=False), *judge_common(run), drained_in_order(run)]


def judge_crowd(run, dead_letter_queue, poison_every):
    return [kill_was_in_the_middle(run, of_deliveries=True), *judge_common(run), repeats_are_flagged(run),
            dead_letters_are_the_poison(run, dead_letter_queue, poison_every)]
