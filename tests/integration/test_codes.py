#!/usr/bin/env python3
"""codes=pca through the daemon: short codes are learned while it serves, and answers stay what they were."""

import harness
from checks import run_check, wait_for_job

DIM, POINTS, K = 192, 9000, 10
LEARNED_S = 120  # a busy machine, a sanitizer


class Pca(harness.DaemonTest):
    def setUp(self):
        super().setUp()
        self.numpy = harness.require_numpy()
        random = self.numpy.random.default_rng(5)
        self.axes = random.standard_normal((10, DIM)).astype(self.numpy.float32)
        self.random = random

    def near_a_plane(self, count):
        noise = self.random.standard_normal((count, DIM)).astype(self.numpy.float32) * self.numpy.float32(0.03)
        return self.random.standard_normal((count, len(self.axes))).astype(self.numpy.float32) @ self.axes + noise

    def add(self, vectors, first=0):
        for begin in range(0, len(vectors), 500):
            lines = [f"ADD {self.name} {first + begin + i} {harness.f32(vector)}"
                     for i, vector in enumerate(vectors[begin:begin + 500])]
            for reply in self.client.pipeline(lines):
                self.assertEqual(reply[0], "OK", reply)

    def stats(self):
        return self.client.ok(f"STATS {self.name}")

    def wait_until_learned(self, generation=1):
        harness.eventually(lambda: (s := self.stats())["generation"] == generation and "pca" in s, LEARNED_S, "short codes")
        return self.stats()["pca"]

    def distances_from(self, query):
        return self.client.ok(f"SEARCH {self.name} {harness.f32(query)} k={K} ef=64 explain=true")["explain"]["distances_from"]

    def assert_finds_what_is_near(self, queries):
        hits = 0
        for query in queries:
            exact = self.client.ok(f"SEARCH {self.name} {harness.f32(query)} k={K} exact=true")["matches"]
            found = self.client.ok(f"SEARCH {self.name} {harness.f32(query)} k={K} ef=64")["matches"]
            self.assertEqual(len(found), K)
            distance = {match["id"]: match["distance"] for match in exact}
            for match in found:
                if match["id"] in distance:
                    hits += 1
                    self.assertAlmostEqual(match["distance"], distance[match["id"]], delta=1e-4)
        self.assertGreaterEqual(hits, 0.97 * K * len(queries))

    def test_short_codes_are_learned_and_serve(self):
        vectors = self.near_a_plane(POINTS)
        queries = self.near_a_plane(60)
        self.create(DIM, "codes=pca")
        self.assertEqual(self.stats()["codes"], "pca")
        self.add(vectors)
        pca = self.wait_until_learned()
        self.assertEqual(pca["components"], 48)
        self.assertGreater(pca["share"], 0.94)
        self.assertGreaterEqual(pca["bytes"], 64 * POINTS)
        kinds = self.distances_from(queries[0])
        self.assertGreater(kinds["short_codes"], 96)
        self.assertEqual((kinds["codes"], kinds["floats"]), (96, 20))
        self.assert_finds_what_is_near(queries)
        # What comes now, goes, or changes.
        self.add(self.near_a_plane(300), first=POINTS)
        self.client.ok(f"DEL {self.name} " + " ".join(str(i) for i in range(100)))
        changed = self.near_a_plane(50)
        self.add(changed, first=200)
        for i, vector in enumerate(changed):
            match = self.client.ok(f"SEARCH {self.name} {harness.f32(vector)} k=1 ef=64")["matches"][0]
            self.assertEqual((match["id"], match["distance"]), (str(200 + i), 0))
        self.assert_finds_what_is_near(queries)
        self.assertTrue(run_check(self.client, self.name, "deep=true")["clean"])

        # They are learned again after an end of any kind, and for the files of a rebuild.
        for kill in (False, True):
            self.daemon.restart(kill=kill)
            self.client = self.daemon.connect()
            self.assert_finds_what_is_near(queries[:10])
            self.wait_until_learned()
            self.assert_finds_what_is_near(queries)
        for number, codes in ((2, "sq8"), (3, "pca")):
            job = wait_for_job(self.client, self.client.ok(f"REBUILD {self.name} codes={codes}")["job"])
            self.assertEqual((job["state"], job["result"]["codes"]), ("done", codes))
            if codes == "pca":
                self.wait_until_learned(number)
            else:
                self.assertNotIn("pca", self.stats())
            self.assert_finds_what_is_near(queries)

    def test_where_they_do_not_pay_whole_codes_serve(self):
        self.create(DIM, "codes=pca")
        vectors = self.random.standard_normal((POINTS, DIM)).astype(self.numpy.float32)
        self.add(vectors)
        harness.eventually(lambda: "pca_does_not_pay" in self.daemon.log_text(), LEARNED_S, "a line in the log")
        self.assertNotIn("pca", self.stats())
        self.assertIn("code_range", self.stats())
        # Such data is what a graph is worst at: with ef=256 one point in a hundred does not find itself.
        matches = [self.client.ok(f"SEARCH {self.name} {harness.f32(vectors[i])} k=1 ef=256")["matches"][0] for i in range(100)]
        themselves = [match["distance"] for i, match in enumerate(matches) if match["id"] == str(i)]
        self.assertGreaterEqual(len(themselves), 90)
        self.assertEqual(set(themselves), {0})


if __name__ == "__main__":
    harness.main()
