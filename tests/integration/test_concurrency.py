#!/usr/bin/env python3
"""Writers, readers and a deleter at once; an oracle knows what a result may no longer show."""

import json
import math
import random
import threading
import time
import unittest

import harness

DIM = 8
DURATION_S = 4


def vector_of(point, version):
    chance = random.Random(f"{point}/{version}")
    return harness.to_float32([chance.uniform(-1, 1) for _ in range(DIM)])


class Oracle:
    """The acknowledged state: the version of each point that lives, and the ids whose delete was acknowledged."""

    def __init__(self):
        self.lock = threading.Lock()
        self.versions = {}
        self.deleted = set()

    def added(self, point, version):
        with self.lock:
            self.versions[point] = version

    def take_one(self, chance):
        """Removes a random point from the oracle, to be deleted: from here on a search may or may not show it."""
        with self.lock:
            if not self.versions:
                return None
            point = chance.choice(list(self.versions))
            del self.versions[point]
            return point

    def was_deleted(self, point):
        with self.lock:
            self.deleted.add(point)

    def snapshot(self):
        with self.lock:
            return dict(self.versions), set(self.deleted)


class Concurrency(harness.DaemonTest):
    def run_all(self, tasks):
        """Runs every task(chance, stop) in a thread of its own for DURATION_S."""
        failures = []
        stop = threading.Event()

        def guarded(number, task):
            try:
                task(random.Random(number), stop)
            except Exception as error:  # noqa: BLE001: reported by the main thread
                failures.append(error)
                stop.set()

        threads = [threading.Thread(target=guarded, args=pair) for pair in enumerate(tasks)]
        for thread in threads:
            thread.start()
        stop.wait(DURATION_S)
        stop.set()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def test_results_never_show_what_is_deleted_or_outdated(self):
        self.create(dim=DIM, options="m=8 ef_construction=40")
        oracle = Oracle()
        searches = [0]

        def writer_of(number):
            def writer(chance, stop):
                client = self.daemon.connect()
                version, count = 0, 0
                while not stop.is_set():
                    # Ids that only this writer adds. One that the deleter may have taken is not added again.
                    count += 1
                    new = [f"{number}-{count}-{i}" for i in range(8)]
                    version += 1
                    lines = [f"ADD {self.name} {one} {harness.f32(vector_of(one, version))} "
                             f"{json.dumps({'version': version})}" for one in new]
                    for one, reply in zip(new, client.pipeline(lines)):
                        self.assertEqual(reply[0], "OK", reply)
                        oracle.added(one, version)
                    self.check_own_write(client, oracle, new[0], version)
            return writer

        def updater(chance, stop):
            client = self.daemon.connect()
            points = [f"u-{i}" for i in range(50)]
            version = 0
            while not stop.is_set():
                version += 1
                one = chance.choice(points)
                client.ok(f"ADD {self.name} {one} {harness.f32(vector_of(one, version))} "
                          f"{json.dumps({'version': version})}")
                with oracle.lock:
                    oracle.versions[one] = version

        def deleter(chance, stop):
            client = self.daemon.connect()
            while not stop.is_set():
                point = oracle.take_one(chance)
                if point is None or point.startswith("u-"):
                    continue
                self.assertEqual(client.ok(f"DEL {self.name} {point}"), {"deleted": 1, "missing": []})
                oracle.was_deleted(point)

        def reader(chance, stop):
            client = self.daemon.connect()
            while not stop.is_set():
                versions, deleted = oracle.snapshot()
                query = harness.to_float32([chance.uniform(-1, 1) for _ in range(DIM)])
                exact = chance.random() < 0.2
                matches = client.ok(f"SEARCH {self.name} {harness.f32(query)} k=20 with=attributes,vector"
                                    f"{' exact=true' if exact else ''}")["matches"]
                self.check_matches(query, matches, versions, deleted)
                searches[0] += 1

        self.run_all([writer_of(n) for n in range(4)] + [updater, deleter] + [reader] * 4)
        self.assertGreater(searches[0], 0)

        # At rest the collection holds exactly what the oracle does, plus points that were updated after being taken.
        versions, deleted = oracle.snapshot()
        found = set()
        cursor = None
        while True:
            page = self.client.ok(f"SCAN {self.name} limit=1000" + (f" cursor={cursor}" if cursor else ""))
            found.update(point["id"] for point in page["points"])
            cursor = page["cursor"]
            if cursor is None:
                break
        self.assertFalse(found & deleted)
        self.assertFalse(set(versions) - found)

    def check_own_write(self, client, oracle, point, version):
        vector = harness.f32(vector_of(point, version))
        matches = client.ok(f"SEARCH {self.name} {vector} k=1 exact=true")["matches"]
        with oracle.lock:
            taken = point not in oracle.versions
        if not taken:
            self.assertEqual([match["id"] for match in matches], [point], "an acknowledged write is not visible")

    def check_matches(self, query, matches, versions, deleted):
        ids = [match["id"] for match in matches]
        self.assertEqual(len(ids), len(set(ids)), "one id twice in a result")
        self.assertFalse(set(ids) & deleted, "a deleted point in a result")
        distances = [match["distance"] for match in matches]
        self.assertEqual(distances, sorted(distances))
        for match in matches:
            version = match["attributes"]["version"]
            self.assertEqual(harness.to_float32(match["vector"]), vector_of(match["id"], version), "a vector that is not the version's own")
            self.assertAlmostEqual(match["distance"], math.dist(query, match["vector"]), 4,
                                   "the distance of another version")
            self.assertGreaterEqual(version, versions.get(match["id"], 0), "a version older than the acknowledged one")

    def test_create_and_drop_beside_readers(self):
        def churn(chance, stop):
            client = self.daemon.connect()
            while not stop.is_set():
                client.ok(f"CREATE {self.name} dim=2")
                client.pipeline([f"ADD {self.name} {i} [{i},0]" for i in range(50)])
                client.ok(f"DROP {self.name}")

        def reader(chance, stop):
            client = self.daemon.connect()
            while not stop.is_set():
                for line in (f"SEARCH {self.name} [0,0]", f"GET {self.name} 1", f"SCAN {self.name}",
                             f"STATS {self.name}", "LIST"):
                    reply = client.call(line)
                    self.assertTrue(reply[0] == "OK" or reply[1] == "not_found", reply)

        def writer(chance, stop):
            client = self.daemon.connect()
            while not stop.is_set():
                for reply in client.pipeline([f"ADD {self.name} {chance.randrange(100)} [1,2]" for _ in range(20)]):
                    self.assertTrue(reply[0] == "OK" or reply[1] == "not_found", reply)

        self.run_all([churn, reader, reader, writer])

    def test_conditional_adds_race_for_one_id(self):
        self.create()
        wins = []

        def claimer(chance, stop):
            client = self.daemon.connect()
            for round_number in range(100):
                reply = client.call(f"ADD {self.name} r{round_number} [1,2] if=absent")
                if reply[0] == "OK":
                    wins.append(round_number)
                else:
                    self.assertEqual(reply[1], "exists")

        begin = time.monotonic()
        self.run_all([claimer] * 4)
        self.assertEqual(sorted(wins), list(range(100)), f"each id is created once ({time.monotonic() - begin:.1f} s)")


if __name__ == "__main__":
    harness.main()
