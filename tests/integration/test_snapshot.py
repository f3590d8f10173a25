"""Snapshots through the real programs: made while clients write, restored, damaged, verified. tests/crash has the kills.

VS_TEST_SEED replays what is damaged.
"""

import json
import os
import pathlib
import random
import shutil
import stat
import tarfile
import tempfile
import threading
import unittest

import checks
import harness

SEED = int(os.environ.get("VS_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
DIM = 16


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="vsd-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)


class Writer(threading.Thread):
    """Sends one operation after the other on points of its own, and remembers them in order."""

    def __init__(self, daemon, name, number):
        super().__init__(daemon=True)
        self.client = daemon.connect()
        self.name, self.number = name, number
        self.chance = random.Random(f"{SEED}/{number}")
        self.sent = []  # (id, version or None for a delete)
        self.acknowledged = 0
        self.stopping = threading.Event()
        self.failure = None

    @staticmethod
    def vector(version):
        chance = random.Random(f"v{version}")
        return harness.to_float32([chance.uniform(-1, 1) for _ in range(DIM)])

    def run(self):
        while not self.stopping.is_set():
            point = f"w{self.number}-{self.chance.randrange(40)}"
            version = len(self.sent)
            delete = self.chance.random() < 0.2
            self.sent.append((point, None if delete else version))
            line = (f"DEL {self.name} {point}" if delete else
                    f"ADD {self.name} {point} {harness.f32(self.vector(version))} {json.dumps({'v': version})}")
            reply = self.client.call(line)
            if reply[0] != "OK":
                self.failure = reply
                return
            self.acknowledged = len(self.sent)

    def state_after(self, count):
        state = {}
        for point, version in self.sent[:count]:
            state[point] = version
        return {point: version for point, version in state.items() if version is not None}


class WhileClientsWrite(Folder):
    def test_a_moment_of_every_writer(self):
        """Of each writer the snapshot has a first part of its operations: all acknowledged before, none twice or torn."""
        for durability in ("always", "none"):
            with self.subTest(durability=durability), \
                    harness.Daemon("--durability", durability, "--threads", "2") as daemon:
                client = daemon.connect()
                client.ok(f"CREATE c dim={DIM} m=8 ef_construction=40 seed=1")
                writers = [Writer(daemon, "c", number) for number in range(4)]
                for writer in writers:
                    writer.start()
                made = []
                for round in range(3):
                    harness.eventually(lambda: all(w.acknowledged > 20 * (round + 1) for w in writers))
                    before = [writer.acknowledged for writer in writers]
                    result = checks.make_snapshot(client, f"s{round}")
                    made.append((result, before, [len(writer.sent) for writer in writers]))
                for writer in writers:
                    writer.stopping.set()
                    writer.join()
                    self.assertIsNone(writer.failure)
                for round, (result, before, after) in enumerate(made):
                    with harness.Daemon("--restore", result["path"],
                                        directory=self.path(f"{durability}{round}")) as restored:
                        found = checks.points_of(restored.connect(), "c")
                    self.assertEqual(result["points"], len(found))
                    for point, (attributes, vector) in found.items():
                        self.assertEqual(harness.to_float32(vector), Writer.vector(attributes["v"]), point)
                    lsn = 0
                    for writer, low, high in zip(writers, before, after):
                        mine = {point: attributes["v"] for point, (attributes, _) in found.items()
                                if point.startswith(f"w{writer.number}-")}
                        parts = [count for count in range(low, high + 1) if writer.state_after(count) == mine]
                        self.assertTrue(parts, f"writer {writer.number}: no first part of its operations, of {low} to "
                                               f"{high}, gives {mine}")
                        lsn += parts[-1]
                    # A delete of what is not there has no LSN, so there are at most as many as operations.
                    self.assertLessEqual(result["collections"][0]["lsn"], lsn)


class Made(Folder):
    """One snapshot that the tests of the class copy."""

    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.mkdtemp(prefix="vsd-test-")
        cls.addClassCleanup(shutil.rmtree, cls.place, ignore_errors=True)
        cls.data = os.path.join(cls.place, "data")
        with harness.Daemon(directory=cls.data) as daemon:
            client = daemon.connect()
            for name, metric in (("a", "l2"), ("b", "cosine"), ("d", "dot")):
                client.ok(f"CREATE {name} dim={checks.DIM} m={checks.M} metric={metric} seed=1")
                checks.add_points(client, name, 200, seed=len(name))
            client.ok("DEL a p3 p4")
            cls.points = {name: checks.points_of(client, name) for name in "abd"}
            cls.snapshot = checks.make_snapshot(client, "monday")["path"]
            # A log with operations in it, not only tables.
            client.ok("ADD a late [1,1,1,1,1,1,1,1]")

    def copy(self, name="copy"):
        shutil.rmtree(self.path(name), ignore_errors=True)
        shutil.copytree(self.snapshot, self.path(name))
        return pathlib.Path(self.path(name))

    def files(self):
        return [entry["path"] for entry in
                json.loads(pathlib.Path(self.snapshot, "manifest.json").read_text())["files"]]

    def expect_all_points(self, *arguments, directory):
        with harness.Daemon(*arguments, directory=directory) as daemon:
            client = daemon.connect()
            for name in "abd":
                self.assertEqual(checks.points_of(client, name), self.points[name])
                self.assertTrue(checks.run_check(client, name, "deep=true")["clean"])


class Restoring(Made):
    def test_restores_a_snapshot_and_serves_it(self):
        before = checks.fingerprint(self.snapshot)
        self.expect_all_points("--restore", self.snapshot, directory=self.path("new/place"))
        self.expect_all_points(directory=self.path("new/place"))
        self.assertEqual(checks.fingerprint(self.snapshot), before)

    def test_modes(self):
        self.expect_all_points("--restore", self.snapshot, directory=self.path("new"))
        for place in (self.path("new"), self.data):
            for path in [pathlib.Path(place), *pathlib.Path(place).rglob("*")]:
                expected = 0o700 if path.is_dir() else 0o600
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), expected, path)

    def test_a_copy_is_a_data_directory(self):
        self.expect_all_points(directory=self.copy())
        checked = harness.run_vsd("--check", self.path("copy"), "--deep")
        self.assertEqual(checked.returncode, 0, checked.stdout)

    def test_every_damage_is_refused(self):
        def flip(path):
            data = bytearray(path.read_bytes())
            data[random.Random(SEED).randrange(len(data))] ^= 1 << random.Random(SEED).randrange(8)
            path.write_bytes(data)

        def cut(path):
            os.truncate(path, path.stat().st_size - 1)

        print(f"seed {SEED}")
        for name in [*self.files(), "manifest.json"]:
            for damage in (flip, cut, os.unlink):
                with self.subTest(file=name, damage=damage.__name__, seed=SEED):
                    copy = self.copy()
                    if copy.joinpath(name).stat().st_size == 0 and damage is not os.unlink:
                        continue
                    damage(copy / name)
                    self.expect_refusal(copy, name)

    def test_a_file_too_many_is_refused(self):
        for name in ("rocksdb/000999.log", "rocksdb/spare", "notes"):
            copy = self.copy()
            copy.joinpath(name).write_text("x")
            self.expect_refusal(copy, name)

    def test_what_is_no_snapshot_is_refused(self):
        self.expect_refusal(self.path("none"), "none")
        self.expect_refusal(self.data, "manifest.json")

    def expect_refusal(self, snapshot, named):
        done = harness.vsd_on(self.path("new"), "--restore", snapshot)
        self.assertEqual(done.returncode, checks.CORRUPTION, done.stderr)
        self.assertIn("restore_failed code=corrupt", done.stderr)
        self.assertIn(named, done.stderr)
        self.assertFalse(os.path.exists(self.path("new")))

    def test_a_later_version_is_refused(self):
        copy = self.copy()
        manifest = copy / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"manifest_version": 1', '"manifest_version": 2'))
        done = harness.vsd_on(self.path("new"), "--restore", copy)
        self.assertEqual(done.returncode, checks.CORRUPTION)
        self.assertIn("use the vsd that made it", done.stderr)

    def test_needs_an_empty_directory(self):
        os.mkdir(self.path("full"))
        pathlib.Path(self.path("full"), "notes").write_text("mine")
        before = checks.fingerprint(self.path("full"))
        done = harness.vsd_on(self.path("full"), "--restore", self.snapshot)
        self.assertEqual(done.returncode, checks.USAGE, done.stderr)
        self.assertIn("notes", done.stderr)
        self.assertEqual(checks.fingerprint(self.path("full")), before)
        os.mkdir(self.path("empty"))
        self.expect_all_points("--restore", self.snapshot, directory=self.path("empty"))
        again = harness.vsd_on(self.path("empty"), "--restore", self.snapshot)
        self.assertEqual(again.returncode, checks.USAGE)
        self.assertIn("start vsd without --restore", again.stderr)

    def test_does_not_serve_a_snapshot_itself(self):
        before = checks.fingerprint(self.snapshot)
        done = harness.vsd_on(self.snapshot)
        self.assertEqual(done.returncode, checks.USAGE, done.stderr)
        self.assertIn("is a snapshot", done.stderr)
        self.assertEqual(checks.fingerprint(self.snapshot), before)

    def test_a_copy_that_is_not_whole_is_refused(self):
        for name in self.files():
            copy = self.copy()
            copy.joinpath(name).unlink()
            done = harness.vsd_on(copy)
            self.assertEqual(done.returncode, checks.CORRUPTION, done.stderr)
            self.assertIn(name, done.stderr)

    def test_snapshots_of_earlier_versions(self):
        """Each of them was made by the vsd of that version, with 60 points of 8 dimensions in `old` and none in `empty`."""
        archives = sorted((harness.PROJECT / "tests/integration/snapshots").glob("*.tar.gz"))
        self.assertTrue(archives)
        for archive in archives:
            with self.subTest(archive=archive.name):
                with tarfile.open(archive) as tar:
                    tar.extractall(self.path(archive.name))
                [snapshot] = pathlib.Path(self.path(archive.name)).iterdir()
                with harness.Daemon("--restore", snapshot, directory=self.path("new-" + archive.name)) as daemon:
                    client = daemon.connect()
                    found = checks.points_of(client, "old")
                    self.assertEqual(sorted(found), sorted(f"p{i}" for i in range(60)))
                    for i in range(60):
                        self.assertEqual(found[f"p{i}"], ({"n": i}, [i] * 8))
                    self.assertEqual(checks.points_of(client, "empty"), {})


