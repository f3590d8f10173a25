"""The clients of test_kill.py. Each is a thread with a connection, and works until vsd is gone."""

import random
import threading
import time

import harness
from kill_oracle import ABSENT, DIM, EXISTS, Operation, attributes_of, distance, id_of, text_of, word

IDS = 500  # of one writer in one collection
SIDE_COLLECTIONS = 4
BATCH_MAX = 40


class Stopping(Exception):
    """vsd said that it is shutting down."""


class Client(threading.Thread):
    def __init__(self, daemon, seed):
        super().__init__(daemon=True)
        self.random = random.Random(seed)
        self.connection = daemon.connect()
        self.failure = None

    def run(self):
        try:
            try:
                self.work()
            except (harness.Closed, OSError):
                self.drain()
        except (harness.Closed, OSError, Stopping):
            pass
        except Exception as error:  # noqa: BLE001: handed to the main thread
            self.failure = error

    def drain(self):
        """The connection is broken; replies that came before can still be read."""

    def call(self, line):
        reply = self.connection.call(line)
        if reply[:2] == ("ERR", "shutting_down"):
            raise Stopping
        return reply

    def ok(self, line):
        reply = self.call(line)
        if reply[0] != "OK":
            raise AssertionError(f"{line[:200]!r} was answered {reply}")
        return reply[1]


class JournalClient(Client):
    """One that writes, and whose journal outlives it."""

    def __init__(self, daemon, seed, journal):
        super().__init__(daemon, seed)
        self.journal = journal

    def drain(self):
        while self.journal.flying:
            self.receive()

    def send(self, operations):
        """The journal counts them as sent already."""
        self.connection.send_bytes(b"".join(operation.line for operation in operations))

    def receive(self):
        reply = self.connection.read_reply()
        if reply[:2] == ("ERR", "shutting_down"):
            raise Stopping
        self.journal.flying[0].check(reply)
        self.journal.acknowledge()

    def plan(self, line, changes, expected):
        operation = Operation(line, changes, expected)
        self.journal.send(operation)
        return operation

    def add(self, key, condition=""):
        """ADD with a new version. Its outcome follows from what was sent before."""
        there = key in self.journal.ahead
        version = self.journal.oracle.new_version(key)
        line = f"ADD {key[0]} {word(key[1])} {text_of(key, version)} {attributes_of(version)}{condition}"
        if condition and there == (condition == " if=absent"):
            return self.plan(line, {}, "exists" if there else "not_found")
        return self.plan(line, {key: version}, {"id": key[1], "created": not there})

    def delete(self, name, points):
        missing = [one for one in points if (name, one) not in self.journal.ahead]
        return self.plan(f"DEL {name} {' '.join(map(word, points))}", {(name, one): ABSENT for one in points},
                         {"deleted": len(points) - len(missing), "missing": missing})


class Writer(JournalClient):
    """Adds, replaces and deletes points of its own; waits for each reply, or pipelines batches."""

    def __init__(self, daemon, seed, journal, number, names):
        super().__init__(daemon, seed, journal)
        self.owner = f"w{number}"
        self.names = names
        self.pipelined = number % 2 == 0

    def work(self):
        waiting = 0
        while True:
            count = self.random.randint(2, BATCH_MAX) if self.pipelined else 1
            self.send([self.next_operation() for _ in range(count)])
            if self.pipelined:
                waiting, count = count, waiting  # those of the batch before
            for _ in range(count):
                self.receive()

    def next_operation(self):
        name = self.random.choice(self.names)
        kind = self.random.random()
        if kind < 0.12:
            numbers = self.random.sample(range(IDS), self.random.choice([1, 1, 2, 3, 5]))
            return self.delete(name, [id_of(self.owner, number) for number in numbers])
        key = (name, id_of(self.owner, self.random.randrange(IDS)))
        return self.add(key, " if=absent" if kind < 0.2 else " if=present" if kind < 0.28 else "")


