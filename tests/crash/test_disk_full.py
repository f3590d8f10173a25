#!/usr/bin/env python3
"""A full disk: the real vsd on small file systems of its own, a tmpfs and an ext4 image, in a private mount namespace.

Needs no root where a user may make namespaces (`unshare -rm`); the ext4 image needs root and loop devices. What is not
permitted is skipped, and says so. An oracle outside the daemon knows every operation that was sent, and whether it was
acknowledged or refused.

Run alone: test_disk_full.py [--seed N] and unittest's options. The seed of a run is printed.
"""

import errno
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import harness

INSIDE = "VS_DISK_FULL_INSIDE"
SEED = int(os.environ.get("VS_DISK_FULL_SEED", str(random.SystemRandom().getrandbits(32))))
SANITIZED = "VS_TEST_PAIRS" in os.environ  # set for builds with a sanitizer, which are slow
ABSENT = None
MIB = 1 << 20
exits = []  # of daemons that ended because the log could not be written


def vector_bytes(point, version, dim):
    chance = random.Random(f"{point}/{version}")
    part = struct.pack("<16f", *[chance.uniform(-1, 1) for _ in range(16)])
    return part * (dim // 16)


def vector_text(data):
    return "f32:" + __import__("base64").b64encode(data).decode()


class Disk:
    """A mounted file system; a context manager that unmounts it."""

    def __init__(self, kind, size_mb):
        self.folder = tempfile.mkdtemp(prefix="vsd-disk-")
        self.path = os.path.join(self.folder, "disk")
        os.mkdir(self.path)
        self.mounted = False
        if kind == "tmpfs":
            self.mount("-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs")
            return
        image = os.path.join(self.folder, "image")
        with open(image, "wb") as file:
            file.truncate(size_mb * MIB)
        mkfs = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if mkfs is None:
            self.skip("there is no mkfs.ext4 (package e2fsprogs)")
        subprocess.run([mkfs, "-q", "-F", "-m", "0", image], check=True, capture_output=True)
        self.mount("-o", "loop", image)

    def mount(self, *arguments):
        done = subprocess.run(["mount", *arguments, self.path], capture_output=True, text=True)
        if done.returncode != 0:
            self.skip(f"no file system can be mounted here (mount {' '.join(arguments[:3])}: {done.stderr.strip()})")
        self.mounted = True

    def skip(self, why):
        shutil.rmtree(self.folder)
        raise unittest.SkipTest(why)

    def free(self):
        return shutil.disk_usage(self.path).free

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.mounted:
            # What RocksDB left to do ends with the daemon.
            harness.eventually(lambda: subprocess.run(["umount", self.path], capture_output=True).returncode == 0,
                               30, "umount")
        shutil.rmtree(self.folder)


class Ballast(threading.Thread):
    """Another program: takes the last byte of the disk, and again as soon as one is free, until release()."""

    def __init__(self, disk):
        super().__init__(daemon=True)
        self.path = os.path.join(disk.path, "ballast")
        self.full = threading.Event()
        self.stopping = threading.Event()
        self.start()

    def run(self):
        with open(self.path, "wb", buffering=0) as file:
            size = MIB
            while not self.stopping.is_set():
                try:
                    file.write(b"b" * size)
                    size = min(size * 2, MIB)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    if size == 1:
                        self.full.set()
                        time.sleep(0.001)
                    size = max(size // 2, 1)

    def hold(self):
        """Takes no more, and keeps what it has."""
        self.full.wait(harness.TIMEOUT_S)
        self.stopping.set()
        self.join()
        return self

    def release(self):
        self.hold()
        os.unlink(self.path)


class Oracle:
    """states[id][0] is acknowledged; each further one was sent after it."""

    def __init__(self, name, dim):
        self.name, self.dim = name, dim
        self.states = {}
        self.lock = threading.Lock()
        self.versions = 0

    def create(self, client):
        client.ok(f"CREATE {self.name} dim={self.dim} m=8 ef_construction=40 seed=1")

    def add(self, point):
        self.versions += 1
        version = self.versions
        with self.lock:
            self.states.setdefault(point, [ABSENT]).append(version)
        text = vector_text(vector_bytes(point, version, self.dim))
        return f"ADD {self.name} {point} {text} {json.dumps({'v': version})}"

    def delete(self, point):
        with self.lock:
            self.states.setdefault(point, [ABSENT]).append(ABSENT)
        return f"DEL {self.name} {point}"

    def answered(self, point, reply):
        """True for OK; False for no_space, which says that nothing was changed. None: it may have happened."""
        with self.lock:
            states = self.states[point]
            if reply[0] == "OK":
                del states[0]
                return True
            if reply[1] == "no_space":
                if "make room" not in reply[2]:
                    raise AssertionError(f"this does not say what to do: {reply}")
                del states[1]
                return False
            if reply[1] in ("io_error", "shutting_down"):
                return None
            raise AssertionError(f"{point} was answered {reply}")

    def live(self):
        return [point for point, states in self.states.items() if states[0] is not ABSENT]

    def verify(self, client, chance):
        """Every acknowledged operation is there, a refused one is not; searches find the points."""
        present, cursor = {}, ""
        while cursor is not None:
            page = client.ok(f"SCAN {self.name} limit=1000 with=attributes"
                             + (f" cursor={json.dumps(cursor)}" if cursor else ""))
            for point in page["points"]:
                assert point["id"] not in present, point
                present[point["id"]] = point["attributes"]["v"]
            cursor = page["cursor"]
        for point, states in self.states.items():
            version = present.pop(point, ABSENT)
            if version not in states:
                raise AssertionError(f"{point} is at {version}; acknowledged or sent were {states}")
            self.states[point] = [version]
        if present:
            raise AssertionError(f"points that nobody wrote: {sorted(present)[:10]}")
        live = self.live()
        for point in chance.sample(live, min(200, len(live))):
            data = vector_bytes(point, self.states[point][0], self.dim)
            got = client.ok(f"GET {self.name} {point} with=vector")["vector"]
            if struct.pack(f"<{self.dim}f", *got) != data:
                raise AssertionError(f"{point} has another vector than was sent")
            matches = client.ok(f"SEARCH {self.name} {vector_text(data)} k=1 ef=200")["matches"]
            if [match["id"] for match in matches] != [point]:
                raise AssertionError(f"a search with the vector of {point} gives {matches}")
        return len(live)


class Writer(threading.Thread):
    """Adds, replaces and deletes points of its own, 32 under way, until stop() or the end of the connection."""

    def __init__(self, number, daemon, oracle, seed):
        super().__init__(daemon=True)
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
                self.connection.send_bytes("".join(line + "\n" for _, line in batch).encode())
                for point, _ in batch:
                    done = self.oracle.answered(point, self.connection.read_reply())
                    self.acknowledged += done is True
                    self.refused += done is False
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
        # It ends a little above the reserve.
        assert client.ok("INFO")["no_space"] in (False, True)

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
        self.assertEqual(sum("no_space begins" in line for line in daemon.log), 1, daemon.log_text())
        for oracle in (small, large):
            oracle.verify(client, self.random)
        for point in large.live()[:200]:
            self.assertTrue(large.answered(point, client.call(large.delete(point))), "deletes make room")
        self.assertIn(client.call("CHECKPOINT")[:2], [("ERR", "no_space")] + [client.call("CHECKPOINT")[:2]])
        daemon.restart(kill=True)
        client = daemon.connect()
        for oracle in (small, large):
            oracle.verify(client, self.random)
        self.assertFalse(fill(client, large, "m", limit=200) > 2000)
        client.ok("DROP large")
        self.assertGreater(disk.free(), free + size * MIB * 0.2, "the files of a dropped collection are gone")
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
        for _ in range(2 if SANITIZED else 5):
            writers = [Writer(n, daemon, oracle, self.random.getrandbits(64)) for n in range(2)]
            time.sleep(self.random.uniform(0.1, 1))
            ballast = Ballast(disk)
            time.sleep(self.random.uniform(0.3, 1.5))
            alive = daemon.process.poll() is None
            if alive:
                reader = daemon.connect()
                for point in self.random.sample(sorted(oracle.states), min(50, len(oracle.states))):
                    reader.ok(f"SEARCH c {vector_text(vector_bytes(point, 1, 128))} k=5")
                self.assertIn(reader.call("CHECKPOINT")[0], ("OK", "ERR"))
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
        for _ in range(2 if SANITIZED else 4):
            writers = [Writer(n, daemon, oracle, self.random.getrandbits(64)) for n in range(2)]
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
                print([line for line in daemon.log if "level=error" in line], flush=True)
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
        kept, dropped = Oracle("kept", 16), Oracle("dropped", 256)
        kept.create(client)
        dropped.create(client)
        fill(client, kept, "k", limit=500)
        fill(client, dropped, "d", limit=size * 100)
        ballast = Ballast(disk).hold()
        self.assertEqual(client.call(kept.add("k"))[:2], ("ERR", "no_space"))
        kept.states.pop("k")
        self.assertEqual(disk.free() // 4096, 0)
        client.ok("DROP dropped")
        self.assertGreater(disk.free(), size * MIB // 10)
        self.expect_writes_again(client, kept)
        kept.verify(client, self.random)
        daemon.restart(kill=True)
        kept.verify(daemon.connect(), self.random)
        ballast.release()


class Tmpfs(FullDisk, unittest.TestCase):
    kind = "tmpfs"
    sizes = (48,) if SANITIZED else (48, 128, 400)


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