class Requests(harness.DaemonTest):
    def test_tags(self):
        self.create()
        for tag in (".x", "a/b", '"a b"', "x" * 65, '""'):
            self.assert_error(f"SNAPSHOT {tag}", "bad_argument")
        self.assert_error("SNAPSHOT a b", "bad_argument")
        self.assert_error("SNAPSHOT delete=true", "bad_argument")
        self.assert_error("SNAPSHOT none delete=true", "not_found")
        result = checks.make_snapshot(self.client, "twice")
        self.assertIn("another tag", self.assert_error("SNAPSHOT twice", "exists"))
        [listed] = self.client.ok("SNAPSHOT")["snapshots"]
        self.assertEqual(listed, result)
        self.assertEqual(self.client.ok("SNAPSHOT twice delete=true"), {"deleted": "twice"})
        self.assertEqual(self.client.ok("SNAPSHOT")["snapshots"], [])

    def test_two_of_the_same_tag_at_once(self):
        self.create()
        replies = self.client.pipeline(["SNAPSHOT same", "SNAPSHOT same"])
        jobs = [checks.wait_for_job(self.client, reply[1]["job"]) for reply in replies if reply[0] == "OK"]
        codes = [reply[1] for reply in replies if reply[0] == "ERR"]
        codes += [job["result"]["code"] for job in jobs if job["state"] == "failed"]
        self.assertEqual(codes, ["exists"])
        self.assertEqual([job["kind"] for job in jobs if job["state"] == "done"], ["snapshot"])
        self.client.ok("SNAPSHOT same delete=true")

    def test_survives_a_drop(self):
        self.create()
        self.client.ok(f"ADD {self.name} p [1,2]")
        result = checks.make_snapshot(self.client, "before")
        self.client.ok(f"DROP {self.name}")
        place = tempfile.mkdtemp(prefix="vsd-test-")
        self.addCleanup(shutil.rmtree, place)
        with harness.Daemon("--restore", result["path"], directory=os.path.join(place, "data")) as restored:
            self.assertEqual(checks.points_of(restored.connect(), self.name), {"p": ({}, [1, 2])})
        self.client.ok("SNAPSHOT before delete=true")

    def test_needs_the_token(self):
        with tempfile.TemporaryDirectory() as place:
            token = pathlib.Path(place, "token")
            token.write_text("secret\n")
            token.chmod(0o600)
            with harness.Daemon("--token-file", token) as daemon:
                self.assertEqual(daemon.connect().error("SNAPSHOT"), "unauthorized")


