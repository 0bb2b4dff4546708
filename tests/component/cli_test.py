#!/usr/bin/env python3
"""The command line as people and scripts use it, against a real broker: cli_test.py BIN_DIR [unittest arguments]."""

import json
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from cli_fixture import (BIN, FAILURE, INTERRUPTED, NOT_FOUND, OK, PATIENCE, REFUSED, UNREACHABLE, USAGE, Broker, CliTest)


class Produce(CliTest):
    def test_publishes_each_line(self):
        self.baton("produce", self.queue, input=b"one\n\nthree\nlast without an end")
        self.assertEqual(self.baton("consume", self.queue), b"one\n\nthree\nlast without an end\n")

    def test_publishes_a_file_whole(self):
        body = bytes(range(256)) * 300 + b"\n"
        path = pathlib.Path(self.directory) / "body"
        path.write_bytes(body)
        message_id = self.baton("produce", self.queue, str(path), "--whole", "--ids").decode().strip()
        self.assertEqual(self.baton("message", "show", message_id, "--body"), body)

    def test_sets_what_a_message_has(self):
        self.baton("produce", self.queue, "--priority", "7", "--ttl", "1h", "--delay", "30m", "-H", "kind=test",
                   "-H", "equation=a=b", input=b"x\n")
        message = json.loads(self.baton("message", "list", self.queue, "--state", "delayed", "--json"))
        self.assertEqual(message["priority"], 7)
        self.assertEqual(message["headers"], [{"name": "kind", "value": "test"}, {"name": "equation", "value": "a=b"}])
        self.assertEqual(message["expires_unix_ms"] - message["due_unix_ms"], 30 * 60 * 1000)

    def test_prints_each_id_when_it_is_confirmed(self):
        with self.spawn("produce", self.queue, "--ids") as producer:
            producer.stdin.write(b"one\n")
            producer.stdin.flush()
            first = producer.stdout.readline().decode().strip()  # while the input is still open
            self.assertEqual(self.baton("message", "show", first, "--body"), b"one")
            producer.stdin.write(b"two\n")
            rest = producer.communicate(timeout=PATIENCE)[0].split()
            self.assertEqual(len(rest), 1)
            self.assertEqual(producer.returncode, OK)

    def test_delivers_by_priority(self):
        self.baton("produce", self.queue, input=b"low\n")
        self.baton("produce", self.queue, "--priority", "4294967295", input=b"high\n")
        self.assertEqual(self.baton("consume", self.queue), b"high\nlow\n")

    def test_to_no_queue_names_the_command_that_creates_it(self):
        errors = self.fails(NOT_FOUND, "produce", "nowhere", input=b"x\n")
        self.assertIn("baton queue create nowhere", errors)

    def test_to_a_full_queue_says_which_line_was_refused(self):
        self.baton("queue", "set", self.queue, "--messages-max", "2")
        errors = self.fails(REFUSED, "produce", self.queue, input=b"1\n2\n3\n4\n")
        self.assertIn("line 3", errors)
        self.assertEqual(self.counts()["ready"], 2)

    def test_summarizes_for_programs(self):
        summary = json.loads(self.baton("produce", self.queue, "--json", input=b"a\nbb\n"))
        self.assertEqual((summary["stored"], summary["refused"], summary["bytes"]), (2, 0, 3))

    def test_goes_on_after_the_broker_was_killed(self):
        with self.spawn("produce", self.queue, "--ids") as producer:
            producer.stdin.write(b"before\n")
            producer.stdin.flush()
            producer.stdout.readline()
            self.broker.stop(signal.SIGKILL)
            producer.stdin.write(b"meanwhile\n")
            producer.stdin.flush()
            self.assertIn("connection lost", producer.stderr.readline().decode())
            self.broker.start()
            errors = producer.communicate(timeout=PATIENCE)[1].decode()
            self.assertEqual(producer.returncode, OK)
        self.assertIn("connected again", errors)
        self.assertEqual(self.baton("consume", self.queue), b"before\nmeanwhile\n")

    def test_of_a_file_that_is_not_there_fails(self):
        self.assertIn("/nonexistent/file", self.fails(FAILURE, "produce", self.queue, "/nonexistent/file"))

    def test_tells_at_an_interrupt_what_it_had_stored(self):
        with self.spawn("produce", self.queue, "--ids") as producer:
            producer.stdin.write(b"one\n")
            producer.stdin.flush()
            producer.stdout.readline()
            producer.send_signal(signal.SIGINT)
            errors = producer.communicate(timeout=PATIENCE)[1].decode()
            self.assertEqual(producer.returncode, INTERRUPTED)
        self.assertIn("1 message stored", errors)
        self.assertEqual(self.counts()["ready"], 1)

    def test_shows_its_progress_on_a_terminal(self):
        controller, terminal = pty.openpty()
        try:
            producer = subprocess.Popen([BIN / "baton", "produce", self.queue], stdin=subprocess.PIPE,
                                        stderr=terminal, env=self.environment())
            shown = b""
            deadline = time.monotonic() + PATIENCE
            while b"messages stored" not in shown and time.monotonic() < deadline:
                producer.stdin.write(b"line\n")
                producer.stdin.flush()
                os.set_blocking(controller, False)
                try:
                    shown += os.read(controller, 4096)
                except BlockingIOError:
                    time.sleep(0.02)
            self.assertIn(b"messages stored", shown)
            producer.communicate(timeout=PATIENCE)
            self.assertEqual(producer.returncode, OK)
        finally:
            os.close(controller)
            os.close(terminal)


