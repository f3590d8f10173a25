#!/usr/bin/env python3
"""REBUILD and COMPACT, `vsctl rebuild` and `vsctl compact`, and compaction by itself."""

import json
import pathlib
import unittest

import harness
from checks import DIM, NOT_FOUND, OK, USAGE, add_points, run_check, wait_for_job

RESULT_KEYS = {"generation", "points", "deleted_slots", "bytes_before", "bytes", "stall_ms", "dim", "metric", "m",
               "ef_construction", "ml", "ef_search", "seed", "codes"}


def delete(client, name, first, last):
    client.ok(f"DEL {name} " + " ".join(f"p{i}" for i in range(first, last)))


class Verbs(harness.DaemonTest):
    arguments = ("--compact-at-percent", "0")  # it would begin before the test asks for it

    def run_job(self, request):
        job = wait_for_job(self.client, self.client.ok(request)["job"])
        self.assertEqual(job["state"], "done", job)
        return job

    def test_compact_drops_deleted_slots(self):
        self.create(64)
        add_points(self.client, self.name, 1000, dim=64)
        delete(self.client, self.name, 100, 600)
        self.assertEqual(self.client.ok(f"STATS {self.name}")["deleted"], 500)
        before = self.client.ok(f"SEARCH {self.name} id=p50 k=20 ef=400")["matches"]
        job = self.run_job(f"COMPACT {self.name}")
        self.assertEqual((job["kind"], job["collection"], job["percent"]), ("compact", self.name, 100))
        result = job["result"]
        self.assertEqual(set(result), RESULT_KEYS)
        self.assertEqual((result["generation"], result["points"], result["deleted_slots"]), (2, 500, 500))
        self.assertLess(result["bytes"], result["bytes_before"])
        stats = self.client.ok(f"STATS {self.name}")
        self.assertEqual((stats["live"], stats["deleted"], stats["generation"]), (500, 0, 2))
        self.assertEqual(self.client.ok(f"SEARCH {self.name} id=p50 k=20 ef=400")["matches"], before)
        self.assertTrue(run_check(self.client, self.name, "deep=true")["clean"])

    def test_rebuild_with_other_options_which_stay_after_a_restart(self):
        self.create(DIM, "m=8 ef_construction=50")
        add_points(self.client, self.name, 300)
        result = self.run_job(f"REBUILD {self.name} m=12 ef_construction=70 codes=none")["result"]
        self.assertEqual((result["m"], result["ef_construction"]), (12, 70))
        stats = self.client.ok(f"STATS {self.name}")
        self.assertEqual((stats["m"], stats["ef_construction"], stats["dim"], stats["live"]), (12, 70, DIM, 300))
        result = self.run_job(f"REBUILD {self.name} ml=0.7")["result"]
        self.assertEqual((result["m"], result["ml"]), (12, 0.7))
        add_points(self.client, self.name, 350)
        self.daemon.restart(kill=True)
        self.client = self.daemon.connect()
        stats = self.client.ok(f"STATS {self.name}")
        self.assertEqual((stats["m"], stats["ml"], stats["live"], stats["generation"]), (12, 0.7, 350, 3))
        self.assertTrue(run_check(self.client, self.name, "deep=true")["clean"])
        self.assertEqual(self.client.ok(f"SEARCH {self.name} id=p5 k=3 ef=400")["matches"],
                         self.client.ok(f"SEARCH {self.name} id=p5 k=3 exact=true")["matches"])

    def test_alter_changes_ef_search_durably(self):
        self.create(DIM, "ef_search=20")
        add_points(self.client, self.name, 300)
        search = f"SEARCH {self.name} id=p5 explain=true"
        self.assertEqual(self.client.ok(search)["explain"]["ef"], 20)
        reply = self.client.ok(f"ALTER {self.name} ef_search=90")
        self.assertEqual((reply["name"], reply["ef_search"], reply["dim"]), (self.name, 90, DIM))
        self.assertEqual(self.client.ok(search)["explain"]["ef"], 90)
        before = self.client.ok(f"STATS {self.name}")
        self.daemon.restart(kill=True)
        self.client = self.daemon.connect()
        after = self.client.ok(f"STATS {self.name}")
        self.assertEqual((after["ef_search"], after["generation"]), (90, before["generation"]))
        self.assertEqual(self.client.ok(search)["explain"]["ef"], 90)
        self.assertEqual(self.client.ok("HELP alter")["commands"][0]["usage"], "ALTER name ef_search=64")
        self.run_job(f"REBUILD {self.name} m=12")
        self.assertEqual(self.client.ok(f"STATS {self.name}")["ef_search"], 90)
        for options in ("", "ef_search=0", "ef_search=10001", "ef_search=x", "ef_search=", "m=8", "ef_search=5 m=8",
                        "ef_search=5 more", "5"):
            self.assert_error(f"ALTER {self.name} {options}", "bad_argument")
        self.assert_error("ALTER nothing ef_search=5", "not_found")
        self.assert_error("ALTER", "bad_argument")
        self.assertEqual(self.client.ok(f"STATS {self.name}")["ef_search"], 90)

    def test_errors(self):
        self.create(DIM)
        for verb in ("REBUILD", "COMPACT"):
            self.assert_error(f"{verb} nothing", "not_found")
            self.assert_error(verb, "bad_argument")
            self.assert_error(f"{verb} {self.name} more", "bad_argument")
        for option in ("m=1", "m=257", "m=x", "m=", "ef_construction=0", "ml=0", "ml=-1", "ml=nan", "ml=5", "codes=pq",
                       "codes=", "dim=4", "metric=dot", "seed=1", "ef_search=10"):
            self.assert_error(f"REBUILD {self.name} {option}", "bad_argument")
        self.assert_error(f"COMPACT {self.name} m=8", "bad_argument")
        self.assertEqual(self.client.ok(f"STATS {self.name}")["generation"], 1)

    def test_a_cancelled_one_changes_nothing(self):
        self.create(DIM, "ef_construction=2000")
        add_points(self.client, self.name, 3000)
        number = self.client.ok(f"REBUILD {self.name}")["job"]
        self.client.ok(f"CANCEL {number}")
        job = wait_for_job(self.client, number)
        self.assertEqual((job["state"], job["result"]), ("cancelled", None))
        stats = self.client.ok(f"STATS {self.name}")
        self.assertEqual((stats["generation"], stats["live"]), (1, 3000))
        generations = pathlib.Path(self.daemon.directory, "collections").glob("*/2")
        self.assertEqual(list(generations), [])

    def test_a_dropped_collection_ends_it(self):
        self.create(DIM, "ef_construction=2000")
        add_points(self.client, self.name, 2000)
        number = self.client.ok(f"REBUILD {self.name}")["job"]
        self.client.ok(f"DROP {self.name}")
        job = wait_for_job(self.client, number)
        self.assertEqual((job["state"], job["result"]["code"]), ("failed", "not_found"), job)


