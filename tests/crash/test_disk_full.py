#!/usr/bin/env python3
"""A full disk: the real vsd on small file systems of its own, a tmpfs and an ext4 image, in a private mount namespace.

Needs no root where a user may make namespaces (`unshare -rm`); the ext4 image needs root and loop devices. What is not
permitted is skipped, and says so. An oracle outside the daemon knows every operation that was sent, and whether it was
acknowledged or refused.

Run alone: test_disk_full.py [--seed N] and unittest's options. The seed of a run is printed.
"""

import os
import pathlib
import random
import shutil
import subprocess
import sys
import threading
import time
import unittest

import harness
from small_disk import MIB, Ballast, Disk, Oracle, vector_bytes, vector_text

INSIDE = "VS_DISK_FULL_INSIDE"
SEED = int(os.environ.get("VS_DISK_FULL_SEED", str(random.SystemRandom().getrandbits(32))))
exits = []  # of daemons that ended because the log could not be written


class Writer(threading.Thread):
    """Adds, replaces and deletes points of its own, 32 under way, until stop() or the end of the connection.

    It waits between them, as long as they are taken: else a fast machine fills the disk with what it acknowledged, and
    no room is left when the other program gives its own back. All rounds take up less than half of `size_mb` together.
    """

    def __init__(self, number, daemon, oracle, seed, size_mb):
        super().__init__(daemon=True)
        self.pause_s = 1 / (30 * size_mb)  # for each that was acknowledged
        self.number, self.oracle = number, oracle
        self.random = random.Random(seed)
        self.connection = daemon.connect()
        self.stopping = threading.Event()
        self.acknowledged = self.refused = 0
        self.failure = None
        self.start()

    def run(self):
        try:
            while not self.stopping.is_set():
                batch = []
                for _ in range(32):
                    point = f"w{self.number}-{self.random.randrange(3000)}"
                    make = self.oracle.delete if self.random.random() < 0.3 else self.oracle.add
                    batch.append((point, make(point)))
                before = self.acknowledged
                self.connection.send_bytes("".join(line + "\n" for _, line in batch).encode())
                for point, _ in batch:
                    done = self.oracle.answered(point, self.connection.read_reply())
                    self.acknowledged += done is True
                    self.refused += done is False
                time.sleep((self.acknowledged - before) * self.pause_s)
        except (harness.Closed, OSError):
            pass
        except Exception as error:  # noqa: BLE001: handed to the main thread
            self.failure = error

    def stop(self):
        self.stopping.set()
        self.join(harness.TIMEOUT_S)
        if self.failure:
            raise self.failure


def fill(client, oracle, prefix, limit=10**9):
    """Adds points until a whole pipeline of them is refused; returns how many were taken."""
    taken = 0
    while taken < limit:
        points = [f"{prefix}{taken}-{i}" for i in range(64)]
        replies = client.pipeline([oracle.add(point) for point in points])
        done = [oracle.answered(point, reply) for point, reply in zip(points, replies)]
        assert None not in done, replies
        taken += sum(done)
        if not any(done):
            return taken
    return taken


def check_deep(client, name):
    job = client.ok(f"CHECK {name} deep=true")["job"]

    def ended():
        [state] = client.ok(f"JOBS {job}")["jobs"]
        return state if state["state"] != "running" else None
    result = harness.eventually(ended, what="the end of a check")["result"]
    assert result["clean"] and not result["problems"], result


