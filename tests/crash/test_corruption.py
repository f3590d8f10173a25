#!/usr/bin/env python3
"""Damages copies of data directories and starts vsd on them: bits flip, files are cut, missing, another's or older.

Whatever was damaged: no crash, no hang, and what is answered OK is what was acknowledged. A refused start ends with 5,
leaves the directory as it is, and says which file and what to do. A collection that is not whole answers ERR corrupt,
while the others serve. CHECK deep finds what remains, a repair and a restart give a clean check, or say what is lost.

Two answers of a damaged file may be worse than before: after flips in links0.dat and upper.dat searches may miss points,
after flips in vectors.dat distances may be wrong, until CHECK deep repair; such cases are counted.

Run alone: test_corruption.py [--seed N] [--rounds N] [--case N] [--keep]. A failure prints the case's number, which with
the seed gives the same damage again (byte for byte but for random UUIDs in the files). For hours: --rounds 100000.
VS_TEST_CORRUPTIONS is another default for --rounds, for slow builds.
"""

import argparse
import collections
import concurrent.futures
import json
import math
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import checks
import damage
import harness

REFUSED = 5
FILE = re.compile(r"CURRENT|MANIFEST|OPTIONS|IDENTITY|\d{6}\.(log|sst|blob)|(rows|ids|vectors|links0|upper)\.dat|"
                  r"rocksdb/|/collections|/rocksdb|format version")
REMEDY = re.compile(r"[Rr]estore|back|[Dd]elete|rebuil|use the vsd")


class Failed(AssertionError):
    pass


def expect(condition, text):
    if not condition:
        raise Failed(text)


class Candidate(harness.Daemon):
    """A vsd that may refuse to start: then `refused` is its exit code."""

    def start(self):
        self.refused = None
        command = [harness.program("VSD", "vsd"), "--data-dir", self.directory, "--listen", "127.0.0.1:0", "--socket",
                   self.socket_path, *self.arguments]
        self.log = []
        self._ready = threading.Event()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, env=self.environment)
        self._reader = threading.Thread(target=self._read_log, args=(self.process.stderr,), daemon=True)
        self._reader.start()
        expect(self._ready.wait(harness.TIMEOUT_S), f"the start hangs:\n{self.log_text()}")
        if self.port is None:
            self.refused = self.wait()


