"""What vsctl exports comes back as it was: every format, one moment, and nothing that looks whole when it is not."""

import json
import os
import pathlib
import signal
import struct
import threading
import warnings
import zipfile

import checks
import harness
from test_vsctl import FAILURE, NOT_FOUND, OK, USAGE, VsctlTest
from test_vsctl_faults import Peer, finish

# Of float32: the smallest and the largest, what is nearly zero, and what a text may lose.
EDGES = [1e-45, -1e-45, 1.1754944e-38, -0.0, 0.0, 1e38, -3.4028235e38, 0.1, 16777217.0, 3.1415927]
ODD_IDS = ["plain", "with space", 'q"uote', "back\\slash", "é😀 wide", "=", "[1,2]", "{}", "'", "0", "a,b", "\u00a0", "f32:AAAA"]
ATTRIBUTES = ['{}', '{"n":12345678901234567890,"f":1e39,"z":-0.0}', '{"deep":{"list":[1,{"x":null}],"t":true}}',
              '{"text":"é😀 \\"q\\" \\\\ \\n \\u0000"}', '{"a" : [ 1.0,2 ]}']


def packed(vector):
    return struct.pack(f"<{len(vector)}f", *vector)


class ExportTest(VsctlTest):
    def setUp(self):
        super().setUp()
        self.numpy = harness.require_numpy()

    def fill_odd(self, name, options=""):
        """Points with every odd id, edge values and attributes; returns {id: (bits, attributes)}."""
        self.client.ok(f"CREATE {name} dim=10 m=4 {options}")
        points = {}
        for i, point in enumerate(ODD_IDS):
            vector = EDGES[i % 10:] + EDGES[:i % 10]
            attributes = ATTRIBUTES[i % len(ATTRIBUTES)]
            self.client.ok(f"ADD {name} {json.dumps(point)} {harness.f32(vector)} {attributes}")
            points[point] = (packed(vector), attributes)
        return points

    def stored(self, name):
        """{id: (bits, attributes)} of a collection, with the bits by way of the daemon's text, which round-trips."""
        out = {}
        for line in self.run_ctl("export", name, "-", "--format", "jsonl").stdout.splitlines():
            point = json.loads(line)
            attributes = line[line.index('"attributes":') + len('"attributes":'):line.rindex(',"vector":')]
            out[point["id"]] = (packed(point["vector"]), attributes)
        return out

    def fill_random(self, name, count=400, dim=16, metric="l2", options="m=4"):
        random = self.numpy.random.default_rng(7)
        vectors = random.normal(size=(count, dim)).astype("float32")
        self.client.ok(f"CREATE {name} dim={dim} metric={metric} seed=3 {options}")
        self.client.pipeline([f'ADD {name} "p {i}" {harness.f32(row)} {{"n":{i}}}' for i, row in enumerate(vectors.tolist())])
        return vectors

    def names(self, folder):
        return sorted(path.name for path in folder.iterdir())


