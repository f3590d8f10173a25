#!/usr/bin/env python3
"""CHECK, JOBS and CANCEL, `vsctl check` and `vsctl jobs`, `vsd --check`: what is damaged is found, named and mended.

Damage is done by this test to the files of a vsd that was stopped; docs/format.md says what lies where.
"""

import hashlib
import json
import os
import pathlib
import pty
import random
import signal
import struct
import subprocess
import threading
import time
import unittest

import harness

OK, FAILURE, USAGE, NOT_FOUND, UNREACHABLE, CORRUPTION = 0, 1, 2, 3, 4, 5
DIM = 8
M = 8
HEADER = 4096
ROW = struct.Struct("<QQII")
DEAD = 1
RESULT_KEYS = {"clean", "problems", "repaired", "problems_found", "problems_left", "rebuilt", "points", "slots", "recall"}
JOB_KEYS = {"job", "kind", "collection", "state", "percent", "rate", "eta_s", "result"}


def add_points(client, name, count, dim=DIM, seed=1):
    """p0, p1, … with random vectors."""
    numbers = random.Random(seed)
    lines = [f"ADD {name} p{i} {harness.f32([numbers.gauss(0, 1) for _ in range(dim)])}" for i in range(count)]
    for begin in range(0, count, 500):
        for reply in client.pipeline(lines[begin:begin + 500]):
            if reply[0] != "OK":
                raise AssertionError(reply)


def wait_for_job(client, number):
    """The job when it has ended."""
    def ended():
        [job] = client.ok(f"JOBS {number}")["jobs"]
        return job if job["state"] != "running" else None
    return harness.eventually(ended, what=f"the end of job {number}")


def run_check(client, name, options=""):
    """The result of a CHECK that succeeds."""
    job = wait_for_job(client, client.ok(f"CHECK {name} {options}")["job"])
    if job["state"] != "done":
        raise AssertionError(job)
    return job["result"]


def kinds(result):
    return {problem["kind"] for problem in result["problems"]}


def fingerprint(directory):
    """Name, size, time of change and content of every file below."""
    out = {}
    for path in sorted(pathlib.Path(directory).rglob("*")):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        out[str(path.relative_to(directory))] = (status.st_size, status.st_mtime_ns, status.st_mode, content)
    return out


class Files:
    """The mapped files of the only collection in a data directory that nobody uses."""

    def __init__(self, directory):
        [self.folder] = pathlib.Path(directory).glob("collections/*/*")

    def path(self, name):
        return self.folder / name

    def read(self, name, at, size):
        with open(self.path(name), "rb") as file:
            file.seek(HEADER + at)
            return file.read(size)

    def write(self, name, at, data):
        with open(self.path(name), "r+b") as file:
            file.seek(HEADER + at)
            file.write(data)

    def row(self, slot):
        return ROW.unpack(self.read("rows.dat", slot * ROW.size, ROW.size))

    def slot_of(self, one):
        """The slot of the live point with that id."""
        for slot in range(1 << 20):
            lsn, begin, size, flags = self.row(slot)
            if lsn == 0:
                break
            if not flags & DEAD and self.read("ids.dat", begin, size) == one.encode():
                return slot
        raise AssertionError(f"no slot of {one!r}")

    def links(self, slot):
        return list(struct.unpack(f"<{2 * M}I", self.read("links0.dat", slot * 8 * M, 8 * M)))

    def set_links(self, slot, links):
        self.write("links0.dat", slot * 8 * M, struct.pack(f"<{2 * M}I", *links))

    def set_float(self, slot, index, value):
        stride = (4 * DIM + 63) // 64 * 64
        self.write("vectors.dat", slot * stride + 4 * index, struct.pack("<f", value))

    def set_flags(self, slot, flags):
        self.write("rows.dat", slot * ROW.size + 20, struct.pack("<I", flags))


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
        text = self.offline(daemon, "--deep", code=CORRUPTION)
        self.assertRegex(text, r"^c: [1-9]\d* problems?, ")
        self.assertRegex(text, rf"(?m)^  {kind}: .")
        if deep_only:
            self.assertRegex(self.offline(daemon, code=OK), r"^c: clean, ")

        daemon.start()
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
        daemon = self.stopped()
        files = Files(daemon.directory)
        files.set_flags(files.slot_of("p40"), DEAD)
        self.find_and_mend(daemon, "liveness")

    def test_dead_flag_taken_away(self):
        daemon = self.stopped()
        files = Files(daemon.directory)
        for slot in range(self.COUNT + 1):
            if files.row(slot)[3] & DEAD:
                files.set_flags(slot, 0)
                break
        self.find_and_mend(daemon, "liveness")

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


