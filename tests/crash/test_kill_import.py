#!/usr/bin/env python3
"""Kills vsd (SIGKILL) at random moments while several clients write, and checks after each restart what is there.

An oracle outside the daemon knows every operation that was sent and whether it was acknowledged. After a restart
  - every acknowledged write is there, vector and attributes bit for bit, unless a later operation was sent for its id,
  - every acknowledged delete is absent, likewise,
  - an operation that was sent but not acknowledged is there wholly or not at all (also a delete of several ids),
  - nothing else exists, and a search with the own vector of a sample of the points finds each of them.

Run alone: test_kill_import.py [--seed N] [--kills N]. The seed of a run is printed.
"""

import argparse
import json
import random
import sys
import threading
import time

import harness

DIM = 32
WRITERS = 4
BATCH = 16
COLLECTION = "c"
ABSENT = None
# A killed process loses nothing in any of the modes: what differs is what a power failure takes.
DURABILITIES = ["always", "always", "interval", "none"]


def vector_of(point, version):
    chance = random.Random(f"{point}/{version}")
    return tuple(harness.to_float32([chance.uniform(-1, 1) for _ in range(DIM)]))


class History:
    """What may be the state of one id: states[0] is acknowledged, each further one was sent after it."""

    def __init__(self):
        self.states = [ABSENT]


class Writer(threading.Thread):
    """Adds, updates and deletes points of its own, pipelined, until the connection breaks."""

    def __init__(self, number, daemon, histories, seed):
        super().__init__(daemon=True)
        self.number = number
        self.histories = histories
        self.random = random.Random(seed)
        self.connection = daemon.connect()
        self.acknowledged = 0
        self.deletes_in_flight = []
        self.failure = None

    def run(self):
        try:
            flying = []
            while True:
                batch = [self.next_operation() for _ in range(BATCH)]
                self.connection.send_bytes(b"".join(line for line, _ in batch))
                for _, ids in flying:
                    self.acknowledge(ids)
                flying = batch
        except (harness.Closed, OSError):
            pass
        except Exception as error:  # noqa: BLE001: handed to the main thread
            self.failure = error

    def next_operation(self):
        """A line, and the ids it is about; it counts as sent from here on."""
        point = f"w{self.number}-{self.random.randrange(2000)}"
        if self.random.random() < 0.15:
            ids = list({point, *(f"w{self.number}-{self.random.randrange(2000)}" for _ in range(2))})
            for one in ids:
                self.histories.setdefault(one, History()).states.append(ABSENT)
            self.deletes_in_flight.append(ids)
            return (f"DEL {COLLECTION} {' '.join(ids)}\n".encode(), ids)
        history = self.histories.setdefault(point, History())
        version = self.random.getrandbits(60)
        history.states.append(version)
        attributes = json.dumps({"version": version}, separators=(",", ":"))
        return (f"ADD {COLLECTION} {point} {harness.f32(vector_of(point, version))} {attributes}\n".encode(), [point])

    def acknowledge(self, ids):
        reply = self.connection.read_reply()
        if reply[0] != "OK":
            raise AssertionError(f"an operation on {ids} was answered {reply}")
        if len(ids) > 1 or "deleted" in reply[1]:
            self.deletes_in_flight.pop(0)
        for one in ids:
            del self.histories[one].states[0]
        self.acknowledged += 1


def read_all(connection):
    """All points by id: (version, vector)."""
    points = {}
    cursor = ""
    while cursor is not None:
        option = f" cursor={json.dumps(cursor)}" if cursor else ""
        page = connection.ok(f"SCAN {COLLECTION} limit=1000 with=vector,attributes{option}")
        for point in page["points"]:
            if point["id"] in points:
                raise AssertionError(f"{point['id']} was seen twice in one scan without writers")
            points[point["id"]] = (point["attributes"]["version"], tuple(harness.to_float32(point["vector"])))
        cursor = page["cursor"]
    return points


def check_delete_is_atomic(ids, histories, present):
    """An unacknowledged delete of several ids: those that no other operation in flight touches went all or not at all."""
    certain = [one for one in ids if len(histories[one].states) == 2 and histories[one].states[0] is not ABSENT]
    left = [one for one in certain if one in present]
    if left and len(left) != len(certain):
        raise AssertionError(f"half of an unacknowledged delete was done: of {certain} only {left} are left")


def check(connection, writers, histories, chance):
    present = read_all(connection)
    for writer in writers:
        for ids in writer.deletes_in_flight:
            check_delete_is_atomic(ids, histories, present)
    for one, history in histories.items():
        version, vector = present.pop(one, (ABSENT, ABSENT))
        if version not in history.states:
            raise AssertionError(f"{one} is at {version}; acknowledged or sent were {history.states}")
        if version is not ABSENT and vector != vector_of(one, version):
            raise AssertionError(f"{one} version {version} has another vector than was sent")
        history.states = [version]
    if present:
        raise AssertionError(f"points that nobody wrote: {sorted(present)[:10]}")

    live = {one: history.states[0] for one, history in histories.items() if history.states[0] is not ABSENT}
    count = connection.ok(f"STATS {COLLECTION}")["live"]
    if count != len(live):
        raise AssertionError(f"STATS counts {count} live points, there are {len(live)}")
    for one in chance.sample(sorted(live), min(200, len(live))):
        got = connection.ok(f"GET {COLLECTION} {one} with=vector")
        if tuple(harness.to_float32(got["vector"])) != vector_of(one, live[one]):
            raise AssertionError(f"GET {one} gives another vector than SCAN")
        # With this ef the graph search of so few points finds every one, unless the graph was damaged.
        match = connection.ok(f"SEARCH {COLLECTION} {harness.f32(vector_of(one, live[one]))} k=1 ef=400")["matches"]
        if [found["id"] for found in match] != [one] or match[0]["distance"] != 0:
            raise AssertionError(f"a search with the vector of {one} gives {match}")
    return len(live)


def run(seed, kills):
    print(f"seed {seed} (replay with --seed {seed})", flush=True)
    chance = random.Random(seed)
    histories = [{} for _ in range(WRITERS)]
    options = ["--checkpoint-operations", "2000"]
    with harness.Daemon(*options) as daemon:
        daemon.connect().ok(f"CREATE {COLLECTION} dim={DIM} m=16 ef_construction=100 seed=1")
        for kill in range(kills):
            writers = [Writer(n, daemon, histories[n], chance.getrandbits(64)) for n in range(WRITERS)]
            for writer in writers:
                writer.start()
            time.sleep(chance.uniform(0.05, 1.5))
            daemon.kill()
            for writer in writers:
                writer.join()
                if writer.failure:
                    raise writer.failure
            durability = chance.choice(DURABILITIES)
            daemon.arguments = [*options, "--durability", durability]
            seconds = daemon.start()
            merged = {one: history for part in histories for one, history in part.items()}
            live = check(daemon.connect(), writers, merged, chance)
            print(f"kill {kill + 1}: {sum(w.acknowledged for w in writers)} operations acknowledged, ready after "
                  f"{seconds:.2f} s, {live} points live, next durability {durability}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    run(options.seed, options.kills)


if __name__ == "__main__":
    sys.exit(main())