class RoundTrip(ExportTest):
    """Export, import, export: the same bits, ids and attributes."""

    def import_arguments(self, file_format, out):
        beside = ["--ids", out / "ids.npy", "--attributes", out / "attributes.jsonl"]
        return {"numpy": [out / "vectors.npy", *beside, "--metric", "l2"],
                "npz": [out / "points.npz"],
                "seed": [out, *beside],
                "fvecs": [out / "vectors.fvecs", *beside, "--metric", "l2"],
                "jsonl": [out / "points.jsonl", "--metric", "l2"]}.get(file_format)

    def test_every_format(self):
        for file_format in ("numpy", "npz", "seed", "fvecs", "jsonl"):
            with self.subTest(file_format):
                name = f"{self.name}-{file_format}"
                points = self.fill_odd(name)
                out = self.folder / file_format
                self.run_ctl("export", name, out, "--format", file_format)
                self.assertEqual(self.stored(name), points)
                self.run_ctl("import", name + "-copy", *self.import_arguments(file_format, out), "--connections", "1")
                self.assertEqual(self.stored(name + "-copy"), points)
                again = self.folder / (file_format + "-again")
                self.run_ctl("export", name + "-copy", again, "--format", file_format)
                for data in ("vectors.npy", "vectors.fvecs", "ids.npy", "attributes.jsonl", "points.jsonl"):
                    if (out / data).exists():
                        self.assertEqual((again / data).read_bytes(), (out / data).read_bytes(), data)

    def test_empty_collection(self):
        for file_format in ("numpy", "npz", "seed", "fvecs", "jsonl", "json"):
            with self.subTest(file_format):
                name = f"{self.name}-{file_format}"
                self.client.ok(f"CREATE {name} dim=3")
                out = self.folder / file_format
                self.assertIn("exported 0 points", self.run_ctl("export", name, out, "--format", file_format).stdout)
                arguments = self.import_arguments(file_format, out)
                if file_format not in ("numpy", "npz", "seed"):
                    continue
                self.run_ctl("import", name + "-copy", *arguments)
                self.assertEqual(self.stored(name + "-copy"), {})
                self.assertEqual(self.json("stats", name + "-copy")["dim"], 3)

    def test_fvecs_bytes(self):
        points = self.fill_odd(self.name)
        out = self.folder / "out"
        self.run_ctl("export", self.name, out, "--format", "fvecs")
        self.assertEqual(self.names(out), ["attributes.jsonl", "ids.npy", "meta.json", "vectors.fvecs"])
        records = self.numpy.fromfile(out / "vectors.fvecs", dtype="<i4").reshape(len(points), 11)
        self.assertTrue((records[:, 0] == 10).all())
        ids = self.numpy.load(out / "ids.npy", allow_pickle=False).tolist()
        self.assertEqual({name: row[1:].tobytes() for name, row in zip(ids, records)},
                         {name: bits for name, (bits, _) in points.items()})

    def test_jsonl_and_stdout_are_the_same(self):
        points = self.fill_odd(self.name)
        file = self.folder / "points.jsonl"
        reply = self.json("export", self.name, file, "--format", "jsonl")
        self.assertEqual(reply, {"collection": self.name, "file": str(file), "format": "jsonl", "count": len(points),
                                 "consistent": True, "changes": 0})
        done = self.run_ctl("export", self.name, "-", "--format", "jsonl")
        self.assertEqual(done.stdout, file.read_text())
        self.assertEqual(done.stderr, f"vsctl: exported {len(points)} points\n")
        self.assertEqual(set(json.loads(done.stdout.splitlines()[0])), {"id", "vector", "attributes"})
        for file_format in ("numpy", "npz", "json", "seed"):
            self.run_ctl("export", self.name, "-", "--format", file_format, code=USAGE)
        self.assertEqual(self.names(self.folder), ["points.jsonl"])