class Consume(CliTest):
    def publish(self, *bodies):
        self.baton("produce", self.queue, input=b"".join(body + b"\n" for body in bodies))

    def test_takes_no_more_than_max(self):
        self.publish(b"1", b"2", b"3")
        self.assertEqual(self.baton("consume", self.queue, "--max", "2"), b"1\n2\n")
        self.assertEqual(self.counts()["ready"], 1)
        self.assertEqual(self.counts()["leased"], 0)

    def test_is_delivered_no_more_than_max(self):
        self.publish(*(b"%d" % i for i in range(10)))
        self.baton("consume", self.queue, "--max", "1", "--exec", "true")
        self.baton("consume", self.queue, "--max", "1")
        self.baton("consume", self.queue, "--max", "2", "--no-ack")
        counts = self.counts()
        self.assertEqual((counts["acked"], counts["delivered"], counts["ready"]), (2, 4, 8))

    def test_with_jobs_is_delivered_at_most_its_credit_more_than_max(self):
        self.publish(*(b"%d" % i for i in range(10)))
        self.baton("consume", self.queue, "--max", "5", "--exec", "true", "--jobs", "3")
        counts = self.counts()
        self.assertEqual((counts["acked"], counts["ready"]), (5, 5))
        self.assertLessEqual(counts["delivered"], 5 + 3)

    def test_keeps_the_lease_of_the_last_message_too(self):
        self.publish(b"1", b"2")
        self.baton("consume", self.queue, "--max", "1", "--lease", "200ms", "--exec", "sleep 1")
        counts = self.counts()
        self.assertEqual((counts["acked"], counts["delivered"]), (1, 1))

    def test_tells_of_an_ack_that_was_refused(self):
        self.publish(b"gone")
        directory = pathlib.Path(self.directory)
        started, go = directory / "purge-started", directory / "purge-go"
        command = f"touch {started}; while [ ! -e {go} ]; do sleep 0.02; done"
        with self.spawn("consume", self.queue, "--exec", command) as consumer:
            self.wait_for(started.exists, "the command")
            self.baton("queue", "purge", self.queue)
            go.touch()
            errors = consumer.communicate(timeout=PATIENCE)[1].decode()
            self.assertEqual(consumer.returncode, REFUSED, errors)
        self.assertIn("0 messages acked", errors)
        self.assertRegex(errors, r"1 ack refused: the message is gone.* \(message [0-9a-v]{39}\)")

    def test_of_an_empty_queue_ends(self):
        self.assertEqual(self.baton("consume", self.queue), b"")

    def test_without_ack_gives_everything_back(self):
        self.publish(b"1", b"2", b"3")
        self.assertEqual(self.baton("consume", self.queue, "--no-ack"), b"1\n2\n3\n")
        self.assertEqual(self.baton("consume", self.queue, "--no-ack", "--max", "1"), b"1\n")
        message = json.loads(self.baton("consume", self.queue, "--json", "--max", "1"))
        self.assertEqual(message["attempt"], 1)  # a release is not an attempt
        self.assertEqual(self.counts()["ready"], 2)

    def test_prints_json_for_programs(self):
        self.baton("produce", self.queue, "--priority", "3", "-H", "a=b", input=b"text\n")
        self.baton("produce", self.queue, "--whole", input=b"\xff\x00")
        lines = [json.loads(line) for line in self.baton("consume", self.queue, "--json").splitlines()]
        self.assertEqual(lines[0]["body"], "text")
        self.assertEqual(lines[0]["priority"], 3)
        self.assertEqual(lines[0]["headers"], [{"name": "a", "value": "b"}])
        self.assertEqual(lines[1]["body_base64"], "/wA=")
        for number in ("producer_id", "sequence"):  # 64 bits: a number would be rounded by many readers
            self.assertRegex(lines[0][number], "^[0-9]+$")

    def test_follows_until_interrupted_and_gives_back_the_rest(self):
        with self.spawn("consume", self.queue, "--follow") as consumer:
            self.publish(b"first")
            self.assertEqual(consumer.stdout.readline(), b"first\n")
            self.publish(b"second")
            self.assertEqual(consumer.stdout.readline(), b"second\n")
            consumer.send_signal(signal.SIGINT)
            self.assertEqual(consumer.wait(PATIENCE), INTERRUPTED)
        counts = self.counts()
        self.assertEqual((counts["acked"], counts["leased"], counts["ready"]), (2, 0, 0))

    def test_does_not_ack_what_nobody_reads(self):
        self.publish(b"1", b"2")
        read_end, write_end = os.pipe()
        os.close(read_end)
        try:
            with self.spawn("consume", self.queue, stdout=write_end) as consumer:
                errors = consumer.communicate(timeout=PATIENCE)[1].decode()
                self.assertEqual(consumer.returncode, FAILURE)
        finally:
            os.close(write_end)
        self.assertIn("Broken pipe", errors)
        counts = self.counts()
        self.assertEqual((counts["ready"], counts["acked"]), (2, 0))

    def test_runs_a_command_with_the_message_and_acks_by_its_exit_code(self):
        self.baton("produce", self.queue, "--priority", "5", "-H", "content-type=text/plain", input=b"good\n")
        self.publish(b"bad")
        path = pathlib.Path(self.directory) / "seen"
        command = (f'body=$(cat); echo "$body $BATON_QUEUE $BATON_PRIORITY $BATON_ATTEMPT $BATON_REDELIVERED'
                   f' $BATON_BODY_BYTES $BATON_HEADER_CONTENT_TYPE ${{#BATON_MESSAGE_ID}}" >> {path}; [ "$body" = good ]')
        code, _, errors = self.run_baton("consume", self.queue, "--exec", command, "--max", "2")
        self.assertEqual(code, OK, errors)
        self.assertIn("1 message acked", errors)
        self.assertIn("1 nacked", errors)
        self.assertEqual(path.read_text().splitlines(),
                         [f"good {self.queue} 5 1 0 4 text/plain 39", f"bad {self.queue} 0 1 0 3  39"])
        message = json.loads(self.baton("message", "list", self.queue, "--json"))
        self.assertEqual((message["attempts"], message["last_reason"]), (1, "exit status 1"))

    def test_runs_jobs_side_by_side(self):
        self.publish(b"1", b"2")
        # Each waits for the other: one at a time would never end.
        meeting = pathlib.Path(self.directory) / "meeting"
        meeting.mkdir()
        command = f'touch {meeting}/$(cat); while [ $(ls {meeting} | wc -l) -lt 2 ]; do sleep 0.05; done'
        self.baton("consume", self.queue, "--exec", command, "--jobs", "2")
        self.assertEqual(self.counts()["acked"], 2)

    def test_stops_running_commands_at_an_interrupt_and_gives_their_messages_back(self):
        self.publish(b"slow")
        started = pathlib.Path(self.directory) / "started"
        with self.spawn("consume", self.queue, "--exec", f"touch {started}; exec sleep 1000") as consumer:
            self.wait_for(started.exists, "the command")
            consumer.send_signal(signal.SIGINT)
            self.assertEqual(consumer.wait(PATIENCE), INTERRUPTED)
        message = json.loads(self.baton("message", "list", self.queue, "--json"))
        self.assertEqual((message["attempts"], message["state"]), (0, "ready"))

    def test_keeps_the_lease_of_a_message_whose_command_takes_longer(self):
        self.publish(b"slow")
        self.baton("consume", self.queue, "--lease", "200ms", "--exec", "sleep 1")
        counts = self.counts()
        self.assertEqual((counts["acked"], counts["delivered"]), (1, 1))

    def test_from_no_queue_names_the_command_that_creates_it(self):
        self.assertIn("baton queue create nowhere", self.fails(NOT_FOUND, "consume", "nowhere"))

    def test_ends_when_its_queue_is_deleted(self):
        with self.spawn("consume", self.queue, "--follow") as consumer:
            self.wait_for(lambda: self.counts()["subscriptions"] == 1, "the subscription")
            self.baton("queue", "delete", self.queue)
            self.assertEqual(consumer.wait(PATIENCE), NOT_FOUND)


