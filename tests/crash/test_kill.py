#!/usr/bin/env python3
"""Kills vsd (SIGKILL) at random moments under load, again and again on one directory, and checks what is there then.

Eight clients add, replace and delete points, four read, one creates, fills and drops collections, one asks for
checkpoints, compactions, rebuilds and snapshots, and vsd compacts by itself. It is killed after 50 to 2,000 ms, sometimes
during a clean stop, and sometimes again, up to three times, while it recovers. Now and then the run goes on with a
directory that was restored from a snapshot, with kills in the restore. An oracle outside the daemon knows every request
that was sent and whether it was acknowledged. After each restart
  - every acknowledged write is there, vector and attributes bit for bit, and every acknowledged delete is absent,
  - of a connection's requests that were not acknowledged some first ones are done, each wholly, the rest not at all,
  - the same for collections that were created and dropped,
  - nothing else exists, neither collections, nor points, nor files,
  - a snapshot that was made under load holds one moment between its request and its end, of each connection,
  - CHECK deep=true finds nothing, and points find themselves,
and recall is, on average, at most 0.005 below that of the same points in a collection that is built fresh.

Run alone: test_kill.py [--seed N] [--kills N]; 25 kills take about a minute, --kills 3000 a few hours. VS_TEST_KILLS is
another default for --kills, for slow builds. The seed of a run is printed. It gives all choices again; the moments at
which the kills hit are never quite the same.
"""

import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "integration"))

import harness  # noqa: E402
from checks import make_snapshot, wait_for_job  # noqa: E402
from kill_clients import Maintainer, Reader, SideClient, Writer  # noqa: E402
from kill_oracle import DIM, EXISTS, Journal, Oracle, read_all, text_of, word  # noqa: E402

WRITERS = 8
READERS = 4
METRICS = ["l2", "cosine", "dot"]
CODES = {"l2": "sq8", "cosine": "none", "dot": "sq8"}  # that begin when there are 1,024 slots
# Recall with these is low enough to see damage, and the graph has upper layers.
CONFIGURATION = f"dim={DIM} m=8 ef_construction=60 seed=1"
EF = 20
K = 10
QUERIES = 200
RECALL_EVERY = 2  # kills; of one collection
RECALL_LOSS_MAX = 0.005  # on average over the run
RECALL_LOSS_ONCE_MAX = 0.05
RESTORE_SHARE = 0.25  # of the kills after which the run goes on with a restored directory


def start_and_kill(daemon, delay_s):
    """A start that is killed so long after it began. Returns whether it was not ready by then."""
    command = [harness.program("VSD", "vsd"), "--data-dir", daemon.directory, "--listen", "127.0.0.1:0",
               *daemon.arguments]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        time.sleep(delay_s)
        process.kill()
        code = process.wait(harness.TIMEOUT_S)
        log.seek(0)
        text = log.read().decode(errors="replace")
    if code != -signal.SIGKILL:
        raise AssertionError(f"vsd ended by itself with {code} in a recovery:\n{text}")
    return harness.READY.search(text) is None