class Npz(ExportTest):
    def save(self, name, compressed=False, **arrays):
        path = self.folder / name
        (self.numpy.savez_compressed if compressed else self.numpy.savez)(path, **arrays)
        return path

    def test_numpy_reads_it(self):
        vectors = self.fill_random(self.name)
        file = self.folder / "out.npz"
        self.run_ctl("export", self.name, file, "--format", "npz")
        self.assertEqual(self.names(self.folder), ["out.npz"])
        with self.numpy.load(file, allow_pickle=False) as arrays:
            rows = [int(name.split()[1]) for name in arrays["ids"].tolist()]
            self.assertEqual(sorted(rows), list(range(400)))
            self.numpy.testing.assert_array_equal(arrays["vectors"].view("u4"), vectors[rows].view("u4"))
            self.assertEqual(arrays["links_0"].shape, (400, 8))
            self.assertIn("links_1", arrays.files)
            attributes = [json.loads(line) for line in arrays["attributes.jsonl"].splitlines()]
            self.assertEqual(attributes, [{"n": row} for row in rows])
            self.assertEqual(json.loads(arrays["meta.json"])["count"], 400)
        with zipfile.ZipFile(file) as archive:
            self.assertIsNone(archive.testzip())
        # It is there already.
        self.assertIn("--force", self.run_ctl("export", self.name, file, "--format", "npz", code=FAILURE).stderr)
        self.run_ctl("export", self.name, file, "--format", "npz", "--force")
        # The settings come along, and can be overruled.
        self.run_ctl("import", self.name + "-copy", file, "--ef-construction", "77")
        stats = self.json("stats", self.name + "-copy")
        self.assertEqual((stats["m"], stats["ef_construction"], stats["metric"], stats["live"]), (4, 77, "l2", 400))

    def test_arrays_of_others(self):
        vectors = self.numpy.arange(12, dtype="f8").reshape(4, 3) / 4
        for i, (compressed, arrays, ids, attributes) in enumerate((
                (False, {"vectors": vectors}, "0123", [{}] * 4),
                (True, {"vectors": vectors, "other": vectors}, "0123", [{}] * 4),
                (True, {"x": vectors.astype("f4"), "labels": self.numpy.array([3, 1, 2, 0])}, "0123",
                 [{"label": n} for n in (3, 1, 2, 0)]),
                (False, {"y": self.numpy.arange(4), "x": vectors, "ids": self.numpy.array(["a", "b", "é c", "d"])},
                 ["a", "b", "é c", "d"], [{}] * 4),
                (True, {"vectors": vectors, "ids": self.numpy.array([10, 11, 12, -1]),
                        "labels": self.numpy.array(["cat", 'a "dog"', "", "x"])}, ["10", "11", "12", "-1"],
                 [{"label": text} for text in ("cat", 'a "dog"', "", "x")]),
                (True, {"vectors": vectors, "labels": self.numpy.array([True, False, True, True])}, "0123",
                 [{"label": n} for n in (1, 0, 1, 1)]))):
            with self.subTest(i):
                file = self.save(f"{i}.npz", compressed, **arrays)
                name = f"{self.name}-{i}"
                self.run_ctl("import", name, file, "--metric", "l2", "--connections", "1")
                points = self.json("scan", name, "--with", "vector,attributes")["points"]
                self.assertEqual([point["id"] for point in points], list(ids))
                self.assertEqual([point["vector"] for point in points], vectors.tolist())
                self.assertEqual([point["attributes"] for point in points], attributes)
        # Files beside it go over what is in it.
        ids = self.folder / "ids"
        ids.write_text("k\nl\nm\nn\n")
        self.run_ctl("import", self.name, self.folder / "3.npz", "--ids", ids, "--metric", "l2", "--id-prefix", "p-")
        self.assertEqual({point["id"] for point in self.json("scan", self.name)["points"]}, {"p-k", "p-l", "p-m", "p-n"})

    def test_many_rows_over_many_connections(self):
        vectors = self.numpy.random.default_rng(1).normal(size=(3000, 8)).astype("f4")
        for compressed in (False, True):
            name = f"{self.name}-{compressed}"
            file = self.save(name + ".npz", compressed, vectors=vectors)
            self.run_ctl("import", name, file, "--metric", "l2", "--connections", "4", "--ef-construction", "20")
            stored = self.stored(name)
            self.assertEqual([stored[str(row)][0] for row in range(3000)], [row.tobytes() for row in vectors])

    def test_refused(self):
        two = self.numpy.zeros((2, 3), "f4")
        one = self.numpy.zeros(2)
        for arrays, part in (({"a": two, "b": two}, r"a \(2, 3\) <f4, b \(2, 3\) <f4"), ({"a": one}, r"a \(2,\) <f8"),
                             ({"vectors": one}, "two dimensions"), ({"vectors": two, "ids": self.numpy.array(["a"])}, "got 1"),
                             ({"vectors": two, "ids": self.numpy.array(["a", "a"])}, "row 1: the id 'a' stands in row 0"),
                             ({"vectors": two, "ids": self.numpy.array(["a", ""])}, "row 1"),
                             ({"vectors": two, "ids": self.numpy.array([1.5, 2])}, "whole number"),
                             ({"vectors": two, "labels": self.numpy.array([1, 2, 3])}, "got 3"),
                             ({"vectors": self.numpy.array(["a", "b"])}, "integers or floats"),
                             ({"vectors": two.astype("c8")}, "integers or floats"),
                             ({"vectors": self.numpy.asfortranarray(self.numpy.ones((3, 2)))}, "Fortran")):
            with self.subTest(part):
                file = self.save("wrong.npz", **arrays)
                done = self.run_ctl("import", self.name, file, "--metric", "l2", code=FAILURE)
                self.assertRegex(done.stderr, part)
                self.assertIn(str(file), done.stderr)
        good = self.save("good.npz", vectors=two)
        self.assertIn("alone", self.run_ctl("import", self.name, good, good, "--metric", "l2", code=USAGE).stderr)
        self.assertIn("--metric", self.run_ctl("import", self.name, good, code=NOT_FOUND).stderr)
        self.assertNotIn(self.name, self.run_ctl("list").stdout)

    def test_damaged_archives(self):
        vectors = self.numpy.arange(3000, dtype="f4").reshape(1000, 3)
        for compressed in (False, True):
            file = self.save("whole.npz", compressed, vectors=vectors)
            whole = file.read_bytes()
            middle = len(whole) // 2
            flipped = whole[:middle] + bytes([whole[middle] ^ 0x40]) + whole[middle + 1:]
            for i, data in enumerate((flipped, whole[:middle], whole[:-1], whole[:4], b"PK\x05\x06" + bytes(18), whole + b"x" * 70000)):
                with self.subTest(compressed=compressed, case=i):
                    (self.folder / "damaged.npz").write_bytes(data)
                    done = self.run_ctl("import", self.name, self.folder / "damaged.npz", "--metric", "l2", code=FAILURE)
                    self.assertIn("damaged.npz", done.stderr)
        self.assertNotIn(self.name, self.run_ctl("list").stdout)

    def test_hostile_archives(self):
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 4), }"

        def array(rows, data):
            text = (header % rows).ljust(117) + b"\n"
            return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data

        def write(method, members):
            file = self.folder / "hostile.npz"
            with zipfile.ZipFile(file, "w", method) as archive:
                for name, data in members:
                    archive.writestr(name, data)
            return file

        deflated, stored = zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED
        # A header that claims more than there is, a bomb behind a small header, another method, a name twice.
        for members, method, part in (([("vectors.npy", array(1 << 40, b""))], deflated, "only"),
                                      ([("vectors.npy", array(1, bytes(64 << 20)))], deflated, "there are more"),
                                      ([("vectors.npy", array(1, bytes(16)))], zipfile.ZIP_BZIP2, "compression method 12"),
                                      ([("vectors.npy", array(1, bytes(16)))] * 2, stored, "two members"),
                                      ([("vectors.npy", b"")], stored, "NPY"), ([("x.npy", b"no array")], stored, "no array"),
                                      ([("../../up.txt", b"text")], stored, "no arrays")):
            with self.subTest(part):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    file = write(method, members)
                done = self.run_ctl("import", self.name, file, "--metric", "l2", code=FAILURE)
                self.assertIn(part, done.stderr)
        # Sizes in the directory that cannot be: a few bytes that claim to unpack to terabytes.
        data = bytearray(write(deflated, [("vectors.npy", array(1, bytes(16)))]).read_bytes())
        entry = data.index(b"PK\x01\x02")
        struct.pack_into("<I", data, entry + 24, 0xFFFFFFF0)
        (self.folder / "hostile.npz").write_bytes(data)
        done = self.run_ctl("import", self.name, self.folder / "hostile.npz", "--metric", "l2", code=FAILURE)
        self.assertIn("ZIP archive", done.stderr)
        # A name with .. is only a name.
        file = write(stored, [("../../evil.npy", array(2, bytes(32)))])
        self.run_ctl("import", self.name, file, "--metric", "l2")
        self.assertFalse((self.folder.parent.parent / "evil.npy").exists())
        self.assertEqual(self.json("stats", self.name)["live"], 2)