class Queues(CliTest):
    def test_are_created_with_what_was_asked_and_shown(self):
        self.baton("queue", "create", "dead")
        self.baton("queue", "create", "full", "--durability", "relaxed", "--delivery", "committed", "--lease", "2m",
                   "--attempts-max", "5", "--backoff", "10s", "--backoff-max", "1m", "--exhausted", "park", "--expired",
                   "dead-letter", "--dead-letter-queue", "dead", "--ttl", "7d", "--messages-max", "1000", "--bytes-max",
                   "1GiB", "--in-flight-max", "10", "--overflow", "drop-oldest")
        config = json.loads(self.baton("queue", "show", "full", "--json"))["config"]
        self.assertEqual(config, {
            "durability": "relaxed", "delivery": "committed", "lease_ms": 120000, "attempts_max": 5,
            "backoff_ms": 10000, "backoff_max_ms": 60000, "exhausted": "park", "expired": "dead-letter",
            "dead_letter_queue": "dead", "ttl_ms": 604800000, "messages_max": 1000, "bytes_max": 1 << 30,
            "in_flight_max": 10, "overflow": "drop-oldest"})
        text = self.baton("queue", "show", "full").decode()
        for line in ("lease:                     2m", "ttl:                       7d", "bytes-max:                 1GiB"):
            self.assertIn(line, text)

    def test_are_listed_by_prefix(self):
        self.baton("queue", "create", "list.a")
        self.baton("queue", "create", "list.b")
        names = [queue["name"] for queue in json.loads(self.baton("queue", "list", "list.", "--json"))]
        self.assertEqual(names, ["list.a", "list.b"])
        table = self.baton("queue", "list", "list.").decode().splitlines()
        self.assertEqual([line.split()[0] for line in table], ["QUEUE", "list.a", "list.b"])
        self.assertEqual(json.loads(self.baton("queue", "list", "none.", "--json")), [])

    def test_are_changed_one_property_at_a_time(self):
        self.baton("queue", "set", self.queue, "--lease", "5m")
        self.baton("queue", "set", self.queue, "--ttl", "1h")
        config = json.loads(self.baton("queue", "show", self.queue, "--json"))["config"]
        self.assertEqual((config["lease_ms"], config["ttl_ms"]), (300000, 3600000))

    def test_are_not_created_with_two_durabilities(self):
        self.assertIn("--durability", self.fails(USAGE, "queue", "create", "two", "--memory", "--durability", "durable"))
        self.fails(NOT_FOUND, "queue", "show", "two")

    def test_that_exist_are_not_created_again(self):
        self.fails(REFUSED, "queue", "create", self.queue)
        self.assertIn(b"exists already", self.baton("queue", "create", self.queue, "--if-not-exists"))

    def test_with_messages_are_deleted_only_by_force(self):
        self.baton("produce", self.queue, input=b"x\n")
        self.assertIn("--force", self.fails(REFUSED, "queue", "delete", self.queue))
        self.assertIn(b"(1 message)", self.baton("queue", "delete", self.queue, "--force"))
        self.fails(NOT_FOUND, "queue", "show", self.queue)

    def test_are_purged(self):
        self.baton("produce", self.queue, input=b"x\ny\n")
        self.assertEqual(json.loads(self.baton("queue", "purge", self.queue, "--json")), {"messages": 2})
        self.assertEqual(self.counts()["ready"], 0)

    def test_are_paused_and_resumed(self):
        self.baton("queue", "pause", self.queue)
        self.baton("produce", self.queue, input=b"x\n")
        code, output, errors = self.run_baton("consume", self.queue)
        self.assertEqual((code, output), (OK, b""))
        self.assertIn("paused", errors)
        self.baton("queue", "resume", self.queue)
        self.assertEqual(self.baton("consume", self.queue), b"x\n")


