#!/usr/bin/env python3
"""A client in another language against a real broker: foreign_client_test.py BIN_DIR [unittest arguments].

The client, foreign_client.py, is written from docs/protocol.md and proto/ alone: it proves that they suffice.
"""

import base64
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from foreign_client import PATIENCE, Client, Connection, Refused, pb

BIN = pathlib.Path(sys.argv.pop(1)) if len(sys.argv) > 1 else pathlib.Path("build/bin")


class ForeignClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="baton-")))
        cls.socket = cls.directory / "run" / "baton.sock"
        cls.start_broker()
        cls.addClassCleanup(lambda: cls.stop_broker(signal.SIGKILL))

    @classmethod
    def start_broker(cls):
        with open(cls.directory / "log", "a") as log:
            cls.broker = subprocess.Popen(
                [BIN / "batond", "--data-dir", cls.directory / "data", "--runtime-dir", cls.socket.parent],
                stdout=subprocess.PIPE, stderr=log, text=True)
        line = cls.broker.stdout.readline()
        assert line == "ready\n", f"batond said {line!r}: {(cls.directory / 'log').read_text()}"

    @classmethod
    def stop_broker(cls, how):
        cls.broker.send_signal(how)
        cls.broker.communicate(timeout=PATIENCE)

    def setUp(self):
        # A queue of its own for each test.
        self.queue = self._testMethodName.replace("test_", "")
        self.baton("queue", "create", self.queue)

    def baton(self, *arguments, **options):
        return subprocess.run([BIN / "baton", *arguments, "--url", f"unix:{self.socket}"], check=True,
                              capture_output=True, timeout=PATIENCE, **options).stdout

    def client(self, producer_id=0):
        client = Client(self.socket, producer_id)
        self.addCleanup(client.socket.close)
        return client

    def test_publishes_and_consumes_by_priority(self):
        client = self.client(producer_id=1)
        priorities = [number * 37 % 5 for number in range(1000)]
        for first in range(0, 1000, 100):
            client.publish(self.queue, [b"%d" % number for number in range(first, first + 100)],
                           priorities=priorities[first:first + 100])
        self.assertEqual(client.confirms(), dict.fromkeys(range(1, 1001), pb.DURABLE))
        self.assertEqual(client.subscribe(self.queue).lease_ms, 30000)
        deliveries = client.receive(1000)
        self.assertEqual([(d.tag, int(d.body)) for d in deliveries],
                         list(enumerate(sorted(range(1000), key=lambda number: -priorities[number]), 1)))
        self.assertEqual([d.sequence for d in deliveries], [int(d.body) + 1 for d in deliveries])
        self.assertEqual(client.settle(pb.Settle.ACK, *(d.tag for d in deliveries)), [])
        counts = json.loads(self.baton("queue", "show", self.queue, "--json"))["counts"]
        self.assertEqual((counts["ready"], counts["leased"], counts["acked"]), (0, 0, 1000))

    def test_gives_messages_back(self):
        client = self.client()
        client.publish(self.queue, [b"first", b"second"])
        client.subscribe(self.queue)
        first, second = client.receive(2)
        client.settle(pb.Settle.RELEASE, first.tag)
        first, = client.receive(1)
        self.assertEqual((first.body, first.attempt, first.redelivered), (b"first", 1, False))
        client.settle(pb.Settle.NACK, first.tag, delay_ms=20, reason="not now")
        first, = client.receive(1)
        self.assertEqual((first.body, first.attempt, first.redelivered), (b"first", 2, True))
        client.settle(pb.Settle.NACK, second.tag, delay_ms=3600 * 1000, reason="not today")
        delayed = json.loads(self.baton("message", "list", self.queue, "--state", "delayed", "--json"))
        self.assertEqual((delayed["body"], delayed["attempts"]), ("second", 1))
        client.settle(pb.Settle.EXTEND, first.tag, lease_ms=60000)
        self.assertEqual(client.settle(pb.Settle.ACK, first.tag, second.tag),
                         [(client.settlement, second.tag, "ALREADY_SETTLED")])

    def test_carries_messages_larger_than_the_ring_both_ways(self):
        client = self.client()
        bodies = [os.urandom(size) for size in (client.welcomed.body_bytes_max, client.outward.size, 4 << 20)]
        self.assertGreater(len(bodies[0]), client.outward.size)
        self.assertGreater(sum(map(len, bodies)), client.welcomed.publish_credit.bytes)
        client.subscribe(self.queue)
        for body in bodies:
            client.publish(self.queue, [body])
        self.assertEqual([d.body for d in client.receive(3)], bodies)
        self.assertEqual(client.confirms(), dict.fromkeys((1, 2, 3), pb.DURABLE))

    def test_sleeps_until_the_broker_makes_room(self):
        client = self.client()
        self.addCleanup(self.broker.send_signal, signal.SIGCONT)
        self.broker.send_signal(signal.SIGSTOP)
        os.waitpid(self.broker.pid, os.WUNTRACED)
        client.take_bells()
        client.publish(self.queue, [bytes(2 * client.outward.size)])
        client.outward.writer_waits.store(1)
        self.assertEqual(client.outward.room(), 0)
        self.broker.send_signal(signal.SIGCONT)
        self.assertTrue(select.select([client.socket], [], [], PATIENCE)[0])
        self.assertEqual(client.outward.writer_waits.load(), 0)
        self.assertEqual(client.confirms(), {1: pb.DURABLE})

    def test_names_a_message_as_the_broker_does(self):
        client = self.client()
        client.publish(self.queue, [b"x"], want_ids=True, headers=[
            pb.Headers(headers=[pb.Header(name="kind", value=b"test")]).SerializeToString()])
        client.confirms()
        base32 = base64.b32hexencode(client.ids[1]).decode().lower().rstrip("=")
        message = json.loads(self.baton("message", "show", base32, "--json"))
        self.assertEqual((message["body"], message["headers"]), ("x", [{"name": "kind", "value": "test"}]))

    def test_sleeps_until_the_broker_rings(self):
        client = self.client()
        client.subscribe(self.queue)
        client.inward.reader_waits.store(1)
        self.assertEqual(client.inward.used(), 0)
        self.baton("produce", self.queue, input=b"wake up\n")
        while client.inward.reader_waits.load() == 1:  # a bell that was due earlier may come first
            self.assertTrue(select.select([client.socket], [], [], PATIENCE)[0])
            client.take_bells()
        self.assertEqual([d.body for d in client.receive(1)], [b"wake up"])

    def test_rings_when_the_broker_sleeps(self):
        client = self.client()
        rung, deadline = client.bells_rung, time.monotonic() + PATIENCE
        while client.bells_rung == rung:  # the broker may find the message just before it falls asleep
            while client.outward.reader_waits.load() == 0:
                self.assertLess(time.monotonic(), deadline)
                os.sched_yield()
            client.publish(self.queue, [b"x"])
            self.assertEqual(client.confirms()[client.sequence], pb.DURABLE)

    def test_is_sent_away_when_it_rings_unasked(self):
        client = self.client()
        client.socket.send(b"!" * 200)
        self.assertEqual(client.end(), "PROTOCOL_VIOLATION")

    def test_is_refused_with_another_version(self):
        with self.assertRaises(Refused) as refused:
            Connection(self.socket, version=2)
        self.assertEqual(refused.exception.args[:2], (9, "PROTOCOL_VIOLATION"))

    def test_says_goodbye_and_gives_back_what_it_holds(self):
        client = self.client()
        client.publish(self.queue, [b"x"])
        client.subscribe(self.queue)
        self.assertEqual([d.attempt for d in client.receive(1)], [1])
        client.send(goodbye=pb.Goodbye())
        self.assertIsNone(client.end())
        self.assertEqual(client.answers, {1: pb.DURABLE})
        heir = self.client()
        heir.subscribe(self.queue)
        self.assertEqual([d.attempt for d in heir.receive(1)], [2])

    def test_makes_room_for_a_newer_session_of_its_producer(self):
        older, _ = self.client(producer_id=2), self.client(producer_id=2)
        self.assertEqual((older.end(), older.go_away.code), ("PROTOCOL_VIOLATION", 10))

    def test_publishes_again_after_the_broker_has_ended(self):
        for how, reason in ((signal.SIGTERM, "BROKER_STOPPING"), (signal.SIGKILL, None)):
            with self.subTest(how=how):
                client = self.client(producer_id=3)
                client.sequence = client.welcomed.accepted_sequence
                client.publish(self.queue, [b"first"])
                client.confirms()
                self.stop_broker(how)
                self.assertEqual(client.end(), reason)
                self.start_broker()
                again = self.client(producer_id=3)
                self.assertEqual(again.welcomed.accepted_sequence, client.sequence)
                again.sequence = client.sequence - 1
                again.publish(self.queue, [b"first", b"second"])
                self.assertEqual(again.confirms(), {client.sequence: "duplicate", again.sequence: pb.DURABLE})
                again.socket.close()


if __name__ == "__main__":
    unittest.main()
