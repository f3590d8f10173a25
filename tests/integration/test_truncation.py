#!/usr/bin/env python3
"""Another program cuts a mapped file under the running daemon: it says which file and where, ends, and rebuilds."""

import os
import pathlib
import random
import re
import time
import unittest

import harness

HEADER = 4096
DIM = 64
POINTS = 2000
ENDS_WITHIN_S = 20 if "VS_TEST_TIMEOUT_S" not in os.environ else harness.TIMEOUT_S
FATAL = re.compile(r"fatal code=corrupt file=(?P<file>\S+) offset=(?P<offset>\d+) file_bytes=(?P<bytes>\d+) message='.+' "
                   r"action='.+'")


def vector_of(point):
    chance = random.Random(point)
    return harness.to_float32([chance.uniform(-1, 1) for _ in range(DIM)])


class Truncation(unittest.TestCase):
    def setUp(self):
        self.daemon = harness.Daemon("--checkpoint-interval-s", "3600")
        self.addCleanup(self.daemon.close)
        self.client = self.daemon.connect()
        self.client.ok(f"CREATE cut dim={DIM} m=8 ef_construction=60 seed=1")
        self.client.ok("CREATE other dim=2")
        self.client.ok("ADD other a [1,2]")
        self.added = 0
        self.add(POINTS)

    def add(self, count):
        lines = [f"ADD cut p{i} {harness.f32(vector_of(i))} {{\"n\":{i}}}" for i in range(self.added, self.added + count)]
        for reply in self.client.pipeline(lines):
            self.assertEqual(reply[0], "OK", reply)
        self.added += count

    def path(self, name):
        # The first collection that was made has number 1.
        path, = pathlib.Path(self.daemon.directory, "collections", "1").glob(f"*/{name}")
        return path

    def cut(self, name, size=HEADER):
        os.truncate(self.path(name), size)
        return self.path(name)

    def wait_for_end(self):
        begin = time.monotonic()
        code = self.daemon.wait()
        self.assertLess(time.monotonic() - begin, ENDS_WITHIN_S, "vsd was slow to end")
        return code

    def search_until_closed(self):
        try:
            for i in range(self.added):
                self.client.call(f"SEARCH cut {harness.f32(vector_of(i))} k=10")
        except (harness.Closed, OSError):
            return
        self.fail("vsd goes on without a part of its file")

    def check_everything_is_there(self):
        with self.daemon.connect() as client:
            self.assertEqual(client.ok("STATS cut")["live"], self.added)
            for i in range(self.added):
                got = client.ok(f"GET cut p{i} with=vector,attributes")
                self.assertEqual(harness.to_float32(got["vector"]), vector_of(i), i)
                self.assertEqual(got["attributes"], {"n": i})
            for i in random.Random(7).sample(range(self.added), 100):
                match, = client.ok(f"SEARCH cut {harness.f32(vector_of(i))} k=1 ef=200")["matches"]
                self.assertEqual((match["id"], match["distance"]), (f"p{i}", 0))
            self.assertEqual(client.ok("SEARCH other [1,2]")["matches"][0]["id"], "a")


class BusError(Truncation):
    """The missing page is touched."""

    def run_with(self, name, checkpoint):
        if checkpoint:
            self.client.ok("CHECKPOINT")
        path = self.cut(name)
        self.search_until_closed()
        self.assertEqual(self.wait_for_end(), 1, self.daemon.log_text())
        fatal = [line for line in self.daemon.log if "fatal" in line]
        self.assertEqual(len(fatal), 1, self.daemon.log_text())
        self.assertRegex(fatal[0], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 level=critical fatal ")
        match = FATAL.search(fatal[0])
        self.assertTrue(match, fatal[0])
        self.assertEqual(match["file"], str(path))
        self.assertEqual(int(match["bytes"]), HEADER)
        self.assertGreaterEqual(int(match["offset"]), HEADER)
        self.daemon.start()
        rebuilt = any("rebuilding collection=cut" in line for line in self.daemon.log)
        # Without a checkpoint the files are not counted on, and all is replayed from the log.
        self.assertEqual(rebuilt, checkpoint, self.daemon.log_text())
        self.check_everything_is_there()
        self.daemon.expect_clean_end()

    def test_vectors(self):
        self.run_with("vectors.dat", checkpoint=True)

    def test_vectors_before_the_first_checkpoint(self):
        self.run_with("vectors.dat", checkpoint=False)

    def test_links(self):
        self.run_with("links0.dat", checkpoint=True)

    def test_rows(self):
        self.run_with("rows.dat", checkpoint=True)

    def test_writer_runs_into_it(self):
        self.client.ok("CHECKPOINT")
        self.cut("links0.dat")
        with self.assertRaises((harness.Closed, OSError)):
            while True:
                self.client.ok(f"ADD cut late {harness.f32(vector_of(-1))}")
        self.assertEqual(self.wait_for_end(), 1, self.daemon.log_text())
        self.assertRegex(self.daemon.log_text(), FATAL)
        self.daemon.start()
        with self.daemon.connect() as client:
            if client.call("GET cut late")[0] == "OK":  # durable, though not acknowledged
                client.ok("DEL cut late")
        self.check_everything_is_there()
        self.daemon.expect_clean_end()


class Unnoticed(Truncation):
    """Nobody touches the missing page: it must not be counted as synced, and not be filled with zeros."""

    def check_after_end(self, path):
        self.assertIn(str(path), self.daemon.log_text())
        self.assertIn("another program cut it", self.daemon.log_text())
        self.daemon.start()
        self.check_everything_is_there()
        self.daemon.expect_clean_end()

    def cut_last_page(self, name):
        """Within the space that is backed ahead of the points."""
        return self.cut(name, self.path(name).stat().st_size - 100)

    def test_checkpoint(self):
        self.client.ok("CHECKPOINT")
        self.add(1)
        path = self.cut_last_page("vectors.dat")
        with self.assertRaises((harness.Closed, OSError)):
            self.client.call("CHECKPOINT")
        self.assertEqual(self.wait_for_end(), 1)
        self.check_after_end(path)

    def test_clean_end(self):
        path = self.cut_last_page("rows.dat")
        self.assertNotEqual(self.daemon.terminate(), 0)
        self.check_after_end(path)

    def test_growth(self):
        path = self.cut_last_page("ids.dat")
        size = path.stat().st_size
        # More than the backed space has room for.
        ids = [f"long-{i}-" + "x" * 400 for i in range(size // 400 + 10)]
        replies = self.client.pipeline([f"ADD cut {one} {harness.f32(vector_of(-1))}" for one in ids])
        refused = [reply for reply in replies if reply[0] == "ERR"]
        self.assertTrue(refused)
        self.assertEqual(refused[0][:2], ("ERR", "corrupt"))
        self.assertIn(str(path), refused[0][2])
        self.assertEqual(path.stat().st_size, size)
        taken = [one for one, reply in zip(ids, replies) if reply[0] == "OK"]
        self.assertNotEqual(self.daemon.terminate(), 0)
        self.daemon.start()
        with self.daemon.connect() as client:
            for one in taken:
                client.ok(f"GET cut {one}")
            for first in range(0, len(taken), 100):
                client.ok(f"DEL cut {' '.join(taken[first:first + 100])}")
        self.check_everything_is_there()
        self.daemon.expect_clean_end()


if __name__ == "__main__":
    harness.main()
