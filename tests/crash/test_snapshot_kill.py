"""Snapshots are killed halfway: while they are made, and while they are restored; and made without room.

VS_TEST_SEED replays the moments of the kills, VS_TEST_SNAPSHOT_KILLS says how many there are.
"""

import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import time
import unittest

import checks
import harness
import small_disk

SEED = int(os.environ.get("VS_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
KILLS = int(os.environ.get("VS_TEST_SNAPSHOT_KILLS", "10"))


class Kills(unittest.TestCase):
    """kill -9 at random moments. Values of many KiB make copying take longer than building graphs."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="vsd-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def fill(self, client):
        client.ok("CREATE c dim=2 m=4 ef_construction=10 seed=1")
        attributes = json.dumps({"text": "x" * 30_000})
        for reply in client.pipeline([f"ADD c p{i} [{i},1] {attributes}" for i in range(400)]):
            self.assertEqual(reply[0], "OK")

    def expect_whole(self, directory, *arguments):
        with harness.Daemon(*arguments, directory=directory) as daemon:
            self.assertEqual(len(checks.points_of(daemon.connect(), "c")), 400)

    def test_while_a_snapshot_is_made(self):
        print(f"seed {SEED}")
        chance = random.Random(SEED)
        daemon = harness.Daemon(directory=self.path("data"))
        self.addCleanup(daemon.close)
        self.fill(daemon.connect())
        begin = time.monotonic()
        checks.make_snapshot(daemon.connect(), "whole")
        seconds = time.monotonic() - begin
        unfinished = 0
        for kill in range(KILLS):
            daemon.connect().ok(f"SNAPSHOT k{kill}")
            time.sleep(chance.uniform(0, seconds))
            daemon.kill()
            folder = pathlib.Path(self.path("data"), "snapshots")
            unfinished += any(path.name.startswith(".") for path in folder.iterdir())
            daemon.start()
            self.assertEqual([path.name for path in folder.iterdir() if path.name.startswith(".")], [])
            for entry in daemon.connect().ok("SNAPSHOT")["snapshots"]:
                self.assertNotIn("error", entry, f"seed {SEED}, kill {kill}")
                if entry["tag"] == f"k{kill}":
                    self.expect_whole(self.path(f"restored{kill}"), "--restore", entry["path"])
        print(f"{unfinished} of {KILLS} kills left an unfinished snapshot")
        self.expect_whole(self.path("restored"), "--restore", str(folder / "whole"))
        daemon.expect_clean_end()

    def test_while_it_is_restored(self):
        print(f"seed {SEED}")
        chance = random.Random(SEED)
        with harness.Daemon(directory=self.path("data")) as daemon:
            self.fill(daemon.connect())
            snapshot = checks.make_snapshot(daemon.connect(), "whole")["path"]
        begin = time.monotonic()
        self.expect_whole(self.path("measured"), "--restore", snapshot)
        seconds = time.monotonic() - begin
        halfway = 0
        for kill in range(KILLS):
            place = self.path(f"new{kill}")
            command = [harness.program("VSD", "vsd"), "--data-dir", place, "--listen", "127.0.0.1:0"]
            process = subprocess.Popen([*command, "--restore", snapshot], stderr=subprocess.DEVNULL)
            if kill % 2:
                time.sleep(chance.uniform(0, seconds))
            else:  # copying is a small part of the time
                while process.poll() is None and not os.path.isdir(os.path.join(place, "restoring")):
                    time.sleep(0.0005)
                time.sleep(chance.uniform(0, 0.02))
            process.kill()
            process.wait()
            left = set(os.listdir(place)) if os.path.isdir(place) else set()
            if "restoring" in left:
                halfway += 1
                refused = harness.vsd_on(place)
                self.assertEqual(refused.returncode, checks.CORRUPTION, f"seed {SEED}, kill {kill}")
                self.assertIn("a restore into", refused.stderr)
            # Without `restoring` it is all there, or nothing is.
            self.expect_whole(place, *([] if "rocksdb" in left else ["--restore", snapshot]))
            self.assertFalse(os.path.exists(os.path.join(place, "restoring")))
        print(f"{halfway} of {KILLS} kills left a restore halfway")
        self.assertGreater(halfway, 0)


class WithoutRoom(unittest.TestCase):
    def test_a_full_disk(self):
        with small_disk.Disk("tmpfs", 64) as disk, tempfile.TemporaryDirectory() as other:
            data = os.path.join(disk.path, "data")
            oracle = small_disk.Oracle("c", 256)
            with harness.Daemon("--free-space-reserve-mb", "4", directory=data) as daemon:
                client = daemon.connect()
                oracle.create(client)
                for i in range(2000):
                    oracle.answered(f"p{i}", client.call(oracle.add(f"p{i}")))
                ballast = small_disk.Ballast(disk).hold()
                job = checks.wait_for_job(client, client.ok("SNAPSHOT full")["job"])
                self.assertEqual((job["state"], job["result"]["code"]), ("failed", "no_space"), job)
                self.assertIn("make room", job["result"]["message"])
                self.assertEqual(os.listdir(os.path.join(data, "snapshots")), [])
                self.assertEqual(oracle.verify(client, random.Random(SEED)), 2000)
                ballast.release()
                # Without a write in between that would find the room.
                checks.make_snapshot(client, "first")
                client.ok("SNAPSHOT first delete=true")
                harness.eventually(lambda: oracle.answered("after", client.call(oracle.add("after"))))
                path = checks.make_snapshot(client, "fits")["path"]
                shutil.copytree(path, os.path.join(other, "fits"))
                client.ok("SNAPSHOT fits delete=true")
            shutil.rmtree(data)
            ballast = small_disk.Ballast(disk).hold()
            done = harness.vsd_on(data, "--restore", os.path.join(other, "fits"))
            self.assertEqual(done.returncode, checks.FAILURE, done.stderr)
            self.assertIn("code=no_space", done.stderr)
            ballast.release()
            with harness.Daemon("--restore", os.path.join(other, "fits"), directory=data) as daemon:
                self.assertEqual(oracle.verify(daemon.connect(), random.Random(SEED)), 2001)


if __name__ == "__main__":
    harness.main()