class Consistency(ExportTest):
    """With a peer that says what the LSN is: the daemon cannot be made to write at the right moment."""

    STATS = 'OK {{"dim":2,"metric":"l2","m":16,"live":1,"seed":{seed},"lsn":{lsn},"applied_lsn":{applied}}}'
    PAGE = 'OK {"points":[{"id":"a","attributes":{},"vector":[1,2],"links":[[]]}],"cursor":null}'

    def export(self, before, after, *options):
        scanned = threading.Event()
        asked = []

        def answer(line):
            if line.startswith("SCAN"):
                scanned.set()
                return self.PAGE
            if not line.startswith("STATS"):
                return "OK"
            asked.append(line)
            lsn, applied, seed = after if scanned.is_set() else before[min(len(asked), len(before)) - 1]
            return self.STATS.format(lsn=lsn, applied=applied, seed=seed)

        out = self.folder / "out.npz"
        peer = Peer(answer)
        self.addCleanup(peer.listener.close)
        done = harness.vsctl("--server", peer.server, "export", "c", out, "--format", "npz", "--force", *options)
        if done.returncode != OK:
            return done, None
        with self.numpy.load(out) as arrays:
            return done, json.loads(arrays["meta.json"])

    def test_judged_by_lsns(self):
        for before, after, consistent, changes in (
                ([(5, 5, 1)], (5, 5, 1), True, 0),
                ([(5, 3, 1), (5, 4, 1), (5, 5, 1)], (5, 5, 1), True, 0),  # waited for what was under way
                ([(5, 5, 1)], (8, 7, 1), False, 3),
                ([(5, 3, 1)], (5, 5, 1), False, 0),  # it was under way all the time
                ([(5, 5, 1)], (5, 5, 2), False, 0)):  # dropped and made again
            with self.subTest(before=before, after=after):
                done, meta = self.export(before, after)
                self.assertEqual((meta["consistent"], meta["changes"], meta["lsn"]), (consistent, changes, 5), done.stderr)
                self.assertEqual("note" in meta, not consistent)
                self.assertEqual("not consistent" in done.stderr, not consistent)
                (self.folder / "out.npz").unlink()
                done, _ = self.export(before, after, "--require-consistent")
                self.assertEqual(done.returncode, OK if consistent else FAILURE, done.stderr)
                self.assertEqual(self.names(self.folder), ["out.npz"] if consistent else [])
                if consistent:
                    (self.folder / "out.npz").unlink()
                else:
                    self.assertIn("--snapshot", done.stderr)

    def test_a_link_to_a_point_that_is_gone(self):
        """Deleted, seen twice, or with fewer layers now: the graph that is exported has whole links only."""
        page = ('OK {"points":[{"id":"a","attributes":{},"vector":[1,2],"links":[["b","gone","b","a"],["b"]]},'
                '{"id":"b","attributes":{"first":1},"vector":[3,4],"links":[["a"]]},'
                '{"id":"b","attributes":{"second":1},"vector":[5,6],"links":[["a","gone"],["a"]]}],"cursor":null}')
        peer = Peer(lambda line: page if line.startswith("SCAN") else self.STATS.format(lsn=1, applied=1, seed=1))
        self.addCleanup(peer.listener.close)
        from seed_index import SeedIndex
        harness.vsctl("--server", peer.server, "export", "c", self.folder / "seed", "--format", "seed", check=True)
        index = SeedIndex(self.folder / "seed")
        self.assertEqual(index.graph, [{"0": [1], "1": []}, {"0": [0]}])
        self.assertEqual((index.levels.tolist(), index.meta["entry_point"], index.meta["max_layer"]), ([1, 0], 0, 1))
        harness.vsctl("--server", peer.server, "export", "c", self.folder / "numpy", "--format", "numpy", check=True)
        self.assertEqual([self.numpy.load(self.folder / "numpy" / f"links_{i}.npy").max(axis=1).tolist() for i in (0, 1)],
                         [[1, 0], [-1, -1]])
        self.assertEqual((self.folder / "numpy" / "attributes.jsonl").read_text(), '{}\n{"first":1}\n')


