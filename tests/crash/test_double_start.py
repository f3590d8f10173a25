#!/usr/bin/env python3
"""Starts pairs of vsd on one data directory at the same moment: exactly one serves, the other says why it does not.

The winner adds a point, is killed (SIGKILL) or terminated (SIGTERM), and the next pair races for what it left. At the end
every point is there. Some pairs race for a directory that does not exist yet.

Run alone: test_double_start.py [--seed N] [--pairs N]. The seed of a run is printed. VS_TEST_PAIRS is another default for
--pairs, for slow builds.
"""

import argparse
import os
import pathlib
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import harness

# Waits until the pipe is closed that both have as their stdin, and then so many seconds.
GATE = 'read -r _; [ "$1" = 0 ] || sleep "$1"; shift; exec "$@"'


class Racer:
    """A vsd that waits at the gate; `events` gets (racer, port) when it is ready and (racer, None) when it has ended."""

    def __init__(self, directory, gate, events, delay_s):
        command = [harness.program("VSD", "vsd"), "--data-dir", directory, "--listen", "127.0.0.1:0", "--threads", "2"]
        self.process = subprocess.Popen(["sh", "-c", GATE, "sh", str(delay_s), *command], stdin=gate,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.log = []
        self.readies = 0
        self.reader = threading.Thread(target=self.read, args=(events,), daemon=True)
        self.reader.start()

    def read(self, events):
        for raw in self.process.stderr:
            self.log.append(raw.decode(errors="replace").rstrip("\n"))
            match = harness.READY.search(self.log[-1])
            if match:
                self.readies += 1
                events.put((self, int(match["port"])))
        self.process.stderr.close()
        events.put((self, None))

    def end(self, number):
        """Sends the signal to this process, and returns the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(harness.TIMEOUT_S)
        self.reader.join(harness.TIMEOUT_S)
        return code


def show(racers):
    return "\n".join(f"--- pid {racer.process.pid}\n" + "\n".join(racer.log) for racer in racers)


def race(directory, chance):
    """(winner, its port) of a pair; fails unless the other one ended and named the lock."""
    later = round(chance.uniform(0.001, 0.02), 4)
    delays = chance.choice([(0, 0), (0, 0), (0, later), (later, 0)])
    events = queue.Queue()
    gate, opener = os.pipe()
    racers = [Racer(directory, gate, events, delay) for delay in delays]
    os.close(gate)
    os.close(opener)  # both at once
    try:
        first = events.get(timeout=harness.TIMEOUT_S)
        second = events.get(timeout=harness.TIMEOUT_S)
        (winner, port), (loser, none) = (first, second) if first[1] is not None else (second, first)
        if port is None or none is not None or winner is loser:
            raise AssertionError(f"not exactly one of the two serves:\n{show(racers)}")
        code = loser.process.wait(harness.TIMEOUT_S)
        # 1: failure. Anything else would be a crash, or a claim that the data is damaged.
        if code != 1 or loser.readies != 0:
            raise AssertionError(f"the second vsd ended with {code}:\n{show(racers)}")
        said = [line for line in loser.log if "open_failed code=busy" in line]
        if len(said) != 1 or f"{directory}/LOCK" not in said[0]:
            raise AssertionError(f"the second vsd does not name the lock:\n{show(racers)}")
        return winner, port
    except BaseException:
        for racer in racers:
            if racer.process.poll() is None:
                racer.end(signal.SIGKILL)
        raise


def check_points(connection, points, all_of_them):
    for point in points if all_of_them else points[-3:]:
        if connection.ok(f"GET c {point} with=vector")["vector"] != [point, 1]:
            raise AssertionError(f"point {point} is not as it was acknowledged")
    live = connection.ok("STATS c")["live"]
    if live != len(points):
        raise AssertionError(f"{live} points are live, {len(points)} were acknowledged")


def race_on(directory, number, chance, points):
    """One pair on the directory; `points` are those that were acknowledged there, and gets another one."""
    winner, port = race(directory, chance)
    try:
        with harness.Connection(("127.0.0.1", port)) as connection:
            if not points:
                connection.ok("CREATE c dim=2 seed=1")
            check_points(connection, points, all_of_them=number % 10 == 9)
            connection.ok(f"ADD c {number} [{number},1]")
            points.append(number)
    finally:
        kill = chance.random() < 0.5
        code = winner.end(signal.SIGKILL if kill else signal.SIGTERM)
    if code != (-signal.SIGKILL if kill else 0) or winner.readies != 1:
        raise AssertionError(f"the winner ended with {code}:\n{show([winner])}")


def run(seed, pairs):
    print(f"seed {seed} (replay with --seed {seed} --pairs {pairs})", flush=True)
    chance = random.Random(seed)
    root = pathlib.Path(tempfile.mkdtemp(prefix="vsd-test-"))
    begin = time.monotonic()
    try:
        points = []
        for number in range(pairs):
            race_on(str(root / "data"), number, chance, points)
        print(f"{pairs} pairs on one directory, {time.monotonic() - begin:.1f} s", flush=True)
        fresh = max(1, pairs // 4)
        for number in range(fresh):
            race_on(str(root / f"fresh-{number}" / "not" / "yet"), number, chance, [])
        print(f"{fresh} pairs on directories that were not there, {time.monotonic() - begin:.1f} s in all", flush=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--pairs", type=int, default=int(os.environ.get("VS_TEST_PAIRS", "100")))
    options = parser.parse_args()
    run(options.seed, options.pairs)


if __name__ == "__main__":
    main()
