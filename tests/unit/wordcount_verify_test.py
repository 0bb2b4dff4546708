#!/usr/bin/env python3
"""The demo's verifier must accept a correct run, and refuse each kind of wrong one by the claim made for it."""

import dataclasses
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples"))
import wordcount_verify as verify  # noqa: E402

RESTART_US = 1_000
POISON_EVERY = 5


def text_lines(count):
    return {f"text:{n}:0": verify.Line(checksum=f"{n:016x}", words=n % 4, priority=n % 4) for n in range(1, count + 1)}


def delivery(line, lines, start_us, **changes):
    facts = lines[line]
    made = verify.Delivery(consumer="consumer-1", start_us=start_us, queue="lines", message_id="id-" + line, attempt=1,
                           redelivered=False, priority=facts.priority, line=line, checksum=facts.checksum,
                           words=facts.words, outcome="ack")
    return dataclasses.replace(made, **changes)


def ack(d, time_us):
    return verify.Settled(time_us, d.queue, d.message_id, d.attempt, "ack", "OK")


def confirm_all(run):
    for index, (name, facts) in enumerate(run.lines.items()):
        run.confirmed.append(verify.Confirmed("producer-1", 10 * index, 10 * index + 2_000 * (index % 2), index, name,
                                              facts.priority, "id-" + name))


def correct_backlog(count=40):
    """Published around the restart, then drained by one consumer in delivery order."""
    run = verify.Run(text_lines(count), restarts_us=[RESTART_US])
    confirm_all(run)
    order = sorted(run.confirmed, key=lambda row: (-row.priority, row.index))
    for position, row in enumerate(order):
        d = delivery(row.line, run.lines, 10_000 + position)
        run.deliveries.append(d)
        run.settled.append(ack(d, 20_000 + position))
    return run


def correct_crowd(count=40):
    """Drained around the restart; every third line is nacked once, poison is dead-lettered and processed there."""
    run = verify.Run(text_lines(count), restarts_us=[RESTART_US])
    confirm_all(run)
    for position, name in enumerate(run.lines):
        start_us = 60 * position
        if verify.is_poison(name, POISON_EVERY):
            run.deliveries.append(delivery(name, run.lines, start_us, outcome="nack"))
            last = delivery(name, run.lines, start_us + 10, queue="lines.dead")
        elif position % 3 == 0:
            run.deliveries.append(delivery(name, run.lines, start_us, outcome="nack"))
            last = delivery(name, run.lines, start_us + 10, attempt=2, redelivered=True)
        else:
            last = delivery(name, run.lines, start_us)
        run.deliveries.append(last)
        run.settled.append(ack(last, start_us + 20))
    return run


def broken_claims(run):
    claims = (verify.judge_crowd(run, "lines.dead", POISON_EVERY) if any(d.queue == "lines.dead" for d in run.deliveries)
              else verify.judge_backlog(run))
    return {c.name for c in claims if not c.holds}


