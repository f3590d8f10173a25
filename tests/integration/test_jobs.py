#!/usr/bin/env python3
"""CHECK, JOBS and CANCEL, `vsctl check` and `vsctl jobs`: what they answer, waiting, cancelling, progress."""

import json
import os
import pty
import random
import signal
import subprocess
import threading
import time

import harness
from checks import (DIM, FAILURE, JOB_KEYS, NOT_FOUND, OK, RESULT_KEYS, UNREACHABLE, USAGE, add_points, run_check,
                    wait_for_job)


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

        def cancel(number):
            reply = self.client.call(f"CANCEL {number}")
            return reply[1]["jobs"] if reply[0] == "OK" else None

        # One that waits, and the first that is not done by now: it runs.
        for choice in (numbers[-1:], numbers[:-2]):
            [job], number = next((jobs, number) for number in choice if (jobs := cancel(number)) is not None)
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