class Messages(CliTest):
    def test_are_listed_in_the_order_of_delivery_without_being_taken(self):
        self.baton("produce", self.queue, input=b"low\n")
        self.baton("produce", self.queue, "--priority", "1", input=b"high \x1b[31m\n")
        table = self.baton("message", "list", self.queue).decode().splitlines()
        self.assertIn("high \\x1b[31m", table[1])  # a terminal is not told what to do
        self.assertIn("low", table[2])
        self.assertEqual(self.counts()["ready"], 2)

    def test_are_listed_over_many_pages(self):
        self.baton("produce", self.queue, input=b"".join(b"%d\n" % i for i in range(2500)))
        lines = self.baton("message", "list", self.queue, "--max", "2400", "--json").splitlines()
        self.assertEqual([json.loads(line)["body"] for line in lines], [str(i) for i in range(2400)])

    def test_are_shown_and_deleted(self):
        message_id = self.baton("produce", self.queue, "--ids", "-H", "k=v", input=b"body\n").decode().strip()
        text = self.baton("message", "show", message_id).decode()
        self.assertIn("header k:", text)
        self.assertIn("body", text)
        self.baton("message", "delete", message_id)
        self.fails(NOT_FOUND, "message", "show", message_id)
        errors = self.fails(NOT_FOUND, "message", "delete", message_id)
        self.assertEqual(errors.count(message_id), 1)


