#!/usr/bin/env python3
"""Fashion-MNIST through vsctl and the socket: the known answer, recall, restart."""

import gzip
import json
import unittest

import harness

KNOWN = [("18094", 1.8914), ("53939", 2.6745), ("18352", 2.7784), ("52468", 2.8613), ("15081", 2.9884),
         ("29768", 3.0169), ("21342", 3.1030), ("17346", 3.2311), ("45266", 3.2524), ("18339", 3.2607)]
# recall@10 over all test images, by metric and ef
RECALL = {"l2": {32: 0.988, 128: 0.998}, "cosine": {32: 0.978, 128: 0.993}}


def image(path, row):
    with gzip.open(path) as stream:
        stream.seek(16 + row * 784)
        return [pixel / 255 for pixel in stream.read(784)]


class FashionMnist(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = harness.require_fashion_mnist()
        cls.daemon = harness.Daemon()
        cls.test_images = cls.data / "t10k-images-idx3-ubyte.gz"

    @classmethod
    def tearDownClass(cls):
        try:
            cls.daemon.expect_clean_end()
        finally:
            cls.daemon.close()

    def import_all(self, name, metric, daemon=None):
        daemon = daemon or self.daemon
        client = daemon.connect()
        if name in {entry["name"] for entry in client.ok("LIST")["collections"]}:
            return client
        daemon.vsctl("import", name, self.data / "train-images-idx3-ubyte.gz", "--labels",
                     self.data / "train-labels-idx1-ubyte.gz", "--scale", "1/255", "--metric", metric, "--m", "16",
                     "--ef-construction", "200", check=True)
        self.assertEqual(client.ok(f"STATS {name}")["live"], 60000)
        return client

    def assert_known(self, matches):
        self.assertEqual([match["id"] for match in matches], [one for one, _ in KNOWN])
        for match, (_, distance) in zip(matches, KNOWN):
            self.assertAlmostEqual(match["distance"], distance, delta=0.00006)

    def check_recall(self, name, metric, daemon=None):
        """recall@10 by ef, each at least its bound."""
        truth = self.data / f"neighbors-{metric}-ids.npy"
        if not truth.is_file():
            self.skipTest(f"the data set has no truth file {truth.name}")
        done = (daemon or self.daemon).vsctl("--output", "json", "eval", name, "--queries", self.test_images, "--truth",
                                             truth, "--scale", "1/255", "-k", "10", "--ef", "32,128", check=True)
        print(done.stdout)
        rows = {row["ef"]: row["recall"] for row in harness_rows(done.stdout)}
        for ef, least in RECALL[metric].items():
            self.assertGreaterEqual(rows[ef], least, f"recall@10 of {metric} with ef={ef}")
        return rows

    def test_1_known_answer(self):
        client = self.import_all("l2", "l2")
        query = harness.f32(image(self.test_images, 0))
        self.assert_known(client.ok(f"SEARCH l2 {query} exact=true")["matches"])
        self.assert_known(client.ok(f"SEARCH l2 {query} ef=128")["matches"])
        nearest = client.ok(f"SEARCH l2 {query} k=1 with=attributes")["matches"][0]
        self.assertEqual(nearest["attributes"]["label"], 9)

    def test_2_recall_l2(self):
        self.import_all("l2", "l2")
        self.check_recall("l2", "l2")

    def test_3_recall_cosine(self):
        self.import_all("cosine", "cosine")
        self.check_recall("cosine", "cosine")

    def test_4_restart(self):
        self.import_all("l2", "l2")
        seconds = self.daemon.restart()
        print(f"ready {seconds:.3f} s after a clean shutdown")
        self.assertLess(seconds, 10)
        client = self.daemon.connect()
        self.assertEqual(client.ok("STATS l2")["live"], 60000)
        self.assert_known(client.ok(f"SEARCH l2 {harness.f32(image(self.test_images, 0))} ef=128")["matches"])

    def test_5_after_kill(self):
        client = self.import_all("l2", "l2")
        client.ok("ADD l2 late " + harness.f32(image(self.test_images, 0)))
        seconds = self.daemon.restart(kill=True)
        print(f"ready {seconds:.3f} s after kill -9")
        query = harness.f32(image(self.test_images, 0))
        matches = self.daemon.connect().ok(f"SEARCH l2 {query} k=11 ef=128")["matches"]
        self.assertEqual((matches[0]["id"], matches[0]["distance"]), ("late", 0))
        self.assert_known(matches[1:])

    def test_6_threads_do_not_change_recall(self):
        recalls = []
        for threads in ("1", "2"):
            with harness.Daemon("--threads", threads) as daemon:
                self.import_all("l2", "l2", daemon)
                recalls.append(self.check_recall("l2", "l2", daemon))
        for ef in RECALL["l2"]:
            self.assertAlmostEqual(recalls[0][ef], recalls[1][ef], delta=0.002, msg=f"1 and 2 threads, ef={ef}")


def harness_rows(text):
    """The rows of `vsctl --output json eval`: a list, or an object that holds one."""
    value = json.loads(text)
    if isinstance(value, dict):
        [value] = [part for part in value.values() if isinstance(part, list)]
    return value


if __name__ == "__main__":
    harness.main()