class Verbs(harness.DaemonTest):
    def test_a_job_from_begin_to_end(self):
        self.create(DIM)
        add_points(self.client, self.name, 200)
        number = self.client.ok(f"CHECK {self.name} deep=true")["job"]
        self.assertIsInstance(number, int)
        job = wait_for_job(self.client, number)
        self.assertEqual(set(job), JOB_KEYS)
        self.assertEqual((job["job"], job["kind"], job["collection"], job["state"], job["percent"], job["eta_s"]),
                         (number, "check", self.name, "done", 100, None))
        self.assertGreater(job["rate"], 0)
        self.assertEqual(set(job["result"]), RESULT_KEYS)
        self.assertEqual((job["result"]["clean"], job["result"]["points"], job["result"]["slots"]), (True, 200, 200))
        self.assertIn(job, self.client.ok("JOBS")["jobs"])
        self.assertEqual(self.client.ok(f"CHECK {self.name} deep=false repair=true")["job"], number + 1)

    def test_an_empty_collection(self):
        self.create(DIM)
        for options in ("", "deep=true", "deep=true repair=true"):
            result = run_check(self.client, self.name, options)
            self.assertEqual((result["clean"], result["points"], result["repaired"]), (True, 0, 0), options)

    def test_errors(self):
        self.create()
        self.assert_error("CHECK nothing", "not_found")
        self.assert_error("CHECK", "bad_argument")
        self.assert_error("CHECK .x", "bad_argument")
        for option in ("deep=1", "deep=yes", "repair=", "repair=maybe", "quick=true", "more"):
            self.assert_error(f"CHECK {self.name} {option}", "bad_argument")
        jobs = self.client.ok("JOBS")["jobs"]
        self.assertNotIn(self.name, [job["collection"] for job in jobs])
        for number in ("0", "-1", "x", "1.5", "99999999999999999999"):
            self.assert_error(f"JOBS {number}", "bad_argument")
            self.assert_error(f"CANCEL {number}", "bad_argument")
        self.assert_error("JOBS 1000000", "not_found")
        self.assert_error("CANCEL 1000000", "not_found")
        self.assert_error("CANCEL", "bad_argument")
        self.assert_error("JOBS 1 2", "bad_argument")
        number = self.client.ok(f"CHECK {self.name}")["job"]
        wait_for_job(self.client, number)
        self.assertIn("done", self.assert_error(f"CANCEL {number}", "bad_argument"))

    def test_clean_while_points_are_written(self):
        self.create(DIM)
        add_points(self.client, self.name, 500)
        over = threading.Event()

        def write():
            client = self.daemon.connect()
            numbers = random.Random(3)
            while not over.is_set():
                lines = []
                for _ in range(50):
                    one = f"p{numbers.randrange(600)}"
                    vector = harness.f32([numbers.gauss(0, 1) for _ in range(DIM)])
                    lines.append(f"DEL {self.name} {one}" if numbers.random() < 0.3 else f"ADD {self.name} {one} {vector}")
                client.pipeline(lines)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for options in ("deep=true", "", "deep=true repair=true", "deep=true"):
                result = run_check(self.client, self.name, options)
                self.assertTrue(result["clean"], result)
                self.assertEqual(result["problems_found"], 0, result)
        finally:
            over.set()
            writer.join()


