"""The folder of VectorSearch-with-HNSW, both ways, against a loader and search in Python that share no code with vsd."""

import json
import shutil

import harness
from seed_index import SeedIndex
from test_vsctl import FAILURE, NOT_FOUND, USAGE
from test_vsctl_export import ExportTest

K = 10


class Export(ExportTest):
    def compare(self, queries, ef=100):
        """The exported graph, searched in Python, finds what vsd finds, at the same distances."""
        out = self.folder / "seed"
        self.run_ctl("export", self.name, out, "--format", "seed", "--force")
        index = SeedIndex(out)
        names = self.numpy.load(out / "ids.npy", allow_pickle=False).tolist()
        for i, query in enumerate(queries.tolist()):
            vector = harness.f32(query)
            if i < 3:
                matches = self.json("query", self.name, "--vector", vector, "-k", K, "--ef", ef)["matches"]
            else:
                matches = self.client.ok(f"SEARCH {self.name} {vector} k={K} ef={ef}")["matches"]
            found = index.search(query, K, ef)
            self.assertEqual([names[node] for _, node in found], [match["id"] for match in matches])
            self.numpy.testing.assert_allclose([distance for distance, _ in found],
                                               [match["distance"] for match in matches], rtol=2e-5, atol=2e-6)
        return index, names

    def test_finds_the_same_neighbours(self):
        for metric in ("l2", "cosine"):
            with self.subTest(metric):
                vectors = self.fill_random(self.name, metric=metric, options="m=6 ef_construction=120 ef_search=50")
                queries = self.numpy.random.default_rng(8).normal(size=(60, 16)).astype("float32")
                index, names = self.compare(queries)
                self.assertEqual({key: index.meta[key] for key in ("dim", "M", "max_m0", "ef_construction", "ef_search", "metric")},
                                 {"dim": 16, "M": 6, "max_m0": 12, "ef_construction": 120, "ef_search": 50, "metric": metric})
                stats = self.client.ok(f"STATS {self.name}")
                self.assertEqual(index.meta["mL"], stats["ml"])
                self.assertEqual([int((index.levels >= layer).sum()) for layer in range(index.meta["max_layer"] + 1)],
                                 stats["layers"])
                self.assertGreaterEqual(index.meta["max_layer"], 1)
                # Verbatim, also under cosine.
                rows = [int(name.split()[1]) for name in names]
                self.numpy.testing.assert_array_equal(index.vectors.view("u4"), vectors[rows].view("u4"))
                # The links are the collection's own.
                row_of = {name: row for row, name in enumerate(names)}
                points = self.json("scan", self.name, "--all", "--with", "links")["points"]
                for point in points:
                    layers = index.graph[row_of[point["id"]]]
                    self.assertEqual([[row_of[to] for to in layer] for layer in point["links"]], list(layers.values()))
                self.client.ok(f"DROP {self.name}")

    def test_after_deletes_and_updates(self):
        vectors = self.fill_random(self.name, options="m=8")
        self.client.ok(f"DEL {self.name} " + " ".join(f'"p {i}"' for i in range(0, 400, 4)))
        for i in range(1, 400, 16):
            self.client.ok(f'ADD {self.name} "p {i}" {harness.f32((vectors[i] + 0.5).tolist())}')
        job = self.client.ok(f"COMPACT {self.name}")["job"]
        harness.eventually(lambda: self.client.ok(f"JOBS {job}")["jobs"][0]["state"] == "done")
        index, names = self.compare(vectors[::10])
        self.assertEqual(len(names), 300)
        self.assertFalse(index.tombstones.any())

    def test_unreachable_points_are_told(self):
        """Two islands, which only a deleted point joined: it is not in the export, and neither is the way through it."""
        from test_vsctl_faults import Peer
        page = ('OK {"points":[{"id":"a","attributes":{},"vector":[1,2],"links":[[]]},'
                '{"id":"b","attributes":{},"vector":[3,4],"links":[["c"]]},'
                '{"id":"c","attributes":{},"vector":[3,4],"links":[["b"]]}],"cursor":null}')
        stats = 'OK {"dim":2,"metric":"l2","m":16,"ef_construction":9,"ef_search":8,"ml":0.5,"live":3,"lsn":1,"applied_lsn":1}'
        peer = Peer(lambda line: page if line.startswith("SCAN") else stats)
        self.addCleanup(peer.listener.close)
        done = harness.vsctl("--server", peer.server, "export", "c", self.folder / "out", "--format", "seed", check=True)
        self.assertIn("2 of 3 points have no way", done.stderr)
        self.assertEqual(json.loads((self.folder / "out" / "export.json").read_text())["unreachable"], 2)

    def test_one_point_and_none(self):
        self.create(3)
        out = self.folder / "out"
        self.run_ctl("export", self.name, out, "--format", "seed")
        self.assertEqual(SeedIndex(out).search([0, 0, 0], 5, 5), [])
        self.client.ok(f"ADD {self.name} only [1,2,3]")
        self.run_ctl("export", self.name, out, "--format", "seed", "--force")
        self.assertEqual(SeedIndex(out).search([1, 2, 2], 5, 5), [(1, 0)])

    def test_dot_has_no_place_in_it(self):
        self.create(3, "metric=dot")
        done = self.run_ctl("export", self.name, self.folder / "out", "--format", "seed", code=FAILURE)
        self.assertIn("l2 or cosine", done.stderr)
        self.assertFalse((self.folder / "out").exists())

    def test_fashion_mnist(self):
        folder = harness.require_fashion_mnist()
        images = folder / "t10k-images-idx3-ubyte.gz"
        small = self.folder / "small.npy"
        import gzip
        data = gzip.decompress(images.read_bytes())[16:]
        rows = self.numpy.frombuffer(data, dtype="u1").reshape(-1, 784)[:700].astype("f4") / self.numpy.float32(255)
        self.numpy.save(small, rows[:600])
        for metric in ("l2", "cosine"):
            with self.subTest(metric):
                self.run_ctl("import", self.name, small, "--metric", metric, "--seed", "1")
                self.compare(rows[600:])
                self.run_ctl("drop", self.name, "--yes")


