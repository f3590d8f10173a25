#!/usr/bin/env python3
"""Damage is found, named and mended: by CHECK, `vsctl check` and `vsd --check`. This test does it to the mapped files."""

import json
import os
import pathlib
import random
import unittest

import harness
from checks import (CORRUPTION, DEAD, DIM, FAILURE, HEADER, M, OK, USAGE, Files, add_points, fingerprint, kinds,
                    run_check)


class Damage(unittest.TestCase):
    COUNT = 400

    def stopped(self, options=""):
        """A daemon that has ended cleanly, with COUNT points less two, one of them replaced, in the collection c."""
        daemon = harness.Daemon()
        self.addCleanup(daemon.close)
        client = daemon.connect()
        client.ok(f"CREATE c dim={DIM} m={M} seed=1 {options}")
        add_points(client, "c", self.COUNT)
        client.ok("DEL c p10 p11")
        client.ok(f"ADD c p12 {harness.f32([1] * DIM)}")
        self.answers = self.search_all(client)
        daemon.expect_clean_end()
        return daemon

    def search_all(self, client):
        return [match["id"] for match in client.ok(f"SEARCH c {harness.f32([0.5] * DIM)} k=1000 exact=true")["matches"]]

    def offline(self, daemon, *arguments, code):
        """vsd --check, which changes nothing; returns what it prints."""
        before = fingerprint(daemon.directory)
        done = harness.run_vsd("--check", daemon.directory, *arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(fingerprint(daemon.directory), before, "vsd --check changes nothing")
        return done.stdout

    def find_and_mend(self, daemon, kind, deep_only=False):
        """Everything that looks for damage finds this kind; the repair mends it for good."""
        self.find_offline(daemon, kind, deep_only)
        daemon.start()
        self.find_and_mend_online(daemon, kind, deep_only)

    def find_offline(self, daemon, kind, deep_only):
        text = self.offline(daemon, "--deep", code=CORRUPTION)
        self.assertRegex(text, r"^c: [1-9]\d* problems?, ")
        self.assertRegex(text, rf"(?m)^  {kind}: .")
        if deep_only:
            self.assertRegex(self.offline(daemon, code=OK), r"^c: clean, ")

    def find_and_mend_online(self, daemon, kind, deep_only=False):
        client = daemon.connect()
        result = run_check(client, "c", "deep=true")
        self.assertFalse(result["clean"])
        self.assertIn(kind, kinds(result), result)
        self.assertGreaterEqual(result["problems_found"], 1)
        self.assertEqual((result["problems_left"], result["repaired"]), (result["problems_found"], 0))
        self.assertEqual(run_check(client, "c")["clean"], deep_only)

        done = daemon.vsctl("check", "c", "--deep")
        self.assertEqual(done.returncode, CORRUPTION, done.stderr)
        self.assertRegex(done.stdout, rf"(?m)^c +{kind} +.")
        self.assertIn("vsctl check c --deep --repair", done.stderr)
        mended = daemon.vsctl("check", "c", "--deep", "--repair", "--output", "json")
        self.assertEqual(mended.returncode, OK, mended.stdout + mended.stderr)
        report = json.loads(mended.stdout)
        self.assertTrue(report["clean"])
        self.assertGreaterEqual(report["problems_found"], 1)
        self.assertGreaterEqual(report["repaired"], 1)
        self.assertEqual((report["problems_left"], report["problems"]), (0, []))

        self.expect_mended(client)
        daemon.restart()
        self.expect_mended(daemon.connect())
        daemon.expect_clean_end()
        self.assertRegex(self.offline(daemon, "--deep", code=OK), rf"^c: clean, {self.COUNT - 2} points in ")

    def expect_mended(self, client):
        result = run_check(client, "c", "deep=true")
        self.assertTrue(result["clean"], result)
        self.assertEqual((result["problems"], result["problems_found"], result["repaired"]), ([], 0, 0))
        self.assertEqual(result["points"], self.COUNT - 2)
        self.assertGreater(result["recall"], 0.9)
        self.assertEqual(self.search_all(client), self.answers)

    def test_nothing(self):
        daemon = self.stopped()
        text = self.offline(daemon, "--deep", code=OK)
        self.assertRegex(text, rf"^c: clean, {self.COUNT - 2} points in {self.COUNT + 1} slots, recall [01]\.\d+\n$")
        daemon.start()
        self.expect_mended(daemon.connect())
        self.assertIsNone(run_check(daemon.connect(), "c")["recall"])

    def test_link_out_of_range(self):
        daemon = self.stopped()
        files = Files(daemon.directory)
        slot = files.slot_of("p20")
        files.set_links(slot, [0xffffffff] + files.links(slot)[1:])
        self.find_and_mend(daemon, "link")

    def test_link_to_itself(self):
        daemon = self.stopped()
        files = Files(daemon.directory)
        slot = files.slot_of("p20")
        files.set_links(slot, [slot + 1] + files.links(slot)[1:])
        self.find_and_mend(daemon, "link")

    def test_no_way_to_a_point(self):
        daemon = self.stopped()
        files = Files(daemon.directory)
        lost = files.slot_of("p20")
        for slot in range(self.COUNT + 1):
            files.set_links(slot, [0 if link == lost + 1 else link for link in files.links(slot)])
        self.find_and_mend(daemon, "reach")

    def test_one_number_of_a_vector(self):
        for metric in ("l2", "cosine"):
            with self.subTest(metric):
                daemon = self.stopped(f"metric={metric}")
                files = Files(daemon.directory)
                files.set_float(files.slot_of("p30"), 3, 0.123)
                self.find_and_mend(daemon, "vector", deep_only=True)

    def test_dead_flag_of_a_live_point(self):
        files = Files((daemon := self.stopped()).directory)
        self.flag_and_mend(daemon, files.slot_of("p40"), DEAD)

    def test_dead_flag_taken_away(self):
        files = Files((daemon := self.stopped()).directory)
        self.flag_and_mend(daemon, next(slot for slot in range(self.COUNT + 1) if files.row(slot)[3] & DEAD), 0)

    def flag_and_mend(self, daemon, slot, flags):
        """A start takes a row that says other than RocksDB for a loss of RocksDB's; a running daemon mends it."""
        files = Files(daemon.directory)
        files.set_flags(slot, flags)
        before = fingerprint(daemon.directory)
        for arguments in (["--check", daemon.directory], ["--data-dir", daemon.directory, "--listen", "127.0.0.1:0"]):
            done = harness.run_vsd(*arguments)
            self.assertEqual((done.returncode, done.stdout), (CORRUPTION, ""), done.stderr)
            self.assertIn("acknowledged data was lost", done.stderr)
            self.assertIn(str(files.path("rows.dat")), done.stderr)
            self.assertEqual(fingerprint(daemon.directory), before)
        files.set_flags(slot, DEAD - flags)
        daemon.start()
        files.set_flags(slot, flags)
        self.find_and_mend_online(daemon, "liveness")

    def test_much_at_once(self):
        daemon = self.stopped()
        files = Files(daemon.directory)
        numbers = random.Random(2)
        for slot in range(0, self.COUNT, 2):
            files.set_links(slot, [numbers.getrandbits(32) for _ in range(2 * M)])
        for slot in range(0, self.COUNT, 7):
            files.set_float(slot, 0, float("nan"))
        self.find_and_mend(daemon, "link")

    def test_a_damaged_header_is_found_offline_and_rebuilt_by_a_start(self):
        for name in ("rows.dat", "ids.dat", "vectors.dat", "links0.dat", "upper.dat"):
            with self.subTest(name):
                daemon = self.stopped()
                Files(daemon.directory).write(name, -HEADER + 20, b"\x55")
                self.assertRegex(self.offline(daemon, code=CORRUPTION), r"(?m)^  file: .*" + name.replace(".", r"\."))
                daemon.start()
                self.expect_mended(daemon.connect())

    def test_a_shortened_file(self):
        daemon = self.stopped()
        os.truncate(Files(daemon.directory).path("links0.dat"), HEADER + 100)
        self.assertIn("links0.dat", self.offline(daemon, code=CORRUPTION))
        daemon.start()
        self.expect_mended(daemon.connect())

    def test_a_header_that_is_damaged_beneath_a_running_daemon(self):
        daemon = self.stopped()
        daemon.start()
        client = daemon.connect()
        generation = client.ok("STATS c")["generation"]
        Files(daemon.directory).write("vectors.dat", -HEADER + 20, b"\x55")
        self.assertEqual(kinds(run_check(client, "c")), {"file"})
        result = run_check(client, "c", "repair=true")
        self.assertEqual((result["clean"], result["rebuilt"], result["points"]), (True, True, self.COUNT - 2), result)
        self.assertEqual(client.ok("STATS c")["generation"], generation + 1)
        self.expect_mended(client)
        client.ok(f"ADD c new {harness.f32([2] * DIM)}")
        client.ok("DEL c new")
        daemon.restart(kill=True)
        self.expect_mended(daemon.connect())

    def test_a_damaged_database(self):
        daemon = self.stopped()
        (pathlib.Path(daemon.directory) / "rocksdb" / "CURRENT").write_text("nonsense\n")
        before = fingerprint(daemon.directory)
        done = harness.run_vsd("--check", daemon.directory)
        self.assertEqual((done.returncode, done.stdout), (CORRUPTION, ""), done.stderr)
        self.assertRegex(done.stderr, rf"^vsd: cannot check {daemon.directory}: .*CURRENT")
        self.assertEqual(fingerprint(daemon.directory), before)


class Offline(unittest.TestCase):
    def test_beside_a_running_daemon(self):
        with harness.Daemon() as daemon:
            daemon.connect().ok("CREATE c dim=2")
            done = harness.run_vsd("--check", daemon.directory)
            self.assertEqual((done.returncode, done.stdout), (FAILURE, ""), done.stderr)
            self.assertRegex(done.stderr, r"^vsd: .*(process|use|running)")
            daemon.expect_clean_end()
            self.assertEqual(harness.run_vsd("--check", daemon.directory).stdout, "c: clean, 0 points in 0 slots\n")

    def test_no_collections(self):
        with harness.Daemon() as daemon:
            daemon.expect_clean_end()
            done = harness.run_vsd("--check", daemon.directory)
            self.assertEqual((done.returncode, done.stdout), (OK, "no collections\n"), done.stderr)

    def test_a_killed_daemon(self):
        with harness.Daemon() as daemon:
            client = daemon.connect()
            client.ok(f"CREATE c dim={DIM}")
            add_points(client, "c", 300)
            client.ok("CHECKPOINT")
            client.ok("DEL c p1")
            daemon.kill()
            done = harness.run_vsd("--check", daemon.directory, "--deep")
            self.assertEqual(done.returncode, OK, done.stdout + done.stderr)
            self.assertRegex(done.stdout, r"^c: clean, .*1 operations that the next start replays\n$")

    def test_no_data_directory(self):
        done = harness.run_vsd("--check", "/nonexistent")
        self.assertEqual((done.returncode, done.stdout), (FAILURE, ""))
        self.assertRegex(done.stderr, "^vsd: .*/nonexistent")

    def test_usage(self):
        for arguments in (["--check"], ["--check", ""], ["--deep"], ["--check", "d", "--listen", "127.0.0.1:0"],
                          ["--check", "d", "--check-config"], ["--check", "d", "--data-dir", "e"], ["--check", "d", "e"]):
            done = harness.run_vsd(*arguments)
            self.assertEqual((done.returncode, done.stdout), (USAGE, ""), arguments)


if __name__ == "__main__":
    harness.main()
