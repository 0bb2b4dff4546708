"""A client in another language, over the rings in shared memory.

Written from docs/protocol.md and proto/ alone, to prove that they suffice: whoever finds something here that
is not to be read there mends the page. Needs protoc and python3-protobuf; the stubs are made at import.
"""

import array
import collections
import ctypes
import mmap
import os
import pathlib
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
PATIENCE = 30  # seconds for anything; reached only by a failure

stubs = tempfile.TemporaryDirectory(prefix="baton-stubs-")
subprocess.run(["protoc", "-I", PROTO, f"--python_out={stubs.name}", "baton/v1/session.proto"], check=True)
sys.path.insert(0, stubs.name)
try:
    from baton.v1 import session_pb2 as pb
except ImportError as error:
    sys.exit(f"{error}: scripts/install_deps.sh installs python3-protobuf, for /usr/bin/python3")


class Word:
    """An atomic word of the segment. Python has no atomic operations; libatomic has, as functions."""

    LIBRARY = ctypes.CDLL("libatomic.so.1")
    SEQ_CST = 5  # __ATOMIC_SEQ_CST

    def __init__(self, segment, offset, number):
        self.number, size = number, ctypes.sizeof(number)
        self.address = ctypes.c_void_p(ctypes.addressof(number.from_buffer(segment, offset)))
        self.load_function, self.store_function, self.exchange_function = (
            self.LIBRARY[f"__atomic_{name}_{size}"] for name in ("load", "store", "exchange"))
        self.load_function.restype = self.exchange_function.restype = number

    def load(self):
        return self.load_function(self.address, self.SEQ_CST)

    def store(self, value):
        self.store_function(self.address, self.number(value), self.SEQ_CST)

    def exchange(self, value):
        return self.exchange_function(self.address, self.number(value), self.SEQ_CST)


class Ring:
    """A stream of bytes with one writer and one reader, in memory that both share."""

    def __init__(self, segment, indices, start, size):
        self.segment, self.start, self.size = segment, start, size
        self.tail = Word(segment, indices, ctypes.c_uint64)
        self.head = Word(segment, indices + 128, ctypes.c_uint64)
        self.reader_waits = Word(segment, indices + 256, ctypes.c_uint32)
        self.writer_waits = Word(segment, indices + 384, ctypes.c_uint32)

    def used(self):
        return self.tail.load() - self.head.load()

    def room(self):
        return self.size - self.used()

    def parts(self, position, count):
        """Where bytes of the stream lie: up to the ring's end, and from its beginning."""
        at = position % self.size
        first = min(count, self.size - at)
        return slice(self.start + at, self.start + at + first), slice(self.start, self.start + count - first)

    def write(self, data):
        """As much of `data` as there is room for; says how much."""
        tail, count = self.tail.load(), min(len(data), self.room())
        first, second = self.parts(tail, count)
        split = first.stop - first.start
        self.segment[first], self.segment[second] = data[:split], data[split:count]
        self.tail.store(tail + count)
        return count

    def read(self):
        """All there is."""
        head, count = self.head.load(), self.used()
        first, second = self.parts(head, count)
        data = self.segment[first] + self.segment[second]
        self.head.store(head + count)
        return data


class Refused(Exception):
    """By the broker, in its Welcome: code, reason, message."""


class Ended(Exception):
    """The broker has closed the socket, and all that it said was read."""


class Connection:
    """Frames over the rings of one segment. `take` is called with each that comes."""

    def __init__(self, path, version=1):
        self.unsent, self.unread = bytearray(), bytearray()
        self.closed = False
        self.bells_rung = 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.socket.sendall(struct.pack("=8sII16x", b"BATNEHL1", version, version))
        size, descriptor = self.welcome()
        self.socket.setblocking(False)
        self.segment = mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        os.close(descriptor)
        header = struct.unpack_from("=8sII6Q", self.segment)
        assert header[:4] == (b"BATNSEG1", 1, 64, size), header
        ring_size, out_indices, in_indices, out_start, in_start = header[4:]
        self.outward = Ring(self.segment, out_indices, out_start, ring_size)
        self.inward = Ring(self.segment, in_indices, in_start, ring_size)

    def welcome(self):
        """Bytes of the segment, and its descriptor."""
        answer, descriptors = b"", array.array("i")
        while len(answer) < 256:
            data, ancillary, _, _ = self.socket.recvmsg(256 - len(answer), socket.CMSG_SPACE(4))
            if not data:
                raise Ended
            answer += data
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.frombytes(content)
        magic, code, version, size, reason, message = struct.unpack("=8sIIQ8x64s160s", answer)
        assert magic == b"BATNWLC1", answer
        if code != 0:
            self.socket.close()
            raise Refused(code, *(text.split(b"\0")[0].decode() for text in (reason, message)))
        assert version == 1
        return size, *descriptors

    def send(self, **parts):
        frame = pb.ClientFrame(**parts).SerializeToString()
        self.unsent += struct.pack("<I", len(frame)) + frame
        self.move()

    def move(self):
        """Writes and reads what can be now. False: nothing."""
        written = self.outward.write(self.unsent)
        if written:
            del self.unsent[:written]
            self.wake(self.outward.reader_waits)
        data = self.inward.read()
        if data:
            self.unread += data
            self.wake(self.inward.writer_waits)
        while len(self.unread) >= 4 + (size := int.from_bytes(self.unread[:4], "little")):
            frame = bytes(self.unread[4:4 + size])
            del self.unread[:4 + size]
            self.take(pb.ServerFrame.FromString(frame))
        return bool(written or data)

    def wake(self, waits):
        if waits.load() == 1 and waits.exchange(0) == 1:
            self.bells_rung += 1
            try:
                self.socket.send(b"!", socket.MSG_NOSIGNAL)
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                pass  # full: it has bells enough; closed: take_bells finds out

    def take_bells(self):
        try:
            self.closed = self.socket.recv(4096) == b"" or self.closed
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.closed = True

    def step(self):
        """Moves something, or sleeps until the broker rings."""
        self.take_bells()
        if self.move():
            return
        if self.closed:
            raise Ended
        self.inward.reader_waits.store(1)
        if self.unsent:
            self.outward.writer_waits.store(1)
        if not self.inward.used() and not (self.unsent and self.outward.room()):
            assert select.select([self.socket], [], [], PATIENCE)[0], "the broker did not ring"

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            self.step()