class Verifier(unittest.TestCase):
    def assert_only(self, run, *beginnings):
        broken = broken_claims(run)
        for beginning in beginnings:
            self.assertTrue(any(name.startswith(beginning) for name in broken), f"{beginning!r} not among {broken}")
        self.assertEqual(len(broken), len(beginnings), broken)

    def replace(self, run, index, **changes):
        run.deliveries[index] = dataclasses.replace(run.deliveries[index], **changes)

    def test_accepts_correct_runs(self):
        self.assert_only(correct_backlog())
        self.assert_only(correct_crowd())

    def test_refuses_a_run_in_which_nothing_happened(self):
        claims = verify.judge_backlog(verify.Run({}))
        self.assertFalse(any(c.holds for c in claims))

    def test_refuses_a_line_that_was_never_confirmed(self):
        run = correct_backlog()
        run.confirmed.pop()
        self.assert_only(run, "every line of the texts")

    def test_refuses_a_line_confirmed_twice(self):
        run = correct_backlog()
        run.confirmed.append(run.confirmed[-1])
        self.assert_only(run, "every line of the texts")

    def test_refuses_a_confirmed_line_that_was_not_processed(self):
        run = correct_backlog()
        del run.deliveries[7], run.settled[7]
        self.assert_only(run, "every confirmed line", "the job's result")

    def test_refuses_a_line_that_was_only_nacked(self):
        run = correct_backlog()
        self.replace(run, 7, outcome="nack")
        del run.settled[7]
        self.assert_only(run, "every confirmed line", "the job's result")

    def test_refuses_a_changed_body(self):
        run = correct_backlog()
        self.replace(run, 7, checksum="bad")
        self.assert_only(run, "every confirmed line", "nothing was invented")

    def test_refuses_an_invented_line(self):
        run = correct_backlog()
        run.deliveries.append(dataclasses.replace(run.deliveries[-1], line="text:99999:0", message_id="other", words=0))
        self.assert_only(run, "nothing was invented")

    def test_refuses_a_wrong_word_count(self):
        run = correct_backlog()
        self.replace(run, 7, words=1_000)
        self.assert_only(run, "nothing was invented", "the job's result")

    def test_refuses_a_delivery_after_its_ack(self):
        run = correct_crowd()
        run.deliveries.append(delivery("text:1:0", run.lines, 90_000, attempt=3, redelivered=True))
        self.assert_only(run, "no message came back")

    def test_refuses_two_confirmed_acks(self):
        run = correct_crowd()
        run.settled.append(run.settled[0])
        self.assert_only(run, "no message came back")

    def test_refuses_an_unflagged_repeat(self):
        run = correct_crowd()
        index = next(i for i, d in enumerate(run.deliveries) if d.attempt == 2)
        self.replace(run, index, attempt=1, redelivered=False)
        self.assert_only(run, "every repeated delivery")

    def test_refuses_a_second_attempt_that_is_not_flagged(self):
        run = correct_crowd()
        index = next(i for i, d in enumerate(run.deliveries) if d.attempt == 1 and d.outcome == "ack")
        self.replace(run, index, attempt=2)
        self.assert_only(run, "every repeated delivery")

    def test_refuses_a_line_stored_twice(self):
        run = correct_crowd()
        line = next(d.line for d in run.deliveries if d.outcome == "ack" and d.queue == "lines")
        run.deliveries.append(delivery(line, run.lines, RESTART_US + 1, message_id="another"))
        self.assert_only(run, "no line was stored twice")

    def test_accepts_a_message_delivered_ahead_of_its_commit_and_lost_by_the_kill(self):
        run = correct_crowd()
        line = next(d.line for d in run.deliveries if d.attempt == 2 and d.start_us > RESTART_US)
        run.deliveries.append(delivery(line, run.lines, RESTART_US - 1, message_id="lost"))
        self.assert_only(run)

    def test_refuses_that_lost_message_when_its_ack_was_confirmed(self):
        run = correct_crowd()
        line = next(d.line for d in run.deliveries if d.outcome == "ack" and d.start_us > RESTART_US)
        lost = delivery(line, run.lines, RESTART_US - 1, message_id="lost")
        run.deliveries.append(lost)
        run.settled.append(ack(lost, RESTART_US - 1))
        self.assertIn("no line was stored twice", "".join(broken_claims(run)))

    def test_refuses_a_smaller_priority_first(self):
        run = correct_backlog()
        run.deliveries[0], run.deliveries[-1] = run.deliveries[-1], run.deliveries[0]
        self.assert_only(run, "the backlog came out by priority")

    def test_refuses_two_of_one_producer_swapped_within_a_priority(self):
        run = correct_backlog()
        run.deliveries[0], run.deliveries[1] = run.deliveries[1], run.deliveries[0]
        self.assert_only(run, "the backlog came out by priority")

    def test_refuses_a_message_overtaken_by_one_published_after_its_confirm(self):
        run = correct_backlog()
        old, new = run.deliveries[0].line, run.deliveries[1].line
        for i, row in enumerate(run.confirmed):
            if row.line == old:
                run.confirmed[i] = dataclasses.replace(row, producer="producer-2", published_us=5_001, confirmed_us=5_002)
            if row.line == new:
                run.confirmed[i] = dataclasses.replace(row, published_us=1, confirmed_us=2)
        self.assert_only(run, "the backlog came out by priority")

    def test_refuses_dead_letters_that_were_not_refused(self):
        run = correct_crowd()
        index = next(i for i, d in enumerate(run.deliveries) if d.attempt == 2)
        self.replace(run, index, queue="lines.dead")
        self.assert_only(run, "just the lines refused")

    def test_refuses_poison_that_was_processed_at_once(self):
        run = correct_crowd()
        index = next(i for i, d in enumerate(run.deliveries) if d.queue == "lines.dead")
        self.replace(run, index, queue="lines", redelivered=True)
        self.assert_only(run, "just the lines refused")

    def test_refuses_a_kill_that_hit_nothing(self):
        for restarts_us in ([], [1_000_000]):
            run = correct_crowd()
            run.restarts_us = restarts_us
            self.assertIn("the broker was killed in the middle of the deliveries", broken_claims(run))

    def test_reads_logs_and_ignores_a_torn_last_row(self):
        run = verify.Run({})
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "consumer-2.tsv"
            log.write_text("delivery\t5\tlines\tm1\t2\t1\t7\ta:1:0\tff\t3\tnack\nsettled\t6\tlines\tm1\t2\tnack\tOK\ndeliv")
            verify.read_log(log, run)
        self.assertEqual(run.deliveries, [verify.Delivery("consumer-2", 5, "lines", "m1", 2, True, 7, "a:1:0", "ff", 3, "nack")])
        self.assertEqual(run.settled, [verify.Settled(6, "lines", "m1", 2, "nack", "OK")])

    def test_reads_texts_as_bytes_and_skips_links(self):
        with tempfile.TemporaryDirectory() as folder:
            text = pathlib.Path(folder) / "a"
            text.write_bytes(b"one two\n\n\xff three\x0cfour")
            (pathlib.Path(folder) / "link").symlink_to(text)
            lines = verify.read_texts(folder, rounds=2)
        self.assertEqual(sorted(lines), [f"a:{n}:{r}" for n in (1, 2, 3) for r in (0, 1)])
        self.assertEqual([lines[f"a:{n}:1"].words for n in (1, 2, 3)], [2, 0, 3])
        self.assertEqual(lines["a:2:0"].checksum, "cbf29ce484222325")


if __name__ == "__main__":
    unittest.main()