class FromSnapshot(ExportTest):
    def test_is_of_the_snapshots_moment(self):
        vectors = self.fill_random(self.name, 200)
        before = self.stored(self.name)
        path = checks.make_snapshot(self.client, self.name)["path"]
        self.client.ok(f'DEL {self.name} "p 0" "p 1"')
        self.client.ok(f'ADD {self.name} "p 2" {harness.f32([9.0] * 16)}')
        self.client.ok(f"ADD {self.name} new {harness.f32([8.0] * 16)}")
        vsd = ("--vsd", harness.program("VSD", "vsd"), "--scratch", self.folder)
        for i, snapshot in enumerate((self.name, path)):
            out = self.folder / f"out{i}"
            done = self.run_ctl("export", self.name, out, "--format", "numpy", "--snapshot", snapshot, "--require-consistent",
                                *vsd)
            self.assertIn("exported 200 points", done.stdout)
            meta = json.loads((out / "meta.json").read_text())
            self.assertEqual((meta["consistent"], meta["snapshot"], meta["lsn"]), (True, snapshot, 200))
            ids = self.numpy.load(out / "ids.npy").tolist()
            bits = [row.tobytes() for row in self.numpy.load(out / "vectors.npy")]
            attributes = (out / "attributes.jsonl").read_text().splitlines()
            self.assertEqual({name: pair for name, *pair in zip(ids, bits, attributes)},
                             {name: list(pair) for name, pair in before.items()})
        self.assertEqual(len(vectors), 200)
        # A path needs no daemon; the copy is gone.
        done = harness.vsctl("--server", "127.0.0.1:1", "export", self.name, "-", "--format", "jsonl", "--snapshot", path, *vsd)
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (OK, 200), done.stderr)
        self.assertEqual(self.names(self.folder), ["out0", "out1"])
        self.run_ctl("export", "nothing", self.folder / "none", "--format", "json", "--snapshot", self.name, *vsd, code=NOT_FOUND)
        self.run_ctl("export", self.name, self.folder / "none", "--format", "json", "--snapshot", "no-such-tag", *vsd, code=NOT_FOUND)
        self.run_ctl("export", self.name, self.folder / "none", "--format", "json", "--vsd", "/bin/false", code=USAGE)
        self.assertEqual(self.names(self.folder), ["out0", "out1"])
        self.client.ok(f"SNAPSHOT {self.name} delete=true")

    def test_a_damaged_one(self):
        self.create()
        self.client.ok(f"ADD {self.name} a [1,2]")
        path = pathlib.Path(checks.make_snapshot(self.client, self.name)["path"])
        manifest = (path / "manifest.json").read_bytes()
        (path / "manifest.json").write_bytes(manifest.replace(b'"points": 1', b'"points": 2'))
        done = self.daemon.vsctl("export", self.name, self.folder / "out", "--format", "json", "--snapshot", path, "--vsd",
                                 harness.program("VSD", "vsd"), "--scratch", self.folder)
        self.assertEqual(done.returncode, checks.CORRUPTION, done.stderr)
        self.assertEqual(self.names(self.folder), [])