class Usage(CliTest):
    def test_a_broker_that_is_not_there_is_named_and_how_to_start_one(self):
        errors = self.fails(UNREACHABLE, "status", url="grpc+unix:/nonexistent/grpc.sock")
        self.assertIn("/nonexistent/grpc.sock", errors)
        self.assertIn("batond", errors)

    def test_the_url_option_beats_the_environment(self):
        code, output, _ = self.run_baton("status", "--json", "--url", self.broker.url, url="grpc+unix:/nonexistent")
        self.assertEqual(code, OK)
        self.assertEqual(json.loads(output)["pid"], self.broker.process.pid)

    def test_status_tells_people_too(self):
        self.assertIn(str(self.directory), self.baton("status").decode())

    def test_status_tells_how_full_memory_queues_are(self):
        self.assertRegex(self.baton("status").decode(),
                         r"memory queues: +shared memory .*B of .*iB \(\d+ %\).*; index .*B of 64 MiB \(\d+ %\)\n")

    def test_status_tells_that_the_file_of_memory_queues_cannot_be_had(self):
        def restart(*options):
            self.broker.stop()
            self.broker.start(*options)

        self.baton("queue", "create", "homeless", "--memory")
        self.addCleanup(self.baton, "queue", "delete", "homeless")
        self.addCleanup(restart)
        restart("--memory-queue-dir", "/proc")
        self.assertRegex(self.baton("status").decode(),
                         r"memory queues: +shared memory none; index .* — UNAVAILABLE: .*publishers to them are refused\n")
        told = json.loads(self.baton("status", "--json"))["memory_queues"]
        self.assertEqual((told["nearest"], told["full"], told["shared_limit_bytes"]), ("unavailable", True, 0))

    def test_a_memory_queue_is_shown_with_what_is_in_shared_memory(self):
        self.baton("queue", "create", "fast", "--memory")
        self.assertEqual(len(os.listdir(self.broker.shared.name)), 1, "its file is not where the fixture removes it")
        self.baton("produce", "fast", input=b"12345\n12345\n")
        self.assertRegex(self.baton("queue", "show", "fast").decode(), r"in shared memory: +2 messages \(10 B\)\n")
        self.assertNotIn("in memory", self.baton("queue", "show", "fast").decode())

    def test_wrong_values_say_what_is_allowed(self):
        for arguments, words in (
                (("produce", self.queue, "--ttl", "30"), "ms, s, m, h or d"),
                (("produce", self.queue, "--priority", "4294967296"), "0 to 4294967295"),
                (("produce", self.queue, "--priority", "-1"), "0 to 4294967295"),
                (("produce", self.queue, "-H", "novalue"), "NAME=VALUE"),
                (("queue", "create", "x", "--bytes-max", "10"), "KiB"),
                (("queue", "create", "x", "--overflow", "panic"), "reject, drop-oldest or dead-letter-oldest"),
                (("queue", "create", "no spaces"), "A-Z a-z 0-9"),
                (("queue", "set", self.queue, "--lease", "1ms"), "--lease: 1ms is not from 100ms to 12h"),
                (("consume", self.queue, "--lease", "0s"), "--lease: 0s is not from 100ms to 12h"),
                (("produce", self.queue, "--delay", "4000d"), "--delay: 4000d is not from"),
                (("produce", self.queue, "--ttl", "1s", "--delay", "5s"), "never be delivered"),
                (("queue", "set", self.queue), "nothing to change"),
                (("queue", "set", self.queue, "--frob"), "baton queue set --help"),
                (("consume", self.queue, "--exec", "true", "--json"), "--json"),
                (("consume", self.queue, "--exec", "true", "--no-ack"), "--no-ack"),
                (("status", "--url", "http://localhost:1"), "grpc://localhost:1"),
                (("status", "--url", "grpc://localhost:1", "--tls-ca", "x"),
                 "--tls-ca is for grpcs:// addresses; the address is grpc://localhost:1"),
                (("status", "--tls-server-name", "x"), "--tls-server-name is for grpcs://"),
                (("consume", self.queue, "--jobs", "4"), "--exec"),
                (("status", "--url", "localhost:1"), "grpc://HOST:PORT"),
                (("frobnicate",), "frobnicate"),
                ((), "subcommand"),
                (("message", "show", "abc"), "39 characters")):
            with self.subTest(arguments=arguments):
                self.assertIn(words, self.fails(USAGE, *arguments))

    def test_a_queue_that_is_not_there_is_named_and_how_to_see_those_that_are(self):
        for arguments in (("delete",), ("purge",), ("show",), ("set", "--ttl", "1h"), ("pause",)):
            errors = self.fails(NOT_FOUND, "queue", arguments[0], "nosuch", *arguments[1:])
            self.assertIn("queue nosuch does not exist", errors)
            self.assertIn("baton queue list", errors)
        for command in ("set", "create"):
            name = self.queue if command == "set" else "x"
            errors = self.run_baton("queue", command, name, "--dead-letter-queue", "nosuch")[2]
            self.assertIn("baton queue create nosuch", errors)
            self.assertNotIn(f"baton queue create {name}\n", errors)

    def test_the_help_of_set_names_no_defaults_and_that_of_create_does(self):
        self.assertIn("(default durable)", self.baton("queue", "create", "--help").decode())
        self.assertNotIn("(default", self.baton("queue", "set", "--help").decode())

    def test_the_help_of_a_command_names_the_options_of_every_command(self):
        for command in (("produce",), ("consume",), ("queue",), ("queue", "set"), ("status",)):
            text = self.baton(*command, "--help").decode()
            self.assertIn("--url", text)
            self.assertNotIn("Needs:", text)
            self.assertNotIn("{false}", text)

    @unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
    def test_a_socket_that_one_may_not_use_says_so(self):
        run = pathlib.Path(self.directory) / "run"
        os.chmod(self.directory, 0o755)
        os.chmod(run, 0o755)
        baton = shutil.copy(BIN / "baton", self.directory)  # where everybody may run it
        for scheme, socket in (("unix:", run / "baton.sock"), ("grpc+unix:", run / "grpc.sock")):
            os.chmod(socket, 0o660)
            done = subprocess.run([baton, "status", "--url", f"{scheme}{socket}"], capture_output=True, user=65534,
                                  group=65534, extra_groups=[], timeout=PATIENCE)
            errors = done.stderr.decode()
            self.assertEqual(done.returncode, UNREACHABLE, errors)
            self.assertIn(f"you may not use the broker's socket at {scheme}{socket} ({socket}: Permission denied)", errors)
            self.assertIn("join the group", errors)

    def test_the_socket_of_the_other_carrier_is_told_as_such(self):
        run = f"{self.directory}/run"
        for url, expected, words in ((f"unix:{run}/grpc.sock", REFUSED, "is not a broker's socket for local clients"),
                                     (f"grpc+unix:{run}/baton.sock", UNREACHABLE, "does not speak gRPC")):
            code, output, errors = self.run_baton("produce", self.queue, "--wait", "0s", input=b"body\n", url=url)
            self.assertEqual((code, output), (expected, b""), errors)
            self.assertIn(url, errors)
            self.assertIn(words, errors)

    def test_help_and_version_are_no_errors(self):
        self.assertRegex(self.baton("--version").decode(), r"^baton \d+\.\d+\.\d+\n$")
        for command in ((), ("produce",), ("consume",), ("queue", "create"), ("message", "list"), ("status",)):
            self.assertIn("Usage: baton", self.baton(*command, "--help").decode())

    def test_bash_completes_commands_options_and_queues(self):
        script = self.baton("completion", "bash").decode()
        check = script + """
complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _baton; printf '%s ' "${COMPREPLY[@]}"; echo; }
complete_line baton pro
complete_line baton queue cre
complete_line baton queue create x --dura
complete_line baton consume """ + self.queue[:8] + """
complete_line baton queue set x --durability ""
complete_line baton queue set x --dead-letter-queue """ + self.queue[:8] + """
complete_line baton queue set x --lease ""
complete_line baton --wait 1s queue cre
"""
        environment = {**self.environment(), "PATH": f"{BIN.resolve()}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-c", check], capture_output=True, text=True, env=environment, timeout=PATIENCE)
        self.assertEqual(done.stdout.splitlines(), ["produce ", "create ", "--durability ", self.queue + " ", "durable relaxed memory ",
                                                    self.queue + " ", " ", "create "], done.stderr)


