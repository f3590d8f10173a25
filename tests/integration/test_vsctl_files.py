"""vsctl's import, export and eval."""

import gzip
import json
import os
import pathlib
import pty
import re
import struct
import subprocess
import tempfile
import threading

import harness
from test_vsctl import FAILURE, NOT_FOUND, OK, PARTLY, UNREACHABLE, USAGE, VsctlTest, npy


def idx(path, shape, data, pack=gzip.compress):
    header = bytes([0, 0, 8, len(shape)]) + b"".join(struct.pack(">I", extent) for extent in shape)
    pathlib.Path(path).write_bytes(pack(header + bytes(data)))
    return str(path)


class Import(VsctlTest):
    def live(self, name=None):
        return self.client.ok(f"STATS {name or self.name}")["live"]

    def test_idx_with_labels(self):
        images = idx(self.folder / "i.gz", (300, 2, 2), [i % 256 for i in range(1200)])
        plain = idx(self.folder / "i", (2, 2, 2), range(8), pack=bytes)
        labels = idx(self.folder / "l", (302,), [i % 10 for i in range(302)], pack=bytes)
        done = self.run_ctl("import", self.name, images, plain, "--labels", labels, "--scale", "1/255", "--metric", "l2")
        self.assertRegex(done.stdout, r"^302 rows in [0-9.]+ s, \d+ rows/s\n$")
        self.assertEqual(done.stderr, "")
        self.assertEqual(self.live(), 302)
        for row, pixels in ((299, [1196 % 256 + i for i in range(4)]), (301, [4, 5, 6, 7])):
            point = self.json("get", self.name, row, "--with-vector")
            self.assertEqual(point["attributes"], {"label": row % 10})
            self.assertEqual(harness.to_float32(point["vector"]), harness.to_float32([pixel / 255 for pixel in pixels]))

    def test_labels_for_each_file(self):
        a = npy(self.folder / "a.npy", [1, 2, 3, 4], columns=2)
        b = npy(self.folder / "b.npy", [5, 6], columns=2)
        la = npy(self.folder / "la.npy", [10, 11], "<i4")
        lb = npy(self.folder / "lb.npy", [12], "<i4")
        reply = self.json("import", self.name, a, b, "--labels", la, "--labels", lb, "--metric", "cosine", "--seed", "3",
                          "--connections", "1", "--id-prefix", "row ")
        self.assertEqual((reply["collection"], reply["created"], reply["rows"], reply["rejected"], reply["rejected_rows"]),
                         (self.name, True, 3, 0, []))
        self.assertEqual(self.json("get", self.name, "row 2", "--with-vector")["vector"], [5, 6])
        self.assertEqual(self.json("get", self.name, "row 2")["attributes"], {"label": 12})
        self.assertEqual(self.json("stats", self.name)["metric"], "cosine")
        # Once more: nothing changes but the LSNs; settings that differ are refused.
        self.assertFalse(self.json("import", self.name, a, b, "--id-prefix", "row ")["created"])
        self.assertEqual(self.live(), 3)
        self.run_ctl("import", self.name, a, "--metric", "cosine")
        self.assertIn("cosine", self.run_ctl("import", self.name, a, "--metric", "l2", code=FAILURE).stderr)

    def test_ids(self):
        vectors = npy(self.folder / "v.npy", [1, 2, 3], columns=1)
        ids = self.folder / "ids"
        ids.write_text("ärmel\r\nwith space\n=\n")
        self.run_ctl("import", self.name, vectors, "--ids", ids, "--metric", "l2")
        self.assertEqual([p["id"] for p in self.json("scan", self.name)["points"]], ["ärmel", "with space", "="])
        ids.write_text("a\nb\n")
        self.assertIn("has 2 ids", self.run_ctl("import", self.name, vectors, "--ids", ids, code=FAILURE).stderr)
        ids.write_text("")
        self.assertIn("has 0 ids", self.run_ctl("import", self.name, vectors, "--ids", ids, code=FAILURE).stderr)
        ids.write_text("a\nb\na\n")
        done = self.run_ctl("import", self.name, vectors, "--ids", ids, code=FAILURE)
        self.assertIn("line 3: the id 'a' stands in line 1 already", done.stderr)
        self.assertEqual(self.live(), 3)
        ids.write_text("a\n\nb\n")
        self.assertIn("line 2", self.run_ctl("import", self.name, vectors, "--ids", ids, code=FAILURE).stderr)

    def test_bad_rows_are_listed(self):
        values = [1.0] * 400
        for row in range(0, 200, 8):
            values[2 * row] = float("nan")
        values[2 * 3] = values[2 * 3 + 1] = 0.0
        vectors = npy(self.folder / "v.npy", values, columns=2)
        done = self.run_ctl("import", self.name, vectors, "--metric", "cosine", code=PARTLY)
        self.assertIn("174 rows in", done.stdout)
        self.assertIn("26 rejected", done.stdout)
        rows = [int(row) for row in re.findall(r"(?m)^vsctl: row (\d+) ", done.stderr)]
        self.assertEqual(rows, [0, 3] + list(range(8, 152, 8)))
        self.assertIn("6 rows more", done.stderr)
        self.assertEqual(self.live(), 174)
        reply = self.json("import", self.name, vectors, code=PARTLY)
        self.assertEqual((reply["rows"], reply["rejected"]), (174, 26))
        self.assertEqual([row["code"] for row in reply["rejected_rows"]][:3], ["not_finite", "zero_vector", "not_finite"])
        # What was rejected is listed, all of it.
        self.assertEqual([row["row"] for row in reply["rejected_rows"]], [0, 3] + list(range(8, 200, 8)))
        self.assertEqual(reply["replaced"], 174)
        self.assertIn("174 replaced, 26 rejected", self.run_ctl("import", self.name, vectors, code=PARTLY).stdout)

    def test_a_file_name_in_brackets_is_one_file(self):
        path = npy(self.folder / "[a,b]", [1, 2], columns=2)
        self.run_ctl("import", self.name, "[a,b]", "--metric", "l2")
        self.run_ctl("import", self.name, path, "[a,b]")
        self.assertEqual(self.live(), 2)

    def test_labels_are_no_vectors(self):
        labels = idx(self.folder / "l", (784,), [1] * 784, pack=bytes)
        done = self.run_ctl("import", self.name, labels, "--metric", "l2", code=FAILURE)
        self.assertIn("--labels", done.stderr)
        self.assertNotIn(self.name, self.run_ctl("list").stdout)

    def test_attributes(self):
        vectors = npy(self.folder / "v.npy", [1, 2, 3], columns=1)
        attributes = self.folder / "a.jsonl"
        attributes.write_text('{"population":1e39,"zero":-0}\n{}\r\n  {"é" :\t[1]}')
        self.run_ctl("import", self.name, vectors, "--attributes", attributes, "--metric", "l2")
        points = self.run_ctl("scan", self.name, "--output", "json").stdout
        self.assertIn('{"id":"0","attributes":{"population":1e39,"zero":-0}}', points)
        self.assertIn('{"id":"2","attributes":{"é" : [1]}}', points)
        for text, part in (("{}\n{}\n", "2 lines"), ("{}\n[]\n{}\n", "line 2"), ("{}\n{}\n{\n", "line 3"), ("", "0 lines")):
            attributes.write_text(text)
            done = self.daemon.vsctl("import", self.name, vectors, "--attributes", attributes)
            self.assertNotEqual(done.returncode, OK)
            self.assertIn(part, done.stderr)
        labels = npy(self.folder / "l.npy", [1, 2, 3], "<i4")
        self.run_ctl("import", self.name, vectors, "--attributes", attributes, "--labels", labels, code=USAGE)

    def test_refused_before_anything_is_sent(self):
        vectors = npy(self.folder / "v.npy", [1, 2, 3, 4], columns=2)
        done = self.run_ctl("import", self.name, vectors, code=NOT_FOUND)
        self.assertIn("--metric", done.stderr)
        self.assertIn(f"vsctl create {self.name} --dim 2", done.stderr)
        self.create(3)
        self.assertIn("3 numbers", self.run_ctl("import", self.name, vectors, code=FAILURE).stderr)
        wide = npy(self.folder / "w.npy", [1, 2, 3], columns=3)
        self.run_ctl("import", self.name, wide, vectors, code=FAILURE)
        labels = npy(self.folder / "l.npy", [1, 2], "<i4")
        self.run_ctl("import", self.name, wide, "--labels", labels, code=FAILURE)
        self.run_ctl("import", self.name, wide, "--labels", wide, code=FAILURE)
        text = self.folder / "text"
        text.write_text("no vectors here")
        self.assertIn("text", self.run_ctl("import", self.name, text, code=FAILURE).stderr)
        self.run_ctl("import", self.name, wide, "--format", "idx", code=FAILURE)
        self.run_ctl("import", self.name, self.folder / "none", code=FAILURE)
        self.assertEqual(self.live(), 0)

    def test_progress_on_a_terminal(self):
        vectors = npy(self.folder / "v.npy", list(range(60000)), columns=2)
        ours, theirs = pty.openpty()
        command = [harness.program("VSCTL", "vsctl"), "--server", self.daemon.server, "import", self.name, vectors,
                   "--metric", "l2"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as process:
            os.close(theirs)
            shown = b""
            try:
                while data := os.read(ours, 4096):
                    shown += data
            except OSError:
                pass  # the end of a pseudo-terminal
            self.assertRegex(process.stdout.read(), rb"^30000 rows in ")
        os.close(ours)
        self.assertEqual(process.returncode, OK)
        self.assertRegex(shown.decode(), r"importing \[[#.]+\] +\d+%  \d+/30000 rows  \d+ rows/s  ETA \d+:\d\d")


class LostDaemon(harness.unittest.TestCase):
    def test_import_says_what_is_acknowledged(self):
        with tempfile.TemporaryDirectory(prefix="vsctl-test-") as folder, harness.Daemon() as daemon:
            vectors = npy(pathlib.Path(folder) / "v.npy", [float(i % 977) for i in range(64 * 40000)], columns=64)
            client = daemon.connect()
            client.ok("CREATE c dim=64 ef_construction=400")
            results = []
            thread = threading.Thread(target=lambda: results.append(daemon.vsctl("import", "c", vectors)))
            thread.start()
            harness.eventually(lambda: client.ok("STATS c")["live"] > 500)
            daemon.kill()
            thread.join()
            done = results[0]
            self.assertEqual(done.returncode, UNREACHABLE, done.stderr)
            acknowledged = int(re.search(r"(\d+) of 40000 rows are acknowledged", done.stderr).group(1))
            self.assertRegex(done.stdout, rf"^{acknowledged} rows in .*, stopped\n$")
            daemon.start()
            self.assertGreaterEqual(daemon.connect().ok("STATS c")["live"], acknowledged)


class Export(VsctlTest):
    def test_numpy(self):
        numpy = harness.require_numpy()
        self.client.ok(f"CREATE {self.name} dim=3 m=4 seed=5")
        random = numpy.random.default_rng(1).normal(size=(500, 3)).astype("float32")
        ids = [f"p{i}" for i in range(499)] + ["é😀 longest of all"]
        self.client.pipeline([f'ADD {self.name} {json.dumps(name)} {harness.f32(row)} {{"n":{i}.25,"big":12345678901234567}}'
                              for i, (name, row) in enumerate(zip(ids, random.tolist()))])
        self.client.ok(f"DEL {self.name} p7")
        out = self.folder / "deep" / "out"
        self.assertEqual(self.run_ctl("export", self.name, out, "--format", "numpy").stdout, f"exported 499 points to {out}\n")
        vectors = numpy.load(out / "vectors.npy", allow_pickle=False)
        names = numpy.load(out / "ids.npy", allow_pickle=False)
        self.assertEqual((vectors.dtype, vectors.shape, names.shape), (numpy.float32, (499, 3), (499,)))
        self.assertEqual(sorted(names.tolist()), sorted(name for name in ids if name != "p7"))
        row_of = {name: row for row, name in enumerate(ids)}
        numpy.testing.assert_array_equal(vectors, random[[row_of[name] for name in names]])
        attributes = [json.loads(line) for line in (out / "attributes.jsonl").read_text().splitlines()]
        self.assertEqual(attributes, [{"n": row_of[name] + 0.25, "big": 12345678901234567} for name in names])
        meta = json.loads((out / "meta.json").read_text())
        stats = self.client.ok(f"STATS {self.name}")
        for key in ("dim", "metric", "m", "ef_construction", "ml", "ef_search", "seed"):
            self.assertEqual(meta[key], stats[key])
        self.assertEqual((meta["name"], meta["count"], meta["format_version"], meta["consistent"]),
                         (self.name, 499, 1, True))
        self.assertGreaterEqual(meta["layers"], 2)
        for layer in range(meta["layers"]):
            links = numpy.load(out / f"links_{layer}.npy", allow_pickle=False)
            self.assertEqual((links.dtype, len(links)), (numpy.int32, 499))
            self.assertGreaterEqual(links.min(), -1)
            self.assertLess(links.max(), 499)
            self.assertFalse((links == numpy.arange(499)[:, None]).any(), "a link to itself")
            if layer == 0:
                self.assertEqual(links.shape[1], 8)
                self.assertTrue((links >= 0).any(axis=1).all())
            else:
                self.assertTrue((links == -1).all(axis=1).any())
        self.assertFalse((out / f"links_{meta['layers']}.npy").exists())
        self.assertEqual([path.name for path in out.iterdir() if path.suffix == ".tmp"], [])
        # What was exported can be imported: the same points, in the same order.
        self.run_ctl("import", self.name + "-copy", out / "vectors.npy", "--ids", out / "ids.npy", "--attributes",
                     out / "attributes.jsonl", "--metric", "l2", "--connections", "1")
        options = ("--all", "--with", "vector,attributes", "--output", "json")
        self.assertEqual(self.run_ctl("scan", self.name + "-copy", *options).stdout,
                         self.run_ctl("scan", self.name, *options).stdout)
        for name in (ids[-1], "p0", "p498"):
            self.assertEqual(self.client.ok(f"GET {self.name}-copy {json.dumps(name)} with=vector"),
                             self.client.ok(f"GET {self.name} {json.dumps(name)} with=vector"))
        wrong = numpy.array(["a", "b", "a"])
        numpy.save(self.folder / "wrong.npy", wrong)
        three = npy(self.folder / "three.npy", [0] * 9, columns=3)
        for array, part in ((wrong, "row 2: the id 'a' stands in row 0"), (numpy.array(["a", "b"]), "has 2"),
                            (numpy.array(["a", "", "c"]), "row 1"), (numpy.arange(3), "strings"),
                            (numpy.array([["a", "b", "c"]]), "one dimension")):
            numpy.save(self.folder / "wrong.npy", array)
            done = self.run_ctl("import", self.name, three, "--ids", self.folder / "wrong.npy", code=FAILURE)
            self.assertIn(part, done.stderr)

    def test_json(self):
        self.fill(30)
        self.client.ok(f'ADD {self.name} "q\\"x" [0.1,-0] {{"deep":[{{"x":0.1234567890123456789}}]}}')
        out = self.folder / "out"
        reply = self.json("export", self.name, out, "--format", "json")
        self.assertEqual(reply, {"collection": self.name, "directory": str(out), "format": "json", "count": 31,
                                 "consistent": True, "changes": 0})
        text = (out / "points.json").read_text()
        self.assertIn("0.1234567890123456789", text)
        document = json.loads(text)
        self.assertEqual((document["collection"]["name"], document["collection"]["dim"]), (self.name, 2))
        self.assertEqual(len(document["points"]), 31)
        self.assertEqual(document["points"][4], {"id": "4", "attributes": {"label": 1}, "vector": [4, 0]})
        self.assertEqual((document["export"]["count"], document["export"]["consistent"]), (31, True))

    def test_directories(self):
        self.fill(3)
        out = self.folder / "out"
        self.run_ctl("export", self.name, out, "--format", "numpy")
        (out / "links_9.npy").write_text("of an earlier export")
        self.assertIn("--force", self.run_ctl("export", self.name, out, "--format", "numpy", code=FAILURE).stderr)
        self.run_ctl("export", self.name, out, "--format", "numpy", "--force")
        self.assertFalse((out / "links_9.npy").exists())
        # Of any format, nothing of the earlier export stays.
        (out / "export.tmp").mkdir()
        (out / "export.tmp" / "ids.npy.tmp").write_text("of an export that was killed")
        self.run_ctl("export", self.name, out, "--format", "json", "--force")
        self.assertEqual([path.name for path in out.iterdir()], ["points.json"])
        self.run_ctl("export", self.name, out, "--format", "numpy", "--force")
        self.assertFalse((out / "points.json").exists())
        # What a killed export leaves is in nobody's way; other files are somebody's.
        unfinished = self.folder / "unfinished"
        (unfinished / "export.tmp").mkdir(parents=True)
        (unfinished / "export.tmp" / "vectors.npy").write_text("whole")
        (unfinished / "export.tmp" / "links_3.npy.tmp").write_text("half")
        self.run_ctl("export", self.name, unfinished, "--format", "json")
        self.assertEqual([path.name for path in unfinished.iterdir()], ["points.json"])
        (self.folder / "other").mkdir()
        (self.folder / "other" / "mine.tmp").write_text("")
        self.run_ctl("export", self.name, self.folder / "other", "--format", "json", code=FAILURE)
        plain = self.folder / "plain"
        plain.write_text("")
        self.run_ctl("export", self.name, plain, "--format", "json", code=FAILURE)
        self.run_ctl("export", "nothing", self.folder / "new", "--format", "json", code=NOT_FOUND)
        self.assertFalse((self.folder / "new").exists())

    def test_empty_collection(self):
        numpy = harness.require_numpy()
        self.create(3)
        out = self.folder / "out"
        self.run_ctl("export", self.name, out, "--format", "numpy")
        self.assertEqual(numpy.load(out / "vectors.npy").shape, (0, 3))
        self.assertEqual(numpy.load(out / "ids.npy").shape, (0,))
        self.run_ctl("export", self.name, self.folder / "json", "--format", "json")
        self.assertEqual(json.loads((self.folder / "json" / "points.json").read_text())["points"], [])

    def test_writes_meanwhile_are_told(self):
        self.create(64)
        vector = harness.f32([1.5] * 64)
        self.client.pipeline([f"ADD {self.name} {i} {vector}" for i in range(8000)])
        stop = threading.Event()

        def write():
            with harness.Connection(self.daemon.address) as other:
                i = 0
                while not stop.is_set():
                    other.ok(f"ADD {self.name} {i % 8000} {vector}")
                    i += 1

        thread = threading.Thread(target=write)
        thread.start()
        try:
            out = self.folder / "out"
            done = self.run_ctl("export", self.name, out, "--format", "numpy")
        finally:
            stop.set()
            thread.join()
        meta = json.loads((out / "meta.json").read_text())
        self.assertFalse(meta["consistent"])
        self.assertIn("note", meta)
        self.assertIn("consistent", done.stderr)
        self.assertEqual(meta["count"], 8000)


class Eval(VsctlTest):
    def test_against_exact_search_and_a_file(self):
        values = [float((i * 7919) % 1009) for i in range(3000)]
        vectors = npy(self.folder / "v.npy", values, columns=3)
        self.run_ctl("import", self.name, vectors, "--metric", "l2", "--seed", "1")
        reply = self.json("eval", self.name, "--queries", vectors, "--ef", "10,200", "-k", "5", "--limit", "100")
        self.assertEqual((reply["k"], reply["queries"], reply["truth"]), (5, 100, "exact search"))
        self.assertEqual([result["ef"] for result in reply["results"]], [10, 200])
        self.assertGreater(reply["results"][1]["recall"], 0.99)
        for result in reply["results"]:
            self.assertLessEqual(result["p50_ms"], result["p95_ms"])
            self.assertLessEqual(result["p95_ms"], result["p99_ms"])
            self.assertGreater(result["qps"], 0)
        # Every point is its own nearest one: a truth of k=1.
        truth = npy(self.folder / "t.npy", list(range(1000)), "<i4", 1)
        reply = self.json("eval", self.name, "--queries", vectors, "--truth", truth, "-k", "1", "--ef", "50")
        self.assertGreater(reply["results"][0]["recall"], 0.99)
        table = self.run_ctl("eval", self.name, "--queries", vectors, "--limit", "5", "--connections", "1").stdout
        self.assertRegex(table, r"^ +ef  recall@10 +QPS  p50_ms  p95_ms  p99_ms\n +16 ")
        self.assertEqual(len(table.splitlines()), 5)
        self.run_ctl("eval", self.name, "--queries", vectors, "--truth", truth, code=FAILURE)
        self.run_ctl("eval", self.name, "--queries", vectors, "--truth", vectors, "-k", "1", code=FAILURE)
        self.run_ctl("eval", self.name, "--queries", truth, code=FAILURE)
        self.run_ctl("eval", "nothing", "--queries", vectors, code=NOT_FOUND)
        self.run_ctl("create", self.name + "-empty", "--dim", "3")
        for options in ([], ["--truth", truth, "-k", "1"]):
            done = self.run_ctl("eval", self.name + "-empty", "--queries", vectors, *options, code=FAILURE)
            self.assertIn("has no points", done.stderr)
        self.run_ctl("eval", self.name, "--queries", vectors, "--ef", "0", code=USAGE)


class FashionMnist(VsctlTest):
    def test_import_query_eval(self):
        folder = harness.require_fashion_mnist()
        images = folder / "t10k-images-idx3-ubyte.gz"
        labels = folder / "t10k-labels-idx1-ubyte.gz"
        self.run_ctl("import", self.name, images, "--labels", labels, "--scale", "1/255", "--metric", "l2", "--seed", "1")
        self.assertEqual(self.json("stats", self.name)["live"], 10000)
        reply = self.json("query", self.name, "--file", images, "--row", "0", "--scale", "1/255", "-k", "3", "--labels", labels,
                          "--picture", self.folder / "out.png")
        self.assertEqual(reply["matches"][0]["id"], "0")
        self.assertEqual(reply["matches"][0]["attributes"], {"label": 9})
        self.assertGreater((self.folder / "out.png").stat().st_size, 2000)
        result = self.json("eval", self.name, "--queries", images, "--scale", "1/255", "--limit", "200", "--ef", "64")
        self.assertGreater(result["results"][0]["recall"], 0.98)


if __name__ == "__main__":
    harness.main()