Delivery = collections.namedtuple("Delivery", "tag body id priority attempt redelivered sequence")


class Client(Connection):
    """A session: what the frames mean."""

    def __init__(self, path, producer_id=0):
        super().__init__(path)
        self.welcomed = self.go_away = None
        self.sequence = self.settlement = self.settled = 0
        self.unconfirmed = {}  # bytes, by sequence
        self.answers = {}      # by sequence: a durability, "duplicate", or an error's reason
        self.ids = {}
        self.subscribed, self.deliveries, self.settle_errors = {}, collections.deque(), []
        self.send(hello=pb.Hello(protocol_version=1, client_name="foreign", producer_id=producer_id))
        self.until(lambda: self.welcomed)

    def take(self, frame):
        if frame.HasField("hello"):
            self.welcomed = frame.hello
        self.subscribed.update({subscribed.subscription: subscribed for subscribed in frame.subscribed})
        for confirm in frame.confirms:
            run = range(confirm.first_sequence, confirm.last_sequence + 1)
            self.answers.update(dict.fromkeys(run, confirm.durability))
            self.answers.update(dict.fromkeys(confirm.duplicates, "duplicate"))
            self.answers.update({error.sequence: error.error.reason for error in confirm.errors})
            for index, sequence in enumerate(run):
                del self.unconfirmed[sequence]  # answered once
                self.ids[sequence] = confirm.ids[24 * index:24 * index + 24]
        for reply in frame.settled:
            self.settled = reply.through
            self.settle_errors += reply.errors
        for run in frame.deliveries:
            self.deliveries += self.deliveries_of(run)
        if frame.HasField("go_away"):
            self.go_away = frame.go_away.error

    @staticmethod
    def deliveries_of(run):
        at = 0
        for i, size in enumerate(run.body_sizes):
            columns = [column[i] if column else absent for column, absent in (
                (run.priorities, 0), (run.attempts, 1), (run.redelivered, False), (run.sequences, 0))]
            yield Delivery(run.first_tag + i, run.bodies[at:at + size], run.ids[24 * i:24 * i + 24], *columns)
            at += size

    def publish(self, queue, bodies, **columns):
        credit = self.welcomed.publish_credit
        sizes = [len(body) + len(headers) for body, headers in
                 zip(bodies, columns.get("headers", [b""] * len(bodies)))]
        self.until(lambda: not self.unconfirmed or (
            len(self.unconfirmed) + len(sizes) <= credit.messages and
            sum(self.unconfirmed.values()) + sum(sizes) <= credit.bytes))
        batch = pb.PublishBatch(queue=queue, first_sequence=self.sequence + 1, body_sizes=map(len, bodies),
                                bodies=b"".join(bodies), **columns)
        for size in sizes:
            self.sequence += 1
            self.unconfirmed[self.sequence] = size
        self.send(publish=[batch])

    def confirms(self):
        self.until(lambda: not self.unconfirmed)
        return self.answers

    def subscribe(self, queue, credit=1000):
        self.send(subscribe=[pb.Subscribe(subscription=1, queue=queue, credit_messages=credit)])
        self.until(lambda: 1 in self.subscribed)
        return self.subscribed[1]

    def receive(self, count):
        self.until(lambda: len(self.deliveries) >= count)
        return [self.deliveries.popleft() for _ in range(count)]

    def settle(self, kind, *tags, **how):
        """The errors."""
        self.settlement += 1
        self.send(settle=[pb.Settle(kind=kind, tags=[word for tag in tags for word in (tag, 0)], **how)])
        self.until(lambda: self.settled == self.settlement)
        return [(error.settlement, error.tag, error.error.reason) for error in self.settle_errors]

    def end(self):
        """What the broker says when it ends the session."""
        try:
            self.until(lambda: False)
        except Ended:
            return self.go_away and self.go_away.reason
