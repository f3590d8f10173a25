"""Data directories to damage, and the ways to damage them, for test_corruption.py.

A fixture is a directory and what was acknowledged there. Each way of damage is a function that changes a copy of one, with
random numbers that are given to it, and says in words what it did.
"""

import pathlib
import random
import shutil
import struct

import harness

HEADER = 4096
MAPPED = ("rows.dat", "ids.dat", "vectors.dat", "links0.dat", "upper.dat")
# Of XXH3: the first bytes of its secret, and the primes and shifts of its end.
SECRET = bytes.fromhex("b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
                       "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c")
MASK = (1 << 64) - 1


class Fixture:
    """`points`: collection -> id -> (vector, attributes), all that was acknowledged. `gone`: ids that were deleted."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.points = {}
        self.gone = {}
        self.settings = {}
        self.numbers = {}  # of the collections' directories
        self.older = None  # a copy of the directory from an earlier moment

    def copy_of_points(self, other):
        self.points = {name: dict(points) for name, points in other.points.items()}
        self.gone = {name: set(ids) for name, ids in other.gone.items()}
        self.settings = dict(other.settings)
        self.numbers = dict(other.numbers)


class Writer:
    """Changes a fixture through a daemon; every operation is acknowledged before the next call."""

    def __init__(self, fixture, client, chance):
        self.fixture, self.client, self.chance = fixture, client, chance

    def create(self, name, dim, metric, m=8):
        self.client.ok(f"CREATE {name} dim={dim} metric={metric} m={m} ef_construction=40 seed=1")
        self.fixture.points[name], self.fixture.gone[name] = {}, set()
        self.fixture.settings[name] = (dim, metric)
        self.fixture.numbers[name] = max(self.fixture.numbers.values(), default=0) + 1

    def drop(self, name):
        self.client.ok(f"DROP {name}")
        del self.fixture.points[name], self.fixture.gone[name]
        # The number stays in `numbers`: it is never used again.

    def change(self, name, new, replaced=0, deleted=0):
        points = self.fixture.points[name]
        dim = self.fixture.settings[name][0]
        first = len(points) + len(self.fixture.gone[name])
        ids = [f"{name}-{i}" for i in range(first, first + new)] + self.chance.sample(sorted(points), replaced)
        lines = []
        for one in ids:
            vector = harness.to_float32([self.chance.gauss(0, 1) for _ in range(dim)])
            attributes = {"n": self.chance.getrandbits(20), "of": one}
            points[one] = (vector, attributes)
            lines.append(f'ADD {name} {one} {harness.f32(vector)} {{"n":{attributes["n"]},"of":"{one}"}}')
        for one in self.chance.sample(sorted(set(points) - set(ids)), deleted):
            del points[one]
            self.fixture.gone[name].add(one)
            lines.append(f"DEL {name} {one}")
        for line, reply in zip(lines, self.client.pipeline(lines)):
            if reply[0] != "OK":
                raise AssertionError(f"{line[:60]}: {reply}")


def daemon_on(directory):
    return harness.Daemon("--threads", "2", "--checkpoint-interval-s", "3600", directory=directory)


def build_fixtures(root, chance):
    """`clean`: closed, with tables, blobs and an older copy. `killed`: the same, with operations behind a checkpoint, a
    collection made and one dropped. `fresh`: killed in its first run, so everything is in the log."""
    clean = Fixture(root / "clean")
    with daemon_on(clean.directory) as daemon:
        with daemon.connect() as client:
            writer = Writer(clean, client, chance)
            writer.create("small", 8, "l2")
            writer.create("twin", 8, "l2")
            writer.create("wide", 160, "cosine")  # its records are in blob files
            writer.create("gone", 8, "dot")
            for name in ("small", "twin", "wide", "gone"):
                writer.change(name, new=150)
            writer.change("small", new=0, replaced=10, deleted=10)
        daemon.expect_clean_end()
        clean.older = root / "older"
        shutil.copytree(clean.directory, clean.older)
        daemon.start()
        with daemon.connect() as client:
            writer = Writer(clean, client, chance)
            for name in ("small", "wide"):
                writer.change(name, new=20, replaced=10, deleted=5)
            writer.change("twin", new=0, deleted=7)
    killed = Fixture(root / "killed")
    shutil.copytree(clean.directory, killed.directory)
    killed.copy_of_points(clean)
    killed.older = clean.directory
    daemon = daemon_on(killed.directory)
    try:
        write_and_kill(daemon, killed, chance)
    finally:
        daemon.close()
    fresh = Fixture(root / "fresh")
    daemon = daemon_on(fresh.directory)
    try:
        with daemon.connect() as client:
            writer = Writer(fresh, client, chance)
            writer.create("small", 8, "l2")
            writer.create("twin", 8, "l2")
            writer.create("wide", 160, "cosine")
            writer.create("gone", 8, "dot")
            for name in ("small", "twin", "wide"):
                writer.change(name, new=60)
        write_and_kill(daemon, fresh, chance)
    finally:
        daemon.close()
    return {"clean": clean, "killed": killed, "fresh": fresh}


def write_and_kill(daemon, fixture, chance):
    with daemon.connect() as client:
        writer = Writer(fixture, client, chance)
        for name in ("small", "wide", "twin"):
            writer.change(name, new=15, replaced=5, deleted=5)
        client.ok("CHECKPOINT")
        writer.change("small", new=10, replaced=5, deleted=5)
        writer.create("late", 8, "cosine")
        writer.change("late", new=30)
        writer.change("late", new=0, deleted=2)
        writer.drop("gone")
        writer.change("wide", new=10, replaced=5, deleted=5)
        writer.change("twin", new=0, deleted=3)
    daemon.kill()


# --- damage: functions of (copy, fixture, chance) that return what they did


def write_at(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def flip(path, chance, begin=0, end=None, count=None):
    size = path.stat().st_size
    end = size if end is None else min(end, size)
    if begin >= end:
        begin, end = 0, size
    if end == 0:
        return f"{path.name} is empty"
    count = count or chance.choice((1, 1, 1, 2, 8, 64))
    data = bytearray(path.read_bytes())
    places = []
    for _ in range(count):
        at, bit = chance.randrange(begin, end), chance.randrange(8)
        data[at] ^= 1 << bit
        places.append(f"{at}.{bit}")
    path.write_bytes(data)
    return f"{path.name}: {count} flipped bits of {size} bytes: {' '.join(places[:4])}"


def truncate(path, chance, sizes):
    size = path.stat().st_size
    to = min(chance.choice([*sizes, chance.randrange(size) if size else 0]), size)
    with open(path, "r+b") as file:
        file.truncate(to)
    return f"{path.name}: {size} bytes cut to {to}"


def grow(path, chance):
    more = chance.choice((1, 7, 4095, 4096, 70000))
    with open(path, "ab") as file:
        file.write(chance.randbytes(more))
    return f"{path.name}: grown by {more} bytes of garbage"


def remove(path):
    path.unlink()
    return f"{path.name}: removed"


def mapped_file(copy, chance, name, collection=None):
    """The file of one of the collections that are there."""
    found = sorted(copy.glob(f"collections/{collection or '*'}/*/{name}"))
    return chance.choice(found)


def used_bytes(path):
    """Up to the last byte that is not zero, so that flips do not only hit space for points to come."""
    return max(len(path.read_bytes().rstrip(b"\0")), HEADER)


def mapped_flip(name):
    def damage(copy, fixture, chance):
        path = mapped_file(copy, chance, name)
        begin, end = chance.choice(((0, 64), (HEADER, used_bytes(path)), (HEADER, used_bytes(path)),
                                    (HEADER, used_bytes(path)), (0, None)))
        return f"{path.parent}: " + flip(path, chance, begin, end)
    return damage


def mapped_truncate(name):
    def damage(copy, fixture, chance):
        path = mapped_file(copy, chance, name)
        size = path.stat().st_size
        return f"{path.parent}: " + truncate(path, chance, (0, 1, 63, HEADER - 1, HEADER, HEADER + 1, 2 * HEADER - 1,
                                                            2 * HEADER + 1, size - 1, size - HEADER,
                                                            used_bytes(path) - 1))
    return damage


def mapped_other(kind):
    def damage(copy, fixture, chance):
        path = mapped_file(copy, chance, chance.choice(MAPPED))
        return f"{path.parent}: " + (grow(path, chance) if kind == "grow" else remove(path))
    return damage


def header_field(right_checksum):
    def damage(copy, fixture, chance):
        path = mapped_file(copy, chance, chance.choice(MAPPED))
        field, at, size = chance.choice((("magic", 0, 8), ("version", 6, 1), ("kind", 8, 4), ("element", 12, 4),
                                         ("uuid", 16, 16), ("generation", 32, 8), ("reserved", 40, 16)))
        header = bytearray(path.read_bytes()[:64])
        if xxh3_of_56_bytes(header[:56]) != struct.unpack("<Q", header[56:])[0]:
            raise AssertionError("this program's XXH3 is not vsd's")
        if field in ("element", "generation", "kind"):
            header[at] = (header[at] + chance.choice((1, 4, 255))) % 256
        else:
            header[at:at + size] = bytes(byte ^ chance.randrange(1, 256) for byte in header[at:at + size])
        if right_checksum:
            header[56:] = struct.pack("<Q", xxh3_of_56_bytes(header[:56]))
        write_at(path, 0, header)
        return f"{path.parent}/{path.name}: {field} changed, checksum {'right' if right_checksum else 'wrong'}"
    return damage


def swap(kind):
    """Whole files of another collection (of the same and of another dimension), or of an older copy."""
    def damage(copy, fixture, chance):
        names = chance.choice([MAPPED, *[(name,) for name in MAPPED]])
        to = copy / "collections" / str(fixture.numbers["small"]) / "1"
        if kind == "older":
            if fixture.older is None:
                return "there is no older copy"
            number = str(fixture.numbers[chance.choice(("small", "twin", "wide"))])
            to = copy / "collections" / number / "1"
            other = fixture.older / "collections" / number / "1"
        else:
            other = copy / "collections" / str(fixture.numbers[kind]) / "1"
        for name in names:
            shutil.copyfile(other / name, to / name)
        return f"{to}: {', '.join(names)} taken from {other}"
    return damage


def rocksdb_file(pattern, way):
    def damage(copy, fixture, chance):
        found = sorted((copy / "rocksdb").glob(pattern))
        if not found:
            return f"no {pattern} is there"
        # The log in use is not the only one; small ones are nearly empty.
        path = chance.choice(found if chance.random() < 0.3 else [max(found, key=lambda one: one.stat().st_size)])
        size = path.stat().st_size
        if way == "flip":
            end = chance.choice((None, None, None, 64))
            return flip(path, chance, chance.choice((0, 0, max(0, size - 64))) if end is None else 0, end)
        if way == "truncate":
            return truncate(path, chance, (0, 1, 6, HEADER - 1, HEADER, HEADER + 1, 32767, 32769, size // 2, size - 1,
                                           size - 5))
        return grow(path, chance) if way == "grow" else remove(path)
    return damage


def format_version(copy, fixture, chance):
    """Another version, in a log whose checksums are right. Tables have it in places that are harder to forge."""
    was, now = b"\x0eformat_version\x011", b"\x0eformat_version\x012"
    for path in sorted((copy / "rocksdb").glob("*.log")):
        data = bytearray(path.read_bytes())
        begin = 0
        while begin + 7 <= len(data):
            size = struct.unpack_from("<H", data, begin + 4)[0]
            end = begin + 7 + size
            at = data.find(was, begin, end)
            if at >= 0 and size:
                data[at:at + len(now)] = now
                struct.pack_into("<I", data, begin, masked_crc32c(data[begin + 6:end]))
                path.write_bytes(data)
                return f"{path.name}: format_version is 2"
            begin = end
            if begin % 32768 > 32768 - 7:
                begin += 32768 - begin % 32768
    return "format_version stands in no log"


def no_rocksdb(copy, fixture, chance):
    shutil.rmtree(copy / "rocksdb")
    return "rocksdb/ removed"


def older_rocksdb(copy, fixture, chance):
    if fixture.older is None:
        return "there is no older copy"
    shutil.rmtree(copy / "rocksdb")
    shutil.copytree(fixture.older / "rocksdb", copy / "rocksdb")
    return "rocksdb/ is the older copy's"


def catalogue():
    """name -> way of damage. `mapped:` leaves RocksDB alone, so all that was acknowledged must be there afterwards."""
    ways = {}
    for name in MAPPED:
        ways[f"mapped:{name}:flip"] = mapped_flip(name)
        ways[f"mapped:{name}:truncate"] = mapped_truncate(name)
    for kind in ("grow", "remove"):
        ways[f"mapped:any:{kind}"] = mapped_other(kind)
    ways["mapped:any:header"] = header_field(False)
    ways["mapped:any:forged-header"] = header_field(True)
    for kind in ("twin", "wide", "older"):
        ways[f"mapped:any:from-{kind}"] = swap(kind)
    for pattern in ("CURRENT", "MANIFEST-*", "*.log", "*.sst", "*.blob", "OPTIONS-*", "IDENTITY"):
        for way in ("flip", "truncate", "grow", "remove"):
            ways[f"rocksdb:{pattern}:{way}"] = rocksdb_file(pattern, way)
    ways["rocksdb:format_version"] = format_version
    ways["rocksdb:remove-all"] = no_rocksdb
    ways["rocksdb:older"] = older_rocksdb
    return ways


# --- checksums


def xxh3_of_56_bytes(data):
    """XXH3 (64 bits, no seed) for that length only."""
    def mix(at, secret):
        low, high = struct.unpack_from("<QQ", data, at)
        key_low, key_high = struct.unpack_from("<QQ", SECRET, secret)
        product = (low ^ key_low) * (high ^ key_high)
        return (product & MASK) ^ (product >> 64)
    total = (56 * 0x9E3779B185EBCA87 + mix(16, 32) + mix(24, 48) + mix(0, 0) + mix(40, 16)) & MASK
    total ^= total >> 37
    total = total * 0x165667919E3779F9 & MASK
    return total ^ (total >> 32)


def masked_crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