class Run:
    def __init__(self, daemon, seed):
        self.daemon = daemon
        self.chance = random.Random(seed)
        self.oracle = Oracle()
        self.writers = [Journal(self.oracle) for _ in range(WRITERS)]
        self.side = Journal(self.oracle)
        self.journals = [*self.writers, self.side]
        self.metrics = {}  # of the collections that the writers use, by name
        self.created = 0
        self.kills = 0
        self.kills_in_recovery = 0
        self.replies = 0
        self.ready_worst_s = 0
        self.recalls = []  # (of the collection, of the fresh one)
        self.snapshots = 0  # that were made under load and restored
        self.restores = 0  # with which the run went on
        self.kills_in_restore = 0
        with self.daemon.connect() as connection:
            for metric in METRICS:
                self.create(connection, metric)

    def create(self, connection, metric):
        self.created += 1
        name = f"main-{self.created}"
        connection.ok(f"CREATE {name} metric={metric} codes={CODES[metric]} {CONFIGURATION}")
        self.metrics[name] = metric

    def cycle(self):
        self.kills += 1
        begin = sum(journal.count for journal in self.journals)
        stopped = self.load()
        operations = sum(journal.count for journal in self.journals) - begin
        durability = self.chance.choice(["always", "interval", "none"])
        checkpoint = self.chance.choice([150, 1000, 20000])
        self.daemon.arguments = ["--durability", durability, "--checkpoint-operations", str(checkpoint), "--threads",
                                 str(self.chance.choice([1, 2, 4])), "--compact-at-percent",
                                 str(self.chance.choice([5, 25]))]
        again = self.kill_recoveries()
        seconds = self.daemon.start()
        self.ready_worst_s = max(self.ready_worst_s, seconds)
        with self.daemon.connect() as connection:
            points = self.check(connection)
            print(f"kill {self.kills}: {operations} operations{stopped}, {again} kills in recovery, ready after "
                  f"{seconds:.2f} s, {len(points)} points; now durability {durability}, checkpoints each {checkpoint}"
                  f"{self.check_recall(connection, points)}", flush=True)
        if self.chance.random() < RESTORE_SHARE:
            self.go_on_restored()

    def load(self):
        """All clients at work until the kill. Returns what else there is to say of it."""
        names = list(self.metrics)
        seeds = [self.chance.getrandbits(64) for _ in range(WRITERS + READERS + 2)]
        clients = [Writer(self.daemon, seeds.pop(), self.writers[n], n, names) for n in range(WRITERS)]
        clients += [Reader(self.daemon, seeds.pop(), self.oracle, self.writers, self.metrics) for _ in range(READERS)]
        clients.append(SideClient(self.daemon, seeds.pop(), self.side, self.kills))
        if self.chance.random() < 0.5:
            clients.append(Maintainer(self.daemon, seeds.pop(), self.journals, names, f"load-{self.kills}"))
        delay_s = self.chance.uniform(0.05, 2)
        stop = self.chance.random() < 0.15
        stop_delay_s = self.chance.uniform(0.001, 0.2)
        for client in clients:
            client.start()
        time.sleep(delay_s)
        if stop:
            self.daemon.process.send_signal(signal.SIGTERM)
            time.sleep(stop_delay_s)
        self.daemon.kill()
        for client in clients:
            client.join()
        failures = [client.failure for client in clients if client.failure]
        if failures:
            raise failures[0]
        wanted = [0, -signal.SIGKILL] if stop else [-signal.SIGKILL]
        if self.daemon.process.returncode not in wanted:
            raise AssertionError(f"vsd ended by itself with {self.daemon.process.returncode}")
        self.replies += sum(client.count for client in clients if isinstance(client, Reader))
        for client in clients:
            client.connection.close()
            if isinstance(client, Maintainer):
                self.check_snapshots(client.snapshots[-1:])
        return ", killed in a stop" if stop else ""

    def kill_recoveries(self):
        """Kills starts that are under way; returns how many were not ready yet."""
        count = 0
        for _ in range(self.chance.choice([0, 0, 1, 1, 2, 3])):
            # 1 to 300 ms; more of the short ones than of the long.
            exponent, even = self.chance.random(), self.chance.random() < 0.5
            delay_s = 0.001 * (1 + 299 * exponent if even else 300**exponent)
            count += start_and_kill(self.daemon, delay_s)
        self.kills_in_recovery += count
        return count

    def check_snapshots(self, snapshots):
        """Restores those that were made under load beside the directory that was just killed."""
        for tag, least, last in snapshots:
            self.snapshots += 1
            with tempfile.TemporaryDirectory(prefix="vsd-test-") as folder:
                with harness.Daemon("--restore", os.path.join(self.daemon.directory, "snapshots", tag),
                                    directory=os.path.join(folder, "data")) as restored:
                    connection = restored.connect()
                    listed = [collection["name"] for collection in connection.ok("LIST")["collections"]]
                    present = {(name, None): EXISTS for name in listed}
                    for name in listed:
                        present.update(read_all(connection, name))
                for journal, first in zip(self.journals, least):
                    journal.take_out_at(present, first, last)
                if present != {(name, None): EXISTS for name in self.metrics}:
                    raise AssertionError(f"a snapshot holds what nobody made, or misses a collection: {list(present)[:20]}")

    def go_on_restored(self):
        """Makes a snapshot, restores it into another directory, and goes on there: the next check compares all."""
        with self.daemon.connect() as connection:
            source = make_snapshot(connection, "quiet")["path"]
        self.daemon.kill()
        old, self.daemon.directory = self.daemon.directory, f"{self.daemon.directory}+"
        arguments, restore = self.daemon.arguments, ["--restore", source]
        kills = 0
        for _ in range(self.chance.choice([0, 1, 2])):
            self.daemon.arguments = [*arguments, *restore]
            start_and_kill(self.daemon, 0.001 * 300 ** self.chance.random())
            kills += 1
            # Once it is all there another restore would be refused.
            if os.path.isdir(os.path.join(self.daemon.directory, "rocksdb")):
                restore = []
        self.kills_in_restore += kills
        self.daemon.arguments = [*arguments, *restore]
        self.daemon.start()
        self.daemon.arguments = arguments
        shutil.rmtree(old)
        with self.daemon.connect() as connection:
            points = self.check(connection)
        self.restores += 1
        print(f"goes on with a restored directory: {kills} kills in the restore, {len(points)} points", flush=True)

    def check(self, connection):
        """All that must hold after a restart. Returns the points: their versions by key."""
        listed = connection.ok("LIST")["collections"]
        present = {(collection["name"], None): EXISTS for collection in listed}
        points = {}
        for collection in listed:
            if "error" in collection:
                raise AssertionError(f"a collection could not be opened: {collection}")
            found = read_all(connection, collection["name"])
            live = connection.ok(f"STATS {collection['name']}")["live"]
            if not len(found) == live == collection["live"]:
                raise AssertionError(f"{collection}: STATS counts {live} points, SCAN shows {len(found)}")
            points.update(found)
        present.update(points)
        for journal in self.journals:
            journal.settle(present)
        if present != {(name, None): EXISTS for name in self.metrics}:
            raise AssertionError(f"these exist and nobody made them, or a collection is missing: {list(present)[:20]}")
        # A compaction may have begun already, whose files come and go.
        folders = pathlib.Path(self.daemon.directory, "collections")
        harness.eventually(lambda: len(list(folders.glob("*/*"))) == len(listed),
                           what=f"files of {len(listed)} collections: {list(folders.glob('*/*'))}")
        self.oracle.restarted(points)
        jobs = [connection.ok(f"CHECK {collection['name']} deep=true")["job"] for collection in listed]
        self.check_some(connection, points)
        for number in jobs:
            job = wait_for_job(connection, number)
            if job["state"] != "done" or job["result"]["clean"] is not True or job["result"]["problems_found"]:
                raise AssertionError(f"CHECK deep=true is not clean: {job}")
        return points

    def check_some(self, connection, points):
        """GET and SEARCH see the same as SCAN."""
        sample = self.chance.sample(sorted(points), min(100, len(points)))
        gets = connection.pipeline([f"GET {name} {word(one)} with=vector" for name, one in sample])
        searches = connection.pipeline([
            f"SEARCH {name} {text_of((name, one), points[name, one])} k=1 ef=400" for name, one in sample])
        now = next(self.oracle.ticks)
        for (name, one), got, found in zip(sample, gets, searches):
            if got[0] != "OK" or self.oracle.check_point(name, got[1], now) != points[name, one]:
                raise AssertionError(f"GET {name} {one} gives {got}, not version {points[name, one]} as SCAN")
            # Under dot others may be nearer to a point than itself.
            if found[0] != "OK" or len(found[1]["matches"]) != 1 or (
                    self.metrics.get(name) in ("l2", "cosine") and found[1]["matches"][0]["id"] != one):
                raise AssertionError(f"a search with the vector of {one} in {name} gives {found}")

    def check_recall(self, connection, points):
        """Every few kills compares one collection with the same points in a fresh one."""
        if self.kills % RECALL_EVERY:
            return ""
        name, metric = sorted(self.metrics.items())[self.kills // RECALL_EVERY % len(METRICS)]
        fresh = f"fresh-{self.kills}"
        connection.ok(f"CREATE {fresh} metric={metric} codes={CODES[metric]} {CONFIGURATION}")
        lines = [f"ADD {fresh} {word(key[1])} {text_of(key, version)}" for key, version in points.items()
                 if key[0] == name]
        self.chance.shuffle(lines)
        for begin in range(0, len(lines), 500):
            for reply in connection.pipeline(lines[begin:begin + 500]):
                if reply[0] != "OK":
                    raise AssertionError(reply)
        queries = [harness.f32([self.chance.uniform(-1, 1) for _ in range(DIM)]) for _ in range(QUERIES)]
        exact = self.search_all(connection, name, queries, "exact=true")
        self.compare_exact(exact, self.search_all(connection, fresh, queries, "exact=true"), name)
        old, new = [self.recall(exact, self.search_all(connection, one, queries, f"ef={EF}")) for one in (name, fresh)]
        connection.ok(f"DROP {fresh}")
        self.recalls.append((old, new))
        if old < new - RECALL_LOSS_ONCE_MAX:
            raise AssertionError(f"recall@{K} of {name} ({metric}) is {old:.4f}, that of a fresh collection {new:.4f}")
        return f"; recall {old:.4f}, fresh {new:.4f} ({metric})"

    def search_all(self, connection, name, queries, option):
        """Distances by id, a dict for each query."""
        replies = connection.pipeline([f"SEARCH {name} {query} k={K} {option}" for query in queries])
        return [{match["id"]: match["distance"] for match in reply[1]["matches"]} for reply in replies]

    def compare_exact(self, left, right, name):
        """The same, unless two points are equally far."""
        for number, (one, other) in enumerate(zip(left, right)):
            if len(one) != len(other) or any(abs(a - b) > 1e-5 for a, b in zip(one.values(), other.values())):
                raise AssertionError(f"exact search {number} of {name} gives {one}, of the same points in a fresh "
                                     f"collection {other}")

    def recall(self, exact, approximate):
        found = sum(len(left.keys() & right.keys()) for left, right in zip(exact, approximate))
        return found / max(1, sum(map(len, exact)))

    def finish(self):
        operations = sum(journal.count for journal in self.journals)
        print(f"{operations} operations acknowledged, {self.replies} reads checked, {self.kills} kills and "
              f"{self.kills_in_recovery} in recovery, ready after {self.ready_worst_s:.2f} s at worst")
        print(f"{self.snapshots} snapshots made under load were restored; {self.restores} times the run went on with a "
              f"restored directory, {self.kills_in_restore} kills in restores")
        if self.recalls:
            old, new = [sum(column) / len(self.recalls) for column in zip(*self.recalls)]
            print(f"recall@{K} at ef={EF} on average of {len(self.recalls)}: {old:.4f}, fresh {new:.4f}")
            if old < new - RECALL_LOSS_MAX:
                raise AssertionError("recall has fallen too far")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--kills", type=int, default=int(os.environ.get("VS_TEST_KILLS", "25")))
    options = parser.parse_args()
    print(f"seed {options.seed} (replay with --seed {options.seed} --kills {options.kills})", flush=True)
    with harness.Daemon() as daemon:
        run = Run(daemon, options.seed)
        for _ in range(options.kills):
            run.cycle()
        run.finish()


if __name__ == "__main__":
    main()
