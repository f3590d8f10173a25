#!/usr/bin/env python3
"""A collection that lives: round after round half of the points are deleted, others come back with other vectors.

After each round the collection is compared with one that is built anew from the same points: recall@10, and whether each
point finds itself. VS_TEST_CHURN=POINTS,ROUNDS makes it longer; 60000,10 is the case of docs/benchmarks.md.
"""

import gzip
import os
import random
import time
import unittest

import harness
from checks import run_check

POINTS, ROUNDS = (int(n) for n in os.environ.get("VS_TEST_CHURN", "5000,3").split(","))
QUERIES = 500
K, EF = 10, 64
RECALL_LOSS_MAX = 0.005
CREATE = "dim=784 metric=l2 m=16 ef_construction=200 seed=1"
SETTLED_S = 300  # a busy machine, a sanitizer


def pixels(path, count):
    numpy = harness.require_numpy()
    with gzip.open(path) as stream:
        return numpy.frombuffer(stream.read(16 + 784 * count), numpy.uint8, offset=16).reshape(-1, 784) / numpy.float32(255)


def search(name, vector, options):
    return f"SEARCH {name} {harness.f32(vector)} {options}"


class Churn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.numpy = harness.require_numpy()
        data = harness.require_fashion_mnist()
        cls.images = pixels(data / "train-images-idx3-ubyte.gz", POINTS)
        cls.queries = pixels(data / "t10k-images-idx3-ubyte.gz", QUERIES)

    def run_all(self, client, lines):
        """The replies to many requests, which are made as they are sent."""
        lines, replies = iter(lines), []
        while True:
            batch = [line for _, line in zip(range(500), lines)]
            if not batch:
                return replies
            for reply in client.pipeline(batch):
                self.assertEqual(reply[0], "OK", reply)
                replies.append(reply[1])

    def add(self, client, name, points):
        self.run_all(client, (f"ADD {name} {one} {harness.f32(vector)}" for one, vector in points.items()))

    def changed(self, chance, vector):
        """Up to half of it becomes another image."""
        share = self.numpy.float32(chance.uniform(0.01, 0.5))
        return (1 - share) * vector + share * self.images[chance.randrange(POINTS)]

    def recall(self, client, name, exact):
        replies = self.run_all(client, (search(name, query, f"k={K} ef={EF}") for query in self.queries))
        return sum(match["distance"] <= bound for reply, bound in zip(replies, exact)
                   for match in reply["matches"]) / (K * QUERIES)

    def missing(self, client, name, points):
        """Those that their own vectors do not find."""
        replies = self.run_all(client, (search(name, vector, f"k=1 ef={EF}") for vector in points.values()))
        return [one for one, reply in zip(points, replies) if reply["matches"][0]["distance"] != 0]

    def churn(self, *options):
        seed = random.SystemRandom().randrange(2**32)
        print(f"seed {seed}", flush=True)
        chance = random.Random(seed)
        with harness.Daemon(*options) as daemon:
            client = daemon.connect()
            client.ok(f"CREATE churn {CREATE}")
            live = {str(i): vector for i, vector in enumerate(self.images)}
            self.add(client, "churn", live)
            gone = {}
            for number in range(1, ROUNDS + 1):
                self.one_round(client, chance, live, gone)
                self.compare(client, number, live)
            self.assertTrue(run_check(client, "churn", "deep=true")["clean"])
            daemon.expect_clean_end()

    def one_round(self, client, chance, live, gone):
        deleted = chance.sample(list(live), len(live) // 2)
        self.run_all(client, ("DEL churn " + " ".join(deleted[i:i + 100]) for i in range(0, len(deleted), 100)))
        gone.update((one, live.pop(one)) for one in deleted)
        back = {one: self.changed(chance, gone.pop(one)) for one in chance.sample(list(gone), POINTS * 3 // 10)}
        # Some of those that live are changed, too.
        back.update((one, self.changed(chance, live[one])) for one in chance.sample(list(live), len(live) // 20))
        for i, (one, vector) in enumerate(back.items()):
            client.ok(f"ADD churn {one} {harness.f32(vector)}")
            if i % 10 == 0:
                matches = client.ok(search("churn", vector, f"k=1 ef={EF}"))["matches"]
                self.assertEqual([(match["id"], match["distance"]) for match in matches], [(one, 0)], "found at once")
        live.update(back)

    def compare(self, client, number, live):
        replies = self.run_all(client, (search("churn", query, f"k={K} exact=true") for query in self.queries))
        exact = [reply["matches"][-1]["distance"] for reply in replies]
        at_once, missing_at_once = self.recall(client, "churn", exact), len(self.missing(client, "churn", live))

        begin, missing = time.monotonic(), {}
        while time.monotonic() - begin < SETTLED_S:
            missing = self.missing(client, "churn", live)
            if not missing:
                break
            time.sleep(2)  # without a request the vacuum takes a core
        settled_s = time.monotonic() - begin
        settled = self.recall(client, "churn", exact)

        client.ok(f"CREATE fresh {CREATE}")
        self.add(client, "fresh", live)
        fresh, missing_fresh = self.recall(client, "fresh", exact), len(self.missing(client, "fresh", live))
        client.ok("DROP fresh")
        stats = client.ok("STATS churn")
        check = run_check(client, "churn", "deep=true")
        print(f"round {number}: live {len(live)}, deleted {stats['deleted']}, generation {stats['generation']}; recall "
              f"{at_once:.4f} at once, {settled:.4f} after {settled_s:.0f} s, built anew {fresh:.4f}; missing themselves "
              f"{missing_at_once} at once, {len(missing)} then, {missing_fresh} of those built anew", flush=True)
        self.assertEqual(stats["live"], len(live))
        self.assertEqual(check["problems"], [])
        self.assertEqual(missing, [], "these do not find themselves")
        self.assertGreaterEqual(at_once, fresh - RECALL_LOSS_MAX)
        self.assertGreaterEqual(settled, fresh - RECALL_LOSS_MAX)

    def test_without_compaction(self):
        self.churn("--compact-at-percent", "0")

    def test_with_compaction(self):
        self.churn()


if __name__ == "__main__":
    harness.main()