@unittest.skipUnless(shutil.which("openssl"), "makes its certificates with openssl")
class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="baton-cli-tls-"))
        cls.make_certificate("ca", "-x509", "-subj", "/CN=Test CA")
        for name, alternatives in (("broker", "DNS:localhost,IP:127.0.0.1"), ("client", "DNS:client")):
            cls.make_certificate(name, "-x509", "-subj", f"/CN={name}", "-CA", cls.directory / "ca.pem", "-CAkey",
                                 cls.directory / "ca.key", "-addext", f"subjectAltName={alternatives}",
                                 "-addext", "basicConstraints=critical,CA:FALSE")
        cls.broker = Broker(cls.directory, "--listen", "127.0.0.1:0", "--tls-cert", cls.directory / "broker.pem",
                            "--tls-key", cls.directory / "broker.key", "--tls-ca", cls.directory / "ca.pem")
        status = subprocess.run([BIN / "baton", "--url", cls.broker.url, "status", "--json"], capture_output=True,
                                timeout=PATIENCE, check=True)
        addresses = [text for text in json.loads(status.stdout)["listening"] if text.startswith("grpcs://")]
        cls.port = addresses[0].rpartition(":")[2]

    @classmethod
    def tearDownClass(cls):
        cls.broker.stop()
        shutil.rmtree(cls.directory)

    @classmethod
    def make_certificate(cls, name, *options):
        subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout",
                        cls.directory / f"{name}.key", "-out", cls.directory / f"{name}.pem", *options],
                       check=True, capture_output=True, timeout=PATIENCE)

    def status(self, *options, host="127.0.0.1", scheme="grpcs"):
        files = [self.directory / option if option.endswith((".pem", ".key")) else option for option in options]
        return subprocess.run([BIN / "baton", "status", "--url", f"{scheme}://{host}:{self.port}", *files],
                              capture_output=True, text=True, timeout=PATIENCE)

    def test_with_both_certificates_works(self):
        done = self.status("--tls-ca", "ca.pem", "--tls-cert", "client.pem", "--tls-key", "client.key")
        self.assertEqual(done.returncode, OK, done.stderr)

    def test_that_fails_names_the_option_that_helps(self):
        client = ("--tls-cert", "client.pem", "--tls-key", "client.key")
        for options, words in (
                (client, "is not signed by an authority that is trusted here"),
                (("--tls-ca", "ca.pem"), "it may want a client certificate"),
                (("--tls-ca", "ca.pem", *client, "--tls-server-name", "elsewhere.example"), "is for another name"),
                (("--tls-ca", "ca.key", *client), "is not the PEM file"),
                (("--tls-ca", "ca.pem", "--tls-cert", "client.pem", "--tls-key", "ca.key"), "the key is not that of")):
            with self.subTest(options=options):
                done = self.status(*options)
                self.assertEqual(done.returncode, UNREACHABLE)
                self.assertIn(words, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)  # gRPC adds no lines of its own

    def test_that_is_missing_in_the_address_is_suggested(self):
        done = self.status(scheme="grpc")
        self.assertEqual(done.returncode, UNREACHABLE)
        self.assertIn(f"grpcs://127.0.0.1:{self.port}", done.stderr)


if __name__ == "__main__":
    unittest.main()