class Queue(harness.DaemonTest):
    """Jobs that take long enough to be caught while they wait or run."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        client = cls.daemon.connect()
        client.ok("CREATE big dim=64 ef_construction=40 seed=1")
        add_points(client, "big", 6000, dim=64)

    def tearDown(self):
        self.cancel_all()
        super().tearDown()

    def cancel_all(self):
        for job in reversed(self.client.ok("JOBS")["jobs"]):
            if job["state"] == "running":
                self.client.call(f"CANCEL {job['job']}")
        harness.eventually(lambda: all(job["state"] != "running" for job in self.client.ok("JOBS")["jobs"]))

    def keep_busy(self, count=40):
        return [reply[1]["job"] for reply in self.client.pipeline(["CHECK big deep=true"] * count)]

    def test_cancel(self):
        numbers = self.keep_busy()
        for number in (numbers[-1], numbers[0]):
            [job] = self.client.ok(f"CANCEL {number}")["jobs"]
            self.assertIn(job["state"], {"running", "cancelled"})
            self.assertEqual((job["job"], job["result"]), (number, None))
            job = wait_for_job(self.client, number)
            self.assertEqual((job["state"], job["result"], job["eta_s"]), ("cancelled", None, None))
            self.assertIn("cancelled", self.assert_error(f"CANCEL {number}", "bad_argument"))
        waiting = self.client.ok(f"JOBS {numbers[-2]}")["jobs"][0]
        self.assertEqual((waiting["state"], waiting["percent"], waiting["rate"], waiting["eta_s"]),
                         ("running", 0, None, None))

    def test_progress(self):
        number = self.keep_busy(1)[0]
        seen = []
        while True:
            [job] = self.client.ok(f"JOBS {number}")["jobs"]
            if job["state"] != "running":
                break
            seen.append(job["percent"])
            if job["rate"] and job["percent"]:
                self.assertIsNotNone(job["eta_s"])
        self.assertEqual(seen, sorted(seen))
        self.assertTrue(any(0 < percent < 100 for percent in seen), seen)

    def test_only_so_many_wait(self):
        replies = self.client.pipeline(["CHECK big deep=true"] * 100)
        refused = [reply for reply in replies if reply[0] == "ERR"]
        self.assertTrue(refused)
        self.assertEqual({reply[1] for reply in refused}, {"busy"})
        self.assertRegex(refused[0][2], "64 jobs")
        self.assertLessEqual(len(replies) - len(refused), 80)

    def test_the_last_hundred_are_kept(self):
        self.client.ok(f"CREATE {self.name} dim=2")
        for _ in range(3):
            for reply in self.client.pipeline([f"CHECK {self.name}"] * 50):
                wait_for_job(self.client, reply[1]["job"])
        numbers = [job["job"] for job in self.client.ok("JOBS")["jobs"]]
        self.assertEqual(len(numbers), 100)
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + 100)))
        self.assert_error(f"JOBS {numbers[0] - 1}", "not_found")

    def test_a_collection_that_is_dropped_before_its_turn(self):
        self.client.ok(f"CREATE {self.name} dim=2")
        self.keep_busy(10)
        number = self.client.ok(f"CHECK {self.name}")["job"]
        self.client.ok(f"DROP {self.name}")
        for job in self.client.ok("JOBS")["jobs"]:
            if job["state"] == "running" and job["job"] != number:
                self.client.call(f"CANCEL {job['job']}")
        job = wait_for_job(self.client, number)
        self.assertEqual((job["state"], job["result"]["code"]), ("failed", "not_found"))
        self.assertIn(self.name, job["result"]["message"])

    def vsctl_beside(self, *arguments, stderr=subprocess.PIPE):
        command = [harness.program("VSCTL", "vsctl"), "--server", self.daemon.server, *arguments]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)

    def test_ctrl_c_cancels_on_the_server(self):
        self.keep_busy(60)
        before = {job["job"] for job in self.client.ok("JOBS")["jobs"]}
        with self.vsctl_beside("check", "big") as process:
            [number] = harness.eventually(lambda: {job["job"] for job in self.client.ok("JOBS")["jobs"]} - before)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual((process.returncode, out), (FAILURE, b""), err)
        self.assertRegex(err.decode(), rf"^vsctl: cancelling job {number} on the server")
        self.assertRegex(err.decode(), rf"(?m)^vsctl: the check of 'big' was cancelled on the server \(job {number}\)$")
        self.assertEqual(wait_for_job(self.client, number)["state"], "cancelled")

    def test_progress_bar_on_a_terminal(self):
        ours, theirs = pty.openpty()
        self.keep_busy(5)
        with self.vsctl_beside("check", "big", "--deep", stderr=theirs) as process:
            os.close(theirs)
            shown = b""
            try:
                while data := os.read(ours, 4096):
                    shown += data
            except OSError:
                pass  # the end of a pseudo-terminal
            process.communicate(timeout=harness.TIMEOUT_S)
        os.close(ours)
        self.assertEqual(process.returncode, OK)
        self.assertRegex(shown.decode(), r"checking big \[[#.]{24}\] +\d+%  (waiting|\d+/s  ETA \d+:\d\d)")
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown[-20:])

    def test_vsctl_jobs(self):
        numbers = self.keep_busy(20)
        shown = self.daemon.vsctl("jobs", check=True).stdout
        self.assertRegex(shown, r"^job +kind +collection +state +percent +rate +ETA +result\n")
        self.assertRegex(shown, rf"(?m)^ *{numbers[-1]}  check  big +running +0\.0")
        done = self.daemon.vsctl("jobs", "--cancel", numbers[-1], check=True)
        self.assertRegex(done.stdout, rf"(?m)^ *{numbers[-1]}  check  big +cancelled ")
        self.assertEqual(self.daemon.vsctl("jobs", "--cancel", numbers[-1]).returncode, USAGE)
        with self.vsctl_beside("jobs", "--watch", "--output", "json") as process:
            first = json.loads(process.stdout.readline())
            self.assertIn("running", [job["state"] for job in first["jobs"]])
            self.cancel_all()
            rest = process.stdout.read().splitlines()
            self.assertEqual(process.wait(harness.TIMEOUT_S), OK)
        self.assertNotIn("running", [job["state"] for job in json.loads(rest[-1])["jobs"]])

    def test_shutdown_does_not_wait_for_jobs(self):
        with harness.Daemon() as daemon:
            client = daemon.connect()
            client.ok("CREATE big dim=64 ef_construction=40 seed=1")
            add_points(client, "big", 3000, dim=64)
            numbers = [reply[1]["job"] for reply in client.pipeline(["CHECK big deep=true repair=true"] * 60)]
            begin = time.monotonic()
            daemon.expect_clean_end()
            self.assertLess(time.monotonic() - begin, 60)
            self.assertIn(f"job_cancelled job={numbers[-1]} ", daemon.log_text())


class Vsctl(harness.DaemonTest):
    def run_ctl(self, *arguments, code=OK):
        done = self.daemon.vsctl(*arguments)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stderr}")
        return done

    def json(self, *arguments):
        return json.loads(self.run_ctl(*arguments, "--output", "json").stdout)

    def test_check(self):
        self.create(DIM)
        add_points(self.client, self.name, 50)
        header = r"collection +clean +points +slots +problems_found +repaired +problems_left +rebuilt +recall\n"
        done = self.run_ctl("check", self.name)
        self.assertRegex(done.stdout, rf"^{header}{self.name} +true +50 +50 +0 +0 +0 +false +\n$")
        self.assertEqual(done.stderr, "")
        one = self.json("check", self.name, "--deep")
        self.assertEqual(set(one), RESULT_KEYS | {"collection", "job"})
        self.assertEqual((one["collection"], one["clean"], one["points"]), (self.name, True, 50))
        self.assertGreater(one["recall"], 0.9)
        every = self.json("check", "--all")
        self.assertEqual((set(every), every["clean"]), ({"clean", "checks"}, True))
        self.assertIn(self.name, [check["collection"] for check in every["checks"]])
        self.assertEqual([check["collection"] for check in self.json("check")["checks"]],
                         [check["collection"] for check in every["checks"]])
        csv = self.run_ctl("check", self.name, "--output", "csv").stdout.splitlines()
        self.assertEqual(csv, ["collection,clean,points,slots,problems_found,repaired,problems_left,rebuilt,recall",
                               f"{self.name},true,50,50,0,0,0,false,"])

    def test_jobs(self):
        self.create(DIM)
        number = self.json("check", self.name)["job"]
        self.assertEqual([set(job) for job in self.json("jobs", number)["jobs"]], [JOB_KEYS])
        self.assertRegex(self.run_ctl("jobs", number).stdout, r"(?m)^result\.clean +true$")
        self.assertRegex(self.run_ctl("jobs").stdout, rf"(?m)^ *{number} +check +{self.name} +done +100\.0 .*clean$")
        self.assertRegex(self.run_ctl("jobs", "--output", "csv").stdout, rf'(?m)^{number},check,{self.name},done,100,.*"')
        self.run_ctl("jobs", "--watch")

    def test_errors(self):
        self.run_ctl("check", "nothing", code=NOT_FOUND)
        self.run_ctl("jobs", "1000000", code=NOT_FOUND)
        self.run_ctl("jobs", "--cancel", "1000000", code=NOT_FOUND)
        for arguments in (["check", "x", "--all"], ["check", "a/b"], ["check", "x", "y"], ["check", "--nonsense"],
                          ["jobs", "0"], ["jobs", "x"], ["jobs", "-1"], ["jobs", "1", "--cancel", "2"],
                          ["jobs", "--cancel", "1", "--watch"], ["jobs", "--cancel"], ["jobs", "1", "2"]):
            done = self.run_ctl(*arguments, code=USAGE)
            self.assertEqual(done.stdout, "", arguments)
            self.assertRegex(done.stderr, "^vsctl: ")
        self.assertEqual(harness.vsctl("check", "--server", "127.0.0.1:1").returncode, UNREACHABLE)

    def test_help(self):
        overview = harness.vsctl("--help", check=True).stdout
        for command in ("check", "jobs"):
            self.assertRegex(overview, rf"(?m)^  {command} ")
            self.assertRegex(harness.vsctl(command, "--help", check=True).stdout, rf"Examples:\n +vsctl {command}")

    def test_nothing_to_check(self):
        with harness.Daemon() as daemon:
            self.assertEqual(json.loads(daemon.vsctl("check", "--output", "json", check=True).stdout),
                             {"clean": True, "checks": []})
            self.assertIn("no jobs", daemon.vsctl("jobs", check=True).stderr)


if __name__ == "__main__":
    harness.main()