class Vsctl(Made):
    def verify(self, *arguments):
        return harness.vsctl("snapshot", "verify", "--scratch", self.folder, *arguments)

    def test_create_list_verify_delete(self):
        vsd = harness.program("VSD", "vsd")
        with harness.Daemon(directory=self.path("data")) as daemon:
            client = daemon.connect()
            client.ok("CREATE c dim=8 m=8 seed=1")
            checks.add_points(client, "c", 300)
            made = json.loads(daemon.vsctl("snapshot", "create", "one", "--output", "json", check=True).stdout)
            self.assertEqual((made["tag"], made["points"]), ("one", 300))
            again = daemon.vsctl("snapshot", "create", "one")
            self.assertEqual(again.returncode, checks.FAILURE)
            self.assertIn("already", again.stderr)
            listed = json.loads(daemon.vsctl("snapshot", "list", "--output", "json", check=True).stdout)
            self.assertEqual([one["tag"] for one in listed["snapshots"]], ["one"])
            self.assertIn("one", daemon.vsctl("snapshot", "list", check=True).stdout)
            verdict = daemon.vsctl("snapshot", "verify", "one", "--vsd", vsd, "--scratch", self.folder, "--output", "json")
            self.assertEqual(verdict.returncode, checks.OK, verdict.stderr)
            verdict = json.loads(verdict.stdout)
            self.assertTrue(verdict["clean"])
            [collection] = verdict["collections"]
            self.assertEqual((collection["points"], collection["check"], collection["queried"]), (300, "clean", 100))
            self.assertGreaterEqual(collection["found"], 95)
            self.assertEqual(daemon.vsctl("snapshot", "verify", "none").returncode, checks.NOT_FOUND)
            self.assertEqual(daemon.vsctl("snapshot", "delete", "one").returncode, checks.USAGE)
            daemon.vsctl("snapshot", "delete", "one", "--yes", check=True)
            self.assertEqual(daemon.vsctl("snapshot", "delete", "one", "--yes").returncode, checks.NOT_FOUND)
            self.assertEqual(os.listdir(self.path("data/snapshots")), [])
        self.assertEqual(os.listdir(self.folder), ["data"])

    def test_verify_needs_no_daemon_for_a_directory(self):
        done = self.verify(self.snapshot, "--vsd", harness.program("VSD", "vsd"))
        self.assertEqual(done.returncode, checks.OK, done.stderr)
        self.assertIn("can be restored", done.stderr)

    def test_verify_finds_a_damaged_snapshot(self):
        copy = self.copy()
        [blob, *_] = [name for name in self.files() if name.endswith(".sst")]
        with open(copy / blob, "r+b") as file:
            file.write(b"damage")
        done = self.verify(copy, "--vsd", harness.program("VSD", "vsd"), "--output", "json")
        self.assertEqual(done.returncode, checks.CORRUPTION, done.stderr)
        verdict = json.loads(done.stdout)
        self.assertFalse(verdict["clean"])
        self.assertIn(blob, verdict["problems"][0]["detail"])
        self.assertEqual(os.listdir(self.folder), ["copy"])

    def test_verify_compares_with_the_manifest(self):
        """A vsd that restores something else than it was told."""
        with harness.Daemon(directory=self.path("data")) as daemon:
            client = daemon.connect()
            client.ok("CREATE a dim=8 m=8 seed=1")
            client.ok("CREATE x dim=8 m=8 seed=1")
            checks.add_points(client, "a", 197)
            other = checks.make_snapshot(client, "other")["path"]
        wrong = pathlib.Path(self.path("vsd"))
        wrong.write_text(f"#!/bin/sh\nshift 2\nexec {harness.program('VSD', 'vsd')} --restore {other} \"$@\"\n")
        wrong.chmod(0o700)
        done = self.verify(self.snapshot, "--vsd", wrong, "--output", "json")
        self.assertEqual(done.returncode, checks.CORRUPTION, done.stderr)
        found = {(problem["collection"], problem["kind"]) for problem in json.loads(done.stdout)["problems"]}
        self.assertEqual(found, {("a", "points"), ("a", "scan"), ("b", "missing"), ("d", "missing"), ("x", "surplus")})

    def test_verify_says_why_it_cannot(self):
        done = self.verify(self.snapshot, "--vsd", "/nowhere/vsd")
        self.assertEqual(done.returncode, checks.FAILURE)
        self.assertIn("name it with --vsd", done.stderr)
        self.assertEqual(self.verify(self.path("none")).returncode, checks.NOT_FOUND)
        self.assertEqual(harness.vsctl("snapshot").returncode, checks.USAGE)


if __name__ == "__main__":
    harness.main()