class Case:
    """One damage, and everything that is expected of vsd after it."""

    def __init__(self, number, seed, way, kind, fixture, folder):
        self.chance = random.Random(f"{seed}:{number}")
        self.number, self.way, self.kind, self.fixture = number, way, kind, fixture
        self.copy = folder / f"case-{number}"
        self.points = {name: dict(points) for name, points in fixture.points.items()}
        self.mapped_only = way.startswith("mapped:")
        self.notes = set()
        self.said = ""
        self.daemon = None

    def run(self):
        shutil.copytree(self.fixture.directory, self.copy)
        self.said = damage.catalogue()[self.way](self.copy, self.fixture, self.chance)
        before = checks.fingerprint(self.copy)
        if self.chance.random() < 0.3:
            self.check_offline(before)
        self.daemon = Candidate("--threads", "2", "--checkpoint-interval-s", "3600", directory=self.copy)
        try:
            if self.daemon.refused is not None:
                self.check_refusal(before)
                return
            self.serve()
            self.end_and_start_again()
        finally:
            self.daemon.close()

    def check_offline(self, before):
        done = harness.run_vsd("--check", self.copy, "--deep")
        expect(done.returncode in (0, REFUSED), f"vsd --check ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        after = checks.fingerprint(self.copy)
        expect(after == before, f"vsd --check changed {set(after.items()) ^ set(before.items())}")
        if done.returncode == REFUSED:
            self.notes.add("found offline")

    def check_refusal(self, before):
        log = self.daemon.log_text()
        expect(self.daemon.refused == REFUSED, f"vsd ended with {self.daemon.refused}")
        after = checks.fingerprint(self.copy)
        expect(after == before, f"a refused directory was changed: {set(after.items()) ^ set(before.items())}")
        said = [line for line in self.daemon.log if "open_failed" in line]
        expect(len(said) == 1 and str(self.copy) in said[0] and FILE.search(said[0]) and REMEDY.search(said[0]),
               "the refusal does not say which file and what to do")
        # Nothing is lost for good when only derived files are damaged, but an old copy may look like a loss.
        expect(not self.mapped_only or "from-older" in self.way, "refused for the damage of a derived file")
        self.notes.add("refused")

    def serve(self):
        """Compares all answers with what was acknowledged, checks, repairs, and compares again."""
        with self.daemon.connect() as client:
            served = self.listed(client)
            errors = {name: self.compare(client, name) for name in served}
            for name in served:
                self.check_and_repair(client, name, errors[name])
            self.write(client, served)

    def listed(self, client):
        """The names of the collections that serve."""
        serving = []
        listed = {entry["name"]: entry for entry in client.ok("LIST")["collections"]}
        expect(set(listed) == set(self.points), f"the collections are {sorted(listed)}, not {sorted(self.points)}")
        for name, entry in listed.items():
            if "error" not in entry:
                serving.append(name)
                continue
            expect(not self.mapped_only, f"{name} does not serve though RocksDB is whole: {entry['error']}")
            expect(FILE.search(str(entry["error"])) and REMEDY.search(str(entry["error"])),
                   f"it does not say which file and what to do: {entry['error']}")
            for request in (f"GET {name} {name}-1", f"STATS {name}", f"SCAN {name}"):
                expect(client.call(request)[:2] == ("ERR", "corrupt"), request)
            self.notes.add("quarantined")
        if any("rebuilding collection" in line for line in self.daemon.log):
            self.notes.add("rebuilt")
        return serving

    def answered(self, reply, errors):
        """The object of an OK reply; None when it is an error that a damaged RocksDB may be the reason of."""
        if reply[0] == "OK":
            return reply[1]
        expect(not self.mapped_only and reply[1] == "corrupt", f"answered {reply}")
        errors.append(reply)
        return None

    def compare(self, client, name):
        """What was answered with an error, or wrong in a way that CHECK deep has to find."""
        points, errors = self.points[name], []
        ids = sorted(points)
        for one, reply in zip(ids, client.pipeline([f"GET {name} {one} with=vector" for one in ids])):
            got = self.answered(reply, errors)
            if got is not None:
                expect((harness.to_float32(got["vector"]), got["attributes"]) == points[one], f"{name} {one}: {got}")
        gone = sorted(self.fixture.gone[name])
        for one, reply in zip(gone, client.pipeline([f"GET {name} {one}" for one in gone])):
            expect(reply[0] == "ERR" and reply[1] in ("not_found", "corrupt"), f"{name} {one} was deleted: {reply}")
        cursor = ""
        seen = []
        while cursor is not None:
            page = self.answered(client.call(f"SCAN {name} {cursor} limit=1000 with=vector,attributes"), errors)
            if page is None:
                break
            for point in page["points"]:
                seen.append(point["id"])
                expect((harness.to_float32(point["vector"]), point["attributes"]) == points.get(point["id"]),
                       f"SCAN {name}: {point}")
            cursor = f"cursor={page['cursor']}" if page["cursor"] is not None else None
        expect(cursor is not None or sorted(seen) == ids, f"SCAN {name}: {set(seen) ^ set(ids)}")
        for _ in range(3):
            self.search(client, name, errors)
        return errors

    def search(self, client, name, errors):
        points = self.points[name]
        dim, metric = self.fixture.settings[name]
        query = harness.to_float32([self.chance.gauss(0, 1) for _ in range(dim)])
        near = {one: distance(metric, query, vector) for one, (vector, _) in points.items()}
        for options in (f"k={len(points) + 1} exact=true", "k=10"):
            got = self.answered(client.call(f"SEARCH {name} {harness.f32(query)} {options}"), errors)
            if got is None:
                continue
            found = [match["id"] for match in got["matches"]]
            wanted = set(points) if "exact" in options else set(found[:10])
            expect(set(found) == wanted and wanted <= set(points) and len(found) == len(wanted) and
                   len(found) >= min(10, len(points)), f"SEARCH {name} {options}: {set(found) ^ wanted}")
            for match in got["matches"]:
                if math.isclose(match["distance"] or math.inf, near[match["id"]], rel_tol=1e-3, abs_tol=1e-3):
                    continue
                expect("vectors.dat" in self.said, f"SEARCH {name}: {match}, its distance is {near[match['id']]}")
                errors.append(f"vector {match}")

    def check_and_repair(self, client, name, errors):
        job = checks.wait_for_job(client, client.ok(f"CHECK {name} deep=true")["job"])
        wrong = any(isinstance(error, str) for error in errors)
        if job["state"] == "done" and job["result"]["clean"]:
            expect(not errors, f"CHECK {name} deep found nothing, but {errors[:3]}")
            return
        expect(job["state"] == "done", f"CHECK {name} deep ended with {job}")
        self.notes.add("check found " + ",".join(sorted(checks.kinds(job["result"]))))
        if wrong:
            expect("vector" in checks.kinds(job["result"]), f"wrong distances, but CHECK {name} deep says {job}")
            self.notes.add("wrong distances")
        mended = checks.wait_for_job(client, client.ok(f"CHECK {name} deep=true repair=true")["job"])
        if self.mapped_only:
            expect(mended["state"] == "done" and mended["result"]["clean"], f"the repair left {mended}")
            expect(not self.compare(client, name), "wrong after the repair")
            self.notes.add("repaired")
            return
        expect(mended["state"] == "done", f"the repair of {name} ended with {mended}")
        if not mended["result"]["clean"]:
            expect(mended["result"]["problems"], f"{mended}")
            for problem in mended["result"]["problems"]:
                expect(problem["kind"] != "rocksdb" or
                       (FILE.search(problem["detail"]) and REMEDY.search(problem["detail"])),
                       f"the repair does not say which file and what to do: {mended}")
            self.notes.add("loss stated")

    def write(self, client, names):
        for name in names:
            dim, _ = self.fixture.settings[name]
            vector = harness.to_float32([self.chance.gauss(0, 1) for _ in range(dim)])
            reply = client.call(f'ADD {name} new {harness.f32(vector)} {{"new":1}}')
            if reply[0] == "OK":
                self.points[name]["new"] = (vector, {"new": 1})
            else:
                expect(not self.mapped_only and reply[1] in ("corrupt", "read_only"), f"ADD: {reply}")
                self.notes.add("refuses writes")
                return

    def end_and_start_again(self):
        if self.chance.random() < 0.3:
            self.daemon.kill()
        else:
            code = self.daemon.terminate()
            # RocksDB may find damage when it flushes or compacts.
            expect(code == 0 or (not self.mapped_only and code in (1, REFUSED)), f"vsd ended with {code}")
        before = checks.fingerprint(self.copy)
        self.daemon.start()
        if self.daemon.refused is not None:
            expect(not self.mapped_only, "the second start is refused")
            self.check_refusal(before)
            return
        with self.daemon.connect() as client:
            for name in self.listed(client):
                errors = self.compare(client, name)
                job = checks.wait_for_job(client, client.ok(f"CHECK {name} deep=true")["job"])
                clean = job["state"] == "done" and job["result"]["clean"]
                expect(clean or not self.mapped_only, f"after repair and restart: {job}")
                expect(not clean or not errors, f"CHECK {name} deep found nothing, but {errors[:3]}")
        if self.mapped_only:
            self.daemon.expect_clean_end()


def distance(metric, a, b):
    dot = sum(x * y for x, y in zip(a, b))
    if metric == "l2":
        return math.dist(a, b)
    return 1 - dot / math.hypot(*a) / math.hypot(*b) if metric == "cosine" else -dot


def cases_of(seed, fixtures):
    """(way, fixture's name) without end; each of them once before any comes again."""
    chance = random.Random(seed)
    all_of_them = [(way, kind) for way in damage.catalogue() for kind in fixtures
                   if not (kind == "fresh" and "older" in way)]
    while True:
        chance.shuffle(all_of_them)
        yield from all_of_them


def run_case(case, keep):
    begin = time.monotonic()
    try:
        case.run()
    except BaseException as error:
        log = case.daemon.log_text() if case.daemon else ""
        print(f"--- case {case.number}: {case.way} of {case.kind}\n{case.said}\n{type(error).__name__}: {error}\n"
              f"its log:\n{log}", flush=True)
        return case, str(error), time.monotonic() - begin
    finally:
        if not keep:
            shutil.rmtree(case.copy, ignore_errors=True)
    return case, None, time.monotonic() - begin


def run(options):
    again = f"--seed {options.seed} --rounds {options.rounds}"
    print(f"seed {options.seed} (replay with {again})", flush=True)
    root = pathlib.Path(tempfile.mkdtemp(prefix="vsd-test-"))
    begin = time.monotonic()
    outcomes = collections.defaultdict(collections.Counter)
    failed = []
    try:
        fixtures = damage.build_fixtures(root, random.Random(options.seed))
        ways = cases_of(options.seed, fixtures)
        cases = [Case(number, options.seed, way, kind, fixtures[kind], root)
                 for number, (way, kind) in zip(range(options.rounds), ways)
                 if options.case in (None, number) and re.search(options.only, f"{way} {kind}")]
        with concurrent.futures.ThreadPoolExecutor(options.threads) as pool:
            for case, error, seconds in pool.map(lambda case: run_case(case, options.keep), cases):
                outcome = "FAILED" if error else "; ".join(sorted(case.notes)) or "as before"
                outcomes[f"{case.way} {case.kind}" if options.verbose else case.way.split(":")[0]][outcome] += 1
                if error:
                    failed.append(case.number)
                if options.verbose:
                    print(f"{case.number} {seconds:.2f} s {case.way} {case.kind}: {outcome}\n  {case.said}", flush=True)
    finally:
        if not options.keep:
            shutil.rmtree(root, ignore_errors=True)
        else:
            print(f"kept {root}")
    for way, counter in sorted(outcomes.items()):
        print(f"{way}: " + ", ".join(f"{count} {outcome}" for outcome, count in counter.most_common()))
    print(f"{len(cases)} cases, {len(failed)} failed, {time.monotonic() - begin:.1f} s")
    if failed:
        print(f"failed: {failed}; replay one with --seed {options.seed} --rounds {options.rounds} --case {failed[0]}")
        sys.exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("VS_TEST_CORRUPTIONS", "100")))
    parser.add_argument("--case", type=int, help="only this one")
    parser.add_argument("--only", default="", help="only cases whose way and directory match this regular expression")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="leave the directories")
    parser.add_argument("--verbose", action="store_true", help="a line for each case")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