class AutomaticCompaction(unittest.TestCase):
    def delete_a_third(self, daemon):
        client = daemon.connect()
        client.ok(f"CREATE points dim={DIM} m=8 ef_construction=50")
        add_points(client, "points", 1500)
        delete(client, "points", 0, 500)
        return client

    def test_begins_at_a_quarter(self):
        with harness.Daemon() as daemon:
            client = self.delete_a_third(daemon)
            harness.eventually(lambda: client.ok("STATS points")["generation"] == 2, what="a compaction")
            [job] = client.ok("JOBS")["jobs"]
            self.assertEqual((job["kind"], job["collection"]), ("compact", "points"))
            self.assertEqual(client.ok("STATS points")["deleted"], 0)

    def test_can_be_switched_off(self):
        with harness.Daemon("--compact-at-percent", "0") as daemon:
            client = self.delete_a_third(daemon)
            with self.assertRaises(AssertionError):
                harness.eventually(lambda: client.ok("JOBS")["jobs"], 3, "a job")
            self.assertEqual(client.ok("STATS points")["deleted"], 500)


class Vsctl(harness.DaemonTest):
    def test_compact_and_rebuild(self):
        self.create(DIM, "m=8 ef_construction=50")
        add_points(self.client, self.name, 200)
        delete(self.client, self.name, 0, 50)
        done = self.daemon.vsctl("compact", self.name, "--output", "json")
        self.assertEqual(done.returncode, OK, done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual((result["collection"], result["points"], result["deleted_slots"]), (self.name, 150, 50))
        done = self.daemon.vsctl("rebuild", self.name, "--m", "10", "--ef-construction", "60", "--ml", "0.4")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^m +10$")
        stats = self.client.ok(f"STATS {self.name}")
        self.assertEqual((stats["m"], stats["ef_construction"], stats["ml"], stats["generation"]), (10, 60, 0.4, 3))
        done = self.daemon.vsctl("jobs")
        self.assertRegex(done.stdout, "150 points, 50 deleted went")

    def test_no_wait(self):
        self.create(DIM)
        done = self.daemon.vsctl("rebuild", self.name, "--no-wait", "--output", "json")
        self.assertEqual(done.returncode, OK, done.stderr)
        job = wait_for_job(self.client, json.loads(done.stdout)["job"])
        self.assertEqual((job["kind"], job["state"]), ("rebuild", "done"))

    def test_errors(self):
        self.create(DIM)
        self.assertEqual(self.daemon.vsctl("compact", "nothing").returncode, NOT_FOUND)
        self.assertEqual(self.daemon.vsctl("rebuild", self.name, "--m", "1").returncode, USAGE)
        self.assertEqual(self.daemon.vsctl("compact", self.name, "--m", "8").returncode, USAGE)
        self.assertEqual(self.daemon.vsctl("rebuild").returncode, USAGE)
        done = self.daemon.vsctl("rebuild", self.name, "--codes", "pq8")
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("codes", done.stderr)


if __name__ == "__main__":
    harness.main()
