"""What test_kill.py knows of its points: an oracle outside the daemon.

A key is (collection, id) for a point, and its value the version that was written; vector and attributes follow from key
and version. (collection, None) stands for the collection itself. A version is given once in a run.
"""

import hashlib
import itertools
import json
import math
import struct
import threading
from collections import deque

import harness

DIM = 16
ABSENT = None
EXISTS = True  # the value of a collection


def vector_of(key, version):
    """The float32 components as bytes."""
    words = struct.unpack(f"<{DIM}i", hashlib.shake_128(f"{key}/{version}".encode()).digest(4 * DIM))
    return struct.pack(f"<{DIM}f", *(word / 2**31 for word in words))


def text_of(key, version):
    """The vector as a request has it, in either form."""
    components = struct.unpack(f"<{DIM}f", vector_of(key, version))
    return harness.f32(components) if version % 8 else "[" + ",".join(map(repr, components)) + "]"


def attributes_of(version):
    """The text as it is sent, and must come back. Some are large enough for RocksDB's blob files."""
    pad = "é" * (1500 if version % 40 == 0 else version % 50)
    return f'{{ "version":{version},"pad":  "{pad}"}}'


def id_of(owner, number):
    """Ids of one owner. Some need quotes, some are long."""
    if number % 10 == 0:
        return f"{owner} ü {number}"
    return f"{owner}-{number}" + ("-long" * 60 if number % 25 == 1 else "")


def word(text):
    return json.dumps(text, ensure_ascii=False) if " " in text else text


def distance(metric, left, right):
    dot = math.fsum(a * b for a, b in zip(left, right))
    if metric == "dot":
        return -dot
    if metric == "cosine":
        return 1 - dot / math.sqrt(math.fsum(a * a for a in left) * math.fsum(b * b for b in right))
    return math.dist(left, right)


class Oracle:
    """What was sent at all, and what was replaced or deleted at which moment. Moments are ticks."""

    def __init__(self):
        self.ticks = itertools.count(1)
        self.next_version = itertools.count(1)
        self.keys = {}  # version -> key
        self.ended = {}  # version -> the tick when it was known that the point is not at that version any more

    def new_version(self, key):
        version = next(self.next_version)
        self.keys[version] = key
        return version

    def restarted(self, present):
        """No request is under way any more, and these are all points."""
        self.keys = {version: key for key, version in present.items() if version is not EXISTS}
        self.ended = {}

    def check_point(self, name, point, begin):
        """A point, with attributes and vector, of the reply to a request that was sent at `begin`; returns its version."""
        key = (name, point["id"])
        version = point["attributes"].get("version")
        if self.keys.get(version) != key:
            raise AssertionError(f"{key} is shown with version {version}, which was sent for {self.keys.get(version)}")
        if struct.pack(f"<{DIM}f", *point["vector"]) != vector_of(key, version):
            raise AssertionError(f"{key} is shown half-written: the vector is not that of version {version}")
        if point["attributes"] != json.loads(attributes_of(version)):
            raise AssertionError(f"{key} is shown half-written: not the attributes of version {version}")
        if self.ended.get(version, math.inf) < begin:
            raise AssertionError(f"{key} is shown with version {version}, but another write or a delete was "
                                 "acknowledged before the request was sent")
        return version


class Operation:
    """A request that is about to be sent. `expected` is what of its reply is known: the code of an error, or fields."""

    def __init__(self, line, changes, expected):
        self.line = line.encode() + b"\n"
        self.changes = changes
        self.expected = expected
        self.tick = 0

    def check(self, reply):
        if isinstance(self.expected, str):
            right = reply[:2] == ("ERR", self.expected)
        else:
            got = reply[1] or {}
            right = reply[0] == "OK" and all(got.get(field) == value for field, value in self.expected.items())
        if not right:
            raise AssertionError(f"{self.line[:200]} was answered {str(reply)[:300]}, expected was {self.expected}")


def apply(state, changes):
    for key, value in changes.items():
        if value is ABSENT:
            state.pop(key, None)
        else:
            state[key] = value