class FullDisk:
    """The scenarios; `kind` and `sizes` come from the classes below."""

    def setUp(self):
        self.random = random.Random(f"{SEED}/{self.id()}")

    def each_size(self, scenario):
        for size in self.sizes:
            with self.subTest(size=size), Disk(self.kind, size) as disk, \
                    harness.Daemon("--checkpoint-interval-s", "2", directory=os.path.join(disk.path, "data")) as daemon:
                scenario(disk, daemon, size)
                if daemon.process.poll() is None:
                    for collection in daemon.connect().ok("LIST")["collections"]:
                        check_deep(daemon.connect(), collection["name"])

    def expect_writes_again(self, client, oracle):
        def once():
            reply = client.call(oracle.add("again"))
            return oracle.answered("again", reply)
        harness.eventually(once, 60, "writes to go on after room was made")

    def freed(self, disk, bytes):
        """The files of a dropped collection go with their last reader, which may be a checkpoint."""
        harness.eventually(lambda: disk.free() > bytes, 20, f"{bytes} bytes to be free, there are {disk.free()}")

    def same_sizes(self, client, name, daemon):
        """A mapped file that could not grow has its old size, which is what STATS says."""
        sizes = client.ok(f"STATS {name}")["bytes"]
        for file, size in sizes.items():
            found = [path.stat().st_size for path in pathlib.Path(daemon.directory).glob(f"collections/*/*/{file}")]
            self.assertIn(size, found, file)

    def fatal_exit(self, daemon):
        """It ended by itself: only because the log could not be written, and it says so."""
        assert daemon.wait() == 1, daemon.log_text()
        [line] = [line for line in daemon.log if "fatal code=" in line]
        exits.append(line)
        print(f"vsd ended: {line}", flush=True)

    def test_filled_by_writes(self):
        self.each_size(self.filled_by_writes)

    def filled_by_writes(self, disk, daemon, size):
        client = daemon.connect()
        small, large = Oracle("small", 16), Oracle("large", 1024 if size > 100 else 256)
        small.create(client)
        large.create(client)
        fill(client, small, "s", limit=1000)
        taken = fill(client, large, "l")
        free = disk.free()
        print(f"{self.kind} of {size} MiB: {taken} points of {large.dim} dimensions, {free / MIB:.1f} MiB left",
              flush=True)
        self.assertLess(free, size * MIB * 0.35, "the reserve takes too much of a small disk")
        self.assertGreater(free, size * MIB * 0.02, "nothing is left of the reserve")
        self.assertTrue(client.ok("INFO")["no_space"])
        lines = lambda what: sum(f"no_space {what}" in line for line in daemon.log)
        harness.eventually(lambda: lines("begins"), what="a line in the log")
        # Not one for each write that was refused. RocksDB may give back some room meanwhile: then it ends, and begins anew;
        # the last line may be on its way.
        harness.eventually(lambda: lines("begins") == lines("ends") + 1, what="the log to say that it began last")
        self.assertLessEqual(lines("begins"), 5, daemon.log_text())
        for oracle in (small, large):
            oracle.verify(client, self.random)
        for point in large.live()[:200]:
            reply = client.call(large.delete(point))
            self.assertTrue(large.answered(point, reply), f"deletes make room: {reply}\n{daemon.log_text()}")
        self.assertEqual(client.call("CHECKPOINT")[0], "OK")
        self.same_sizes(client, "large", daemon)
        daemon.restart(kill=True)
        client = daemon.connect()
        for oracle in (small, large):
            oracle.verify(client, self.random)
        fill(client, large, "m", limit=200)
        client.ok("DROP large")
        self.freed(disk, free + size * MIB * 0.2)
        self.expect_writes_again(client, small)
        fill(client, small, "t", limit=1000)
        self.assertFalse(client.ok("INFO")["no_space"])
        small.verify(client, self.random)
        daemon.restart()
        small.verify(daemon.connect(), self.random)

    def test_filled_by_another_program(self):
        self.each_size(self.filled_by_another_program)

    def filled_by_another_program(self, disk, daemon, size):
        oracle = Oracle("c", 128)
        oracle.create(daemon.connect())
        for _ in range(2 if harness.SANITIZED else 5):
            writers = [Writer(n, daemon, oracle, self.random.getrandbits(64), size) for n in range(2)]
            time.sleep(self.random.uniform(0.1, 1))
            ballast = Ballast(disk)
            time.sleep(self.random.uniform(0.3, 1.5))
            alive = daemon.process.poll() is None
            if alive:
                reader = daemon.connect()
                for point in self.random.sample(sorted(oracle.states), min(50, len(oracle.states))):
                    reader.ok(f"SEARCH c {vector_text(vector_bytes(point, 1, 128))} k=5")
                reply = reader.call("CHECKPOINT")
                self.assertTrue(reply[0] == "OK" or reply[1] == "no_space", reply)
                alive = daemon.process.poll() is None
            if alive:
                ballast.release()
                for writer in writers:
                    writer.stop()
            else:
                self.fatal_exit(daemon)
                for writer in writers:
                    writer.stop()
                ballast.release()
                daemon.start()
            client = daemon.connect()
            self.same_sizes(client, "c", daemon)
            self.expect_writes_again(client, oracle)
            oracle.verify(client, self.random)
            print(f"{self.kind} of {size} MiB: {sum(w.acknowledged for w in writers)} acknowledged, "
                  f"{sum(w.refused for w in writers)} refused, alive: {alive}", flush=True)
        daemon.restart(kill=True)
        oracle.verify(daemon.connect(), self.random)

    def test_killed_while_full(self):
        self.each_size(self.killed_while_full)

    def killed_while_full(self, disk, daemon, size):
        oracle = Oracle("c", 128)
        oracle.create(daemon.connect())
        started = refused = 0
        for _ in range(2 if harness.SANITIZED else 4):
            writers = [Writer(n, daemon, oracle, self.random.getrandbits(64), size) for n in range(2)]
            time.sleep(self.random.uniform(0.1, 1))
            ballast = Ballast(disk)
            ballast.full.wait(harness.TIMEOUT_S)
            time.sleep(self.random.uniform(0, 0.3))
            daemon.kill()
            for writer in writers:
                writer.stop()
            ballast.hold()
            try:
                daemon.start()
            except AssertionError:
                refused += 1
                self.assertEqual(daemon.process.returncode, 1, daemon.log_text())
                self.assertRegex(daemon.log_text(), "open_failed code=no_space .*make room")
            else:
                started += 1
                client = daemon.connect()
                oracle.verify(client, self.random)
                reply = client.call(oracle.add("late"))
                oracle.answered("late", reply)
                daemon.kill()
            ballast.release()
            daemon.start()
            client = daemon.connect()
            oracle.verify(client, self.random)
            self.expect_writes_again(client, oracle)
        print(f"{self.kind} of {size} MiB: started on a full disk {started} times, not {refused} times", flush=True)

    def test_drop_makes_room(self):
        self.each_size(self.drop_makes_room)

    def drop_makes_room(self, disk, daemon, size):
        client = daemon.connect()
        kept = Oracle("kept", 128)
        kept.create(client)
        for round in range(2 if harness.SANITIZED else 6):
            dropped = Oracle(f"dropped{round}", 256)
            dropped.create(client)
            fill(client, dropped, "d", limit=3000)
            files = sum(client.ok(f"STATS {dropped.name}")["bytes"].values())
            # Under way, so that RocksDB may be in the midst of a flush.
            writers = [Writer(n, daemon, kept, self.random.getrandbits(64), size) for n in range(2)]
            time.sleep(self.random.uniform(0.1, 0.6))
            ballast = Ballast(disk)
            ballast.full.wait(harness.TIMEOUT_S)
            for writer in writers:
                writer.stop()
            # What RocksDB and a compaction delete meanwhile makes room until the ballast has taken that too.
            harness.eventually(lambda: self.is_refused(client, kept, f"k{round}"), what="a refusal for want of room")
            ballast.hold()
            client.ok(f"DROP {dropped.name}")
            self.freed(disk, files * 3 // 4)
            kept.verify(client, self.random)
            ballast.release()
            self.expect_writes_again(client, kept)
        daemon.restart(kill=True)
        kept.verify(daemon.connect(), self.random)

    def is_refused(self, client, oracle, id):
        reply = client.call(oracle.add(id))
        oracle.answered(id, reply)
        return reply[:2] == ("ERR", "no_space")

    def test_a_failed_allocation_leaves_the_old_size(self):
        program = os.environ.get("FILE_SYSTEM_TEST")
        if not program:
            self.skipTest("FILE_SYSTEM_TEST does not name the unit test")
        with Disk(self.kind, self.sizes[0]) as disk:
            done = subprocess.run([program, "--gtest_filter=*EndOfTheDisk"], capture_output=True, text=True,
                                  env=dict(os.environ, VS_SMALL_DISK=disk.path))
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertNotIn("SKIPPED", done.stdout)


class Tmpfs(FullDisk, unittest.TestCase):
    kind = "tmpfs"
    sizes = (48,) if harness.SANITIZED else (48, 128, 400)


class Ext4(FullDisk, unittest.TestCase):
    kind = "ext4"
    sizes = (64,)


def enter_namespace():
    """This program again, where mounts are its own; skipped if the system does not permit that."""
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        print(f"skipped: no mount namespace can be made here (`{' '.join(unshare)}` failed)")
        sys.exit(harness.SKIPPED)
    os.environ[INSIDE] = "1"
    os.execvp(unshare[0], [*unshare, sys.executable, str(pathlib.Path(__file__).resolve()), *sys.argv[1:]])


if __name__ == "__main__":
    if "--seed" in sys.argv:
        at = sys.argv.index("--seed")
        SEED = int(sys.argv[at + 1])
        os.environ["VS_DISK_FULL_SEED"] = str(SEED)
        del sys.argv[at:at + 2]
    if INSIDE not in os.environ:
        enter_namespace()
    print(f"seed {SEED} (replay with --seed {SEED})", flush=True)
    try:
        harness.main()
    finally:
        print(f"vsd ended by itself {len(exits)} times", flush=True)