class SideClient(JournalClient):
    """Creates collections, each of a name that was never used before, fills and drops them; often in one pipeline."""

    def __init__(self, daemon, seed, journal, number):
        super().__init__(daemon, seed, journal)
        self.number = number
        self.created = 0

    def work(self):
        while True:
            operations = self.next_operations()
            if self.random.random() < 0.5:
                self.send(operations)
                for _ in operations:
                    self.receive()
            else:
                for operation in operations:
                    self.send([operation])
                    self.receive()
            time.sleep(self.random.uniform(0, 0.05))

    def next_operations(self):
        names = sorted({name for name, point in self.journal.ahead if point is None})
        if names and (len(names) >= SIDE_COLLECTIONS or self.random.random() < 0.4):
            return [self.drop(self.random.choice(names))]
        self.created += 1
        name = f"side-{self.number}-{self.created}"
        metric = self.random.choice(["l2", "cosine", "dot"])
        operations = [self.plan(f"CREATE {name} dim={DIM} metric={metric} m=4 ef_construction=20",
                                {(name, None): EXISTS}, {"name": name})]
        points = [f"p{n}" for n in range(self.random.choice([0, 1, 10, 60]))]
        operations += [self.add((name, one)) for one in points]
        if points and self.random.random() < 0.5:
            operations.append(self.delete(name, self.random.sample(points, (len(points) + 1) // 2)))
        if self.random.random() < 0.2:
            operations.append(self.drop(name))
        return operations

    def drop(self, name):
        return self.plan(f"DROP {name}", {key: ABSENT for key in self.journal.ahead if key[0] == name}, {})


class Reader(Client):
    """Searches, gets and scans. Replies show no point that was gone when the request was sent, and none by halves."""

    def __init__(self, daemon, seed, oracle, journals, metrics):
        super().__init__(daemon, seed)
        self.oracle = oracle
        self.journals = journals
        self.metrics = metrics  # by the names of the collections
        self.count = 0

    def work(self):
        while True:
            kind = self.random.random()
            name = self.random.choice(list(self.metrics))
            if kind < 0.6:
                self.search(name)
            elif kind < 0.97:
                self.get(name)
            else:
                self.scan(name)
            self.count += 1

    def search(self, name):
        query = harness.to_float32([self.random.uniform(-1, 1) for _ in range(DIM)])
        k = self.random.choice([1, 10, 30])
        option = self.random.choice(["", "", " ef=100", " exact=true"])
        begin = next(self.oracle.ticks)
        matches = self.ok(f"SEARCH {name} {harness.f32(query)} k={k} with=attributes,vector{option}")["matches"]
        if len({match["id"] for match in matches}) != len(matches) or len(matches) > k:
            raise AssertionError(f"one id twice or too many in the result of SEARCH {name} k={k}: {matches}")
        if any(left["distance"] > right["distance"] for left, right in zip(matches, matches[1:])):
            raise AssertionError(f"the result of SEARCH {name} is not in the order of the distances: {matches}")
        for match in matches:
            self.oracle.check_point(name, match, begin)
            wanted = distance(self.metrics[name], query, match["vector"])
            if abs(match["distance"] - wanted) > 1e-4:
                raise AssertionError(f"SEARCH {name}: {match['id']} is at {wanted}, not at {match['distance']}")

    def get(self, name):
        number = self.random.randrange(len(self.journals))
        key = (name, id_of(f"w{number}", self.random.randrange(IDS)))
        certain = self.journals[number].certain(key)
        begin = next(self.oracle.ticks)
        reply = self.call(f"GET {name} {word(key[1])} with=vector")
        if reply[0] == "OK":
            version = self.oracle.check_point(name, reply[1], begin)
        elif reply[1] == "not_found":
            version = ABSENT
        else:
            raise AssertionError(f"GET {key} was answered {reply}")
        if certain and certain[1] == self.journals[number].mark(key) and certain[0] != version:
            raise AssertionError(f"GET {key} shows version {version}, acknowledged and untouched since is {certain[0]}")

    def scan(self, name):
        cursor = ""
        while cursor is not None:
            begin = next(self.oracle.ticks)
            page = self.ok(f"SCAN {name} limit=200 with=attributes,vector" + (f" cursor={cursor}" if cursor else ""))
            for point in page["points"]:
                self.oracle.check_point(name, point, begin)
            cursor = page["cursor"] if self.random.random() < 0.8 else None


class Maintainer(Client):
    """Asks for checkpoints, compactions, rebuilds and snapshots."""

    def __init__(self, daemon, seed, journals, names, tag):
        super().__init__(daemon, seed)
        self.journals = journals
        self.names = names
        self.tag = tag
        self.snapshots = []  # (tag, what of each journal is in it at least: a tick, at most: a tick)

    def work(self):
        while True:
            kind = self.random.random()
            if kind < 0.4:
                self.ok("CHECKPOINT")
            elif kind < 0.6:
                self.snapshot(f"{self.tag}-{len(self.snapshots)}")
            else:
                name = self.random.choice(self.names)
                request = self.random.choice(["COMPACT {}", "REBUILD {}", "REBUILD {} ef_construction=61"])
                self.finish(self.ok(request.format(name))["job"])
            time.sleep(self.random.choice([0, 0, 0.02, 0.2]))

    def snapshot(self, tag):
        least = [journal.acknowledged_until() for journal in self.journals]
        if self.finish(self.ok(f"SNAPSHOT {tag}")["job"]):
            self.snapshots.append((tag, least, next(self.journals[0].oracle.ticks)))

    def finish(self, number):
        """Whether the job was done, not cancelled."""
        while (job := self.ok(f"JOBS {number}")["jobs"][0])["state"] == "running":
            if self.random.random() < 0.01:
                self.call(f"CANCEL {number}")  # it may have ended
            time.sleep(0.01)
        if job["state"] == "failed":
            raise AssertionError(job)
        return job["state"] == "done"