class Journal:
    """What one connection sent and what was acknowledged to it, for keys that only it writes.

    Effects follow the order of a connection's requests, and so do commits: after a kill there is what the acknowledged
    requests and some first ones of those in flight leave, exactly.
    """

    def __init__(self, oracle):
        self.oracle = oracle
        self.acknowledged = {}
        self.ahead = {}  # when all that is in flight is done
        self.flying = deque()
        self.count = 0
        self._restarted = {}  # what was there after the last restart
        self._sent = []  # all operations since
        self._lock = threading.Lock()
        self._last_sent = {}  # key -> tick
        self._done = 0  # tick of the last operation that was acknowledged

    def send(self, operation):
        with self._lock:
            operation.tick = next(self.oracle.ticks)
            for key in operation.changes:
                self._last_sent[key] = operation.tick
            apply(self.ahead, operation.changes)
            self.flying.append(operation)
            self._sent.append(operation)

    def acknowledge(self):
        with self._lock:
            operation = self.flying.popleft()
            for key in operation.changes:
                old = self.acknowledged.get(key)
                if old is not ABSENT and old is not EXISTS:
                    self.oracle.ended[old] = next(self.oracle.ticks)
            apply(self.acknowledged, operation.changes)
            self._done = operation.tick
            self.count += 1

    def certain(self, key):
        """(version, mark) if nothing is in flight for the key. While the mark is the same, every reply shows that."""
        with self._lock:
            mark = self._last_sent.get(key, 0)
            return (self.acknowledged.get(key), mark) if mark <= self._done else None

    def mark(self, key):
        with self._lock:
            return self._last_sent.get(key, 0)

    def acknowledged_until(self):
        """The tick of the last operation that was acknowledged."""
        with self._lock:
            return self._done

    def take_out_at(self, present, first, last):
        """Takes the keys of this journal out of `present`, which is what a snapshot holds: what some first ones of the
        operations since the restart leave, at least those until tick `first`, none after tick `last`."""
        keys = set(self._restarted).union(*(operation.changes for operation in self._sent))
        found = {key: present.pop(key) for key in keys if key in present}
        state = dict(self._restarted)
        wrong = {key for key in keys if state.get(key) != found.get(key)}
        least = len(keys)
        for operation in [None, *self._sent]:
            if operation:
                if operation.tick > last:
                    break
                apply(state, operation.changes)
                for key in operation.changes:
                    (wrong.discard if state.get(key) == found.get(key) else wrong.add)(key)
            if (operation.tick if operation else 0) >= first:
                least = min(least, len(wrong))
                if not wrong:
                    return
        raise AssertionError(f"a snapshot holds no moment between ticks {first} and {last}: at best {least} of {len(keys)} "
                             "keys are at another version")

    def settle(self, present):
        """After a restart: takes the keys of this journal out of `present` and compares them."""
        keys = set(self.acknowledged).union(*(operation.changes for operation in self.flying))
        found = {key: present.pop(key) for key in keys if key in present}
        state = dict(self.acknowledged)
        for operation in [None, *self.flying]:
            if operation:
                apply(state, operation.changes)
            if state == found:
                break
        else:
            raise AssertionError(self._difference(found))
        self.acknowledged, self.ahead, self._restarted = found, dict(found), dict(found)
        self.flying.clear()
        self._sent = []
        self._last_sent = {}
        self._done = 0

    def _difference(self, found):
        sent = {}
        for operation in self.flying:
            for key, value in operation.changes.items():
                sent.setdefault(key, []).append(value)
        wrong = [(key, found.get(key), self.acknowledged.get(key), sent.get(key, []))
                 for key in sorted(set(found) | set(self.acknowledged) | set(sent), key=str)
                 if found.get(key) not in [self.acknowledged.get(key), *sent.get(key, [])]]
        if wrong:
            lines = [f"{key} is at {there}; acknowledged was {old}, then sent {news}" for key, there, old, news in wrong]
            return f"{len(wrong)} keys are at a version they cannot have:\n" + "\n".join(lines[:20])
        lines = [" ".join(f"{key}: {'there' if found.get(key) == value else 'not there'} ({value})"
                          for key, value in operation.changes.items()) for operation in self.flying]
        return "no first ones of the requests in flight leave what is there; in order:\n" + "\n".join(lines)


def read_all(connection, name):
    """All points of a collection, by key, from replies that must hold the attributes letter by letter."""
    points = {}
    cursor = ""
    while cursor is not None:
        option = f" cursor={json.dumps(cursor)}" if cursor else ""
        connection.send_line(f"SCAN {name} limit=1000 with=vector,attributes{option}")
        line = connection.read_line()
        reply = harness.parse_reply(line)
        if reply[0] != "OK":
            raise AssertionError(f"SCAN {name} was answered {reply}")
        position = 0
        for point in reply[1]["points"]:
            key = (name, point["id"])
            version = point["attributes"].get("version")
            if key in points:
                raise AssertionError(f"{key} was seen twice in one scan without writers")
            position = line.find(attributes_of(version), position) if version else -1
            if position < 0:
                raise AssertionError(f"{key} has other attributes than were sent: {str(point['attributes'])[:200]}")
            if struct.pack(f"<{DIM}f", *point["vector"]) != vector_of(key, version):
                raise AssertionError(f"{key} version {version} has another vector than was sent")
            points[key] = version
        cursor = reply[1]["cursor"]
    return points