class Whole(ExportTest):
    """An export is there as a whole or not at all."""

    def stopped_at_second_page(self, *arguments):
        """Kills a vsctl that waits for its second page."""
        waiting = threading.Event()
        points = ",".join(f'{{"id":"{i}","attributes":{{}},"vector":[1,2],"links":[[]]}}' for i in range(500))

        def answer(line):
            if line.startswith("STATS"):
                return Consistency.STATS.format(lsn=1, applied=1, seed=1)
            if "cursor=" in line:
                waiting.set()
                return None
            return f'OK {{"points":[{points}],"cursor":"c"}}'

        peer = Peer(answer)
        self.addCleanup(peer.listener.close)
        process = peer.start(*arguments)
        self.assertTrue(waiting.wait(harness.TIMEOUT_S))
        return process

    def test_killed(self):
        self.fill(3)
        for file_format in ("numpy", "npz", "json", "jsonl", "fvecs", "seed"):
            with self.subTest(file_format):
                out = self.folder / file_format
                process = self.stopped_at_second_page("export", "c", out, "--format", file_format)
                # Meanwhile nobody else may write there.
                done = self.run_ctl("export", self.name, out, "--format", file_format, code=FAILURE)
                self.assertIn("another export", done.stderr)
                process.send_signal(signal.SIGKILL)
                finish(process)
                self.assertEqual(self.names(out), ["export.tmp"])
                self.run_ctl("export", self.name, out, "--format", file_format)
                self.assertNotIn("export.tmp", self.names(out))

    def test_a_failure_keeps_the_earlier_export(self):
        self.fill(3)
        for file_format in ("numpy", "npz", "json", "seed"):
            with self.subTest(file_format):
                out = self.folder / file_format
                self.run_ctl("export", self.name, out, "--format", file_format)
                before = {path.name: path.read_bytes() for path in out.iterdir()}
                process = self.stopped_at_second_page("export", "c", out, "--format", "numpy", "--force")
                process.send_signal(signal.SIGKILL)
                finish(process)
                after = {path.name: path.read_bytes() for path in out.iterdir() if path.name != "export.tmp"}
                self.assertEqual(after, before)

    def test_places_that_cannot_be(self):
        self.fill(3)
        (self.folder / "file").write_text("")
        self.run_ctl("export", self.name, self.folder / "file", "--format", "seed", code=FAILURE)
        self.run_ctl("export", self.name, self.folder / "none" / "a.npz", "--format", "npz", code=FAILURE)
        self.run_ctl("export", self.name, self.folder / "file" / "a", "--format", "npz", code=FAILURE)
        (self.folder / "dir.npz").mkdir()
        self.run_ctl("export", self.name, self.folder / "dir.npz", "--format", "npz")
        self.assertEqual(self.names(self.folder / "dir.npz"), ["points.npz"])
        os.chdir(self.folder)
        self.addCleanup(os.chdir, "/")
        self.run_ctl("export", self.name, "here.json", "--format", "json")
        self.assertEqual(len(json.loads((self.folder / "here.json").read_text())["points"]), 3)
        self.assertEqual(self.names(self.folder), ["dir.npz", "file", "here.json"])


if __name__ == "__main__":
    harness.main()
