"""What the tests of checks and jobs share: collections to check, and the mapped files of a vsd that was stopped.

docs/format.md says what lies where in the files.
"""

import hashlib
import json
import pathlib
import random
import struct

import harness

OK, FAILURE, USAGE, NOT_FOUND, UNREACHABLE, CORRUPTION = 0, 1, 2, 3, 4, 5
DIM = 8
M = 8
HEADER = 4096
ROW = struct.Struct("<QQHHI")
DEAD = 0xff
RESULT_KEYS = {"clean", "problems", "repaired", "problems_found", "problems_left", "rebuilt", "points", "slots", "recall"}
JOB_KEYS = {"job", "kind", "collection", "state", "percent", "rate", "eta_s", "result"}


def add_points(client, name, count, dim=DIM, seed=1):
    """p0, p1, … with random vectors."""
    numbers = random.Random(seed)
    lines = [f"ADD {name} p{i} {harness.f32([numbers.gauss(0, 1) for _ in range(dim)])}" for i in range(count)]
    for begin in range(0, count, 500):
        for reply in client.pipeline(lines[begin:begin + 500]):
            if reply[0] != "OK":
                raise AssertionError(reply)


def wait_for_job(client, number):
    """The job when it has ended."""
    def ended():
        [job] = client.ok(f"JOBS {number}")["jobs"]
        return job if job["state"] != "running" else None
    return harness.eventually(ended, what=f"the end of job {number}")


def run_check(client, name, options=""):
    """The result of a CHECK that succeeds."""
    job = wait_for_job(client, client.ok(f"CHECK {name} {options}")["job"])
    if job["state"] != "done":
        raise AssertionError(job)
    return job["result"]


def make_snapshot(client, tag):
    """The result of a SNAPSHOT that succeeds."""
    job = wait_for_job(client, client.ok(f"SNAPSHOT {tag}")["job"])
    if job["state"] != "done":
        raise AssertionError(job)
    return job["result"]


def points_of(client, name):
    """Attributes and vector by id."""
    found, cursor = {}, ""
    while cursor is not None:
        page = client.ok(f"SCAN {name} limit=1000 with=attributes,vector"
                         + (f" cursor={json.dumps(cursor)}" if cursor else ""))
        for point in page["points"]:
            found[point["id"]] = (point["attributes"], point["vector"])
        cursor = page["cursor"]
    return found


def kinds(result):
    return {problem["kind"] for problem in result["problems"]}


def fingerprint(directory):
    """Name, size, time of change and content of every file below."""
    out = {}
    for path in sorted(pathlib.Path(directory).rglob("*")):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        out[str(path.relative_to(directory))] = (status.st_size, status.st_mtime_ns, status.st_mode, content)
    return out


class Files:
    """The mapped files of the only collection in a data directory that nobody uses."""

    def __init__(self, directory):
        [self.folder] = pathlib.Path(directory).glob("collections/*/*")

    def path(self, name):
        return self.folder / name

    def read(self, name, at, size):
        with open(self.path(name), "rb") as file:
            file.seek(HEADER + at)
            return file.read(size)

    def write(self, name, at, data):
        with open(self.path(name), "r+b") as file:
            file.seek(HEADER + at)
            file.write(data)

    def row(self, slot):
        return ROW.unpack(self.read("rows.dat", slot * ROW.size, ROW.size))

    def slot_of(self, one):
        """The slot of the live point with that id."""
        for slot in range(1 << 20):
            lsn, begin, size, flags, _ = self.row(slot)
            if lsn == 0:
                break
            if not flags & DEAD and self.read("ids.dat", begin, size) == one.encode():
                return slot
        raise AssertionError(f"no slot of {one!r}")

    def links(self, slot):
        return list(struct.unpack(f"<{2 * M}I", self.read("links0.dat", slot * 8 * M, 8 * M)))

    def set_links(self, slot, links):
        self.write("links0.dat", slot * 8 * M, struct.pack(f"<{2 * M}I", *links))

    def set_float(self, slot, index, value):
        stride = (4 * DIM + 63) // 64 * 64
        self.write("vectors.dat", slot * stride + 4 * index, struct.pack("<f", value))

    def set_flags(self, slot, flags):
        self.write("rows.dat", slot * ROW.size + 18, struct.pack("<H", flags))
