"""A small file system of its own, a program that fills it, and an oracle: for the test of a full disk."""

import base64
import errno
import json
import os
import random
import shutil
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import harness

ABSENT = None
MIB = 1 << 20


def vector_bytes(point, version, dim):
    chance = random.Random(f"{point}/{version}")
    part = struct.pack("<16f", *[chance.uniform(-1, 1) for _ in range(16)])
    return part * (dim // 16)


def vector_text(data):
    return "f32:" + base64.b64encode(data).decode()


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
        missed = []
        for point in chance.sample(live, min(200, len(live))):
            data = vector_bytes(point, self.states[point][0], self.dim)
            got = client.ok(f"GET {self.name} {point} with=vector")["vector"]
            if struct.pack(f"<{self.dim}f", *got) != data:
                raise AssertionError(f"{point} has another vector than was sent")
            for options in ("ef=200", "exact=true"):
                matches = client.ok(f"SEARCH {self.name} {vector_text(data)} k=1 {options}")["matches"]
                if [match["id"] for match in matches] == [point]:
                    break
                missed.append((point, options, matches))
        # Random vectors of many dimensions are hard for a graph: a search may miss one of them.
        if len(missed) > 3 or any(options.startswith("exact") for _, options, _ in missed):
            raise AssertionError(f"searches with the vectors of these points gave others: {missed}")
        return len(live)