class Import(ExportTest):
    META = {"dim": 4, "M": 5, "ef_construction": 60, "ef_search": 33, "mL": 0.7, "metric": "cosine", "max_m0": 10,
            "entry_point": 2, "max_layer": 1}

    def save(self, rows=50, dead=(), meta=None, vectors=None):
        """A folder as the Python implementation writes it, with a graph that is nonsense."""
        folder = self.folder / "saved"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if vectors is None:
            vectors = self.numpy.random.default_rng(2).normal(size=(rows, 4)).astype("float32")
        tombstones = self.numpy.zeros(rows, dtype=bool)
        tombstones[list(dead)] = True
        self.numpy.save(folder / "vectors.npy", vectors)
        self.numpy.save(folder / "levels.npy", self.numpy.full(rows, 9, dtype="int32"))
        self.numpy.save(folder / "tombstones.npy", tombstones)
        (folder / "graph.json").write_text(json.dumps([{"0": [rows + 7]}] * rows))
        (folder / "meta.json").write_text(json.dumps({**self.META, **(meta or {})}))
        return folder, vectors

    def test_vectors_without_tombstones(self):
        dead = [0, 3, 4, 5, 30, 49]
        folder, vectors = self.save(dead=dead)
        for i, options in enumerate(([], ["--format", "seed"], ["--connections", "7"])):
            name = f"{self.name}-{i}"
            self.assertTrue(self.json("import", name, folder, *options)["created"])
            stored = self.stored(name)
            self.assertEqual(set(stored), {str(row) for row in range(50) if row not in dead})
            for row, (bits, attributes) in stored.items():
                self.assertEqual((bits, attributes), (vectors[int(row)].tobytes(), "{}"))
            stats = self.json("stats", name)
            self.assertEqual({key: stats[key] for key in ("dim", "m", "ef_construction", "ef_search", "ml", "metric")},
                             {"dim": 4, "m": 5, "ef_construction": 60, "ef_search": 33, "ml": 0.7, "metric": "cosine"})
        self.run_ctl("import", self.name, folder, "--metric", "l2", "--m", "7", "--id-prefix", "row-")
        stats = self.json("stats", self.name)
        self.assertEqual((stats["metric"], stats["m"], stats["ef_construction"]), ("l2", 7, 60))
        self.assertNotEqual(stats["ml"], 0.7)  # which belonged to M = 5
        self.assertIn("row-1", self.stored(self.name))
        # A collection that is there keeps its settings.
        self.client.ok(f"CREATE {self.name}-there dim=4 metric=dot m=9")
        self.run_ctl("import", self.name + "-there", folder)
        self.assertEqual(self.json("stats", self.name + "-there")["metric"], "dot")

    def test_many_rows_and_connections(self):
        folder, vectors = self.save(rows=2000, dead=range(0, 2000, 3), meta={"metric": "l2"})
        self.run_ctl("import", self.name, folder, "--connections", "4")
        stored = self.stored(self.name)
        self.assertEqual({row: bits for row, (bits, _) in stored.items()},
                         {str(row): vectors[row].tobytes() for row in range(2000) if row % 3})

    def test_all_are_tombstones(self):
        folder, _ = self.save(rows=3, dead=range(3))
        self.assertEqual(self.json("import", self.name, folder)["rows"], 0)
        self.assertEqual(self.json("stats", self.name)["live"], 0)

    def test_there_and_back(self):
        """vsctl's own folder: the same vectors under the numbers of their rows."""
        vectors = self.fill_random(self.name, 100)
        out = self.folder / "out"
        self.run_ctl("export", self.name, out, "--format", "seed")
        self.run_ctl("import", self.name + "-copy", out, "--connections", "1")
        names = self.numpy.load(out / "ids.npy").tolist()
        copy = self.stored(self.name + "-copy")
        self.assertEqual({names[int(row)]: bits for row, (bits, _) in copy.items()},
                         {f"p {i}": vectors[i].tobytes() for i in range(100)})
        again = self.folder / "again"
        self.run_ctl("export", self.name + "-copy", again, "--format", "seed")
        self.assertEqual((again / "vectors.npy").read_bytes(), (out / "vectors.npy").read_bytes())
        self.assertEqual({key: value for key, value in json.loads((again / "meta.json").read_text()).items()
                          if key not in ("entry_point", "max_layer")},
                         {key: value for key, value in json.loads((out / "meta.json").read_text()).items()
                          if key not in ("entry_point", "max_layer")})

    def test_refused(self):
        for meta, part in (({"dim": 5}, "vectors of 5 numbers, but they have 4"), ({"metric": "dot"}, '"l2" or "cosine"'),
                           ({"M": -1}, '"M"'), ({"M": "x"}, '"M"'), ({"ef_construction": 1.5}, '"ef_construction"'),
                           ({"mL": []}, '"mL"'), ({"dim": None}, '"dim"'), ({"metric": None}, '"metric"')):
            with self.subTest(meta):
                folder, _ = self.save(meta=meta)
                done = self.run_ctl("import", self.name, folder, code=FAILURE)
                self.assertIn(part, done.stderr)
        folder, _ = self.save(meta={"M": 1})
        self.assertIn("m", self.run_ctl("import", self.name, folder, code=USAGE).stderr)
        for text in ("", "{", "[]", "null", '{"dim":NaN}'):
            (folder / "meta.json").write_text(text)
            self.assertIn("meta.json", self.run_ctl("import", self.name, folder, code=FAILURE).stderr)
        for name in ("vectors.npy", "tombstones.npy", "meta.json"):
            folder, _ = self.save()
            (folder / name).unlink()
            self.assertIn(name, self.run_ctl("import", self.name, folder, code=FAILURE).stderr)
        folder, _ = self.save()
        for wrong in (self.numpy.zeros(49, bool), self.numpy.zeros((50, 1), bool), self.numpy.zeros(50)):
            self.numpy.save(folder / "tombstones.npy", wrong)
            self.assertIn("tombstones.npy", self.run_ctl("import", self.name, folder, code=FAILURE).stderr)
        folder, _ = self.save()
        (folder / "vectors.npy").write_bytes((folder / "vectors.npy").read_bytes()[:-1])
        self.assertIn("vectors.npy", self.run_ctl("import", self.name, folder, code=FAILURE).stderr)
        self.run_ctl("import", self.name, folder, folder, code=FAILURE)
        self.run_ctl("import", self.name, self.folder / "nowhere", "--format", "seed", code=FAILURE)
        self.run_ctl("import", self.name, folder / "meta.json", "--format", "seed", code=FAILURE)
        self.assertNotIn(self.name, self.run_ctl("list").stdout)
        folder, _ = self.save()
        self.create(3)
        self.assertIn("3 numbers", self.run_ctl("import", self.name, folder, code=FAILURE).stderr)


if __name__ == "__main__":
    harness.main()
