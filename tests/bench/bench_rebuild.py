#!/usr/bin/env python3
"""What a compaction costs the clients, and what it frees: Fashion-MNIST, half of it deleted, COMPACT, REBUILD.

Usage: VSD=… VSCTL=… PYTHONPATH=tests/integration bench_rebuild.py FASHION_MNIST_DIR [--keep 0.5]

One client adds points, one searches (ef=64), both one request after the other, before, during and after the jobs. The
longest wait of each is what the switch to the new generation can cost at most; the percentiles are what sharing the
cores costs. Sizes are what the data directory takes on the disk.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

import harness


class Client(threading.Thread):
    """Sends requests one after the other; `waits` has (time it was sent, seconds it took)."""

    def __init__(self, daemon, request):
        super().__init__(daemon=True)
        self.connection, self.request = daemon.connect(), request
        self.waits, self.stopping = [], False
        self.start()

    def run(self):
        number = 0
        while not self.stopping:
            line = self.request(number)
            begin = time.monotonic()
            self.connection.ok(line)
            self.waits.append((begin, time.monotonic() - begin))
            number += 1

    def between(self, begin, end):
        waits = sorted(took for sent, took in self.waits if sent + took >= begin and sent <= end)
        at = lambda share: 1000 * waits[min(int(share * len(waits)), len(waits) - 1)]
        return f"{len(waits)} requests, p50 {at(.5):.1f} ms, p99 {at(.99):.1f} ms, longest {at(1):.1f} ms"


def on_disk(directory):
    return int(subprocess.run(["du", "-s", "-B1", directory], capture_output=True, text=True, check=True)
               .stdout.split()[0]) / 1e6


def job(client, request):
    number = client.ok(request)["job"]
    while True:
        [state] = client.ok(f"JOBS {number}")["jobs"]
        if state["state"] != "running":
            if state["state"] != "done":
                sys.exit(f"{request}: {state}")
            return state["result"]
        time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--keep", type=float, default=0.5)
    arguments = parser.parse_args()
    images = arguments.data / "train-images-idx3-ubyte.gz"
    with harness.Daemon("--compact-at-percent", "0") as daemon:
        done = daemon.vsctl("import", "f", str(images), "--metric", "l2", "--scale", "1/255")
        if done.returncode != 0:
            sys.exit(done.stderr)
        client = daemon.connect()
        client.ok("CHECKPOINT")
        before = on_disk(daemon.directory)
        chance = random.Random(1)
        gone = chance.sample(range(60000), int(60000 * (1 - arguments.keep)))
        for first in range(0, len(gone), 1000):
            client.ok("DEL f " + " ".join(map(str, gone[first:first + 1000])))
        print(f"deleted {len(gone)}: the directory has {before:.0f} MB, then {on_disk(daemon.directory):.0f} MB", flush=True)

        vectors = [harness.f32([chance.random() for _ in range(784)]) for _ in range(200)]
        kept = sorted(set(range(60000)) - set(gone))
        adder = Client(daemon, lambda n: f"ADD f new{n % 500} {vectors[n % 200]}")
        searcher = Client(daemon, lambda n: f"SEARCH f id={kept[n * 37 % len(kept)]} k=10 ef=64")
        for request in (None, "COMPACT f", "REBUILD f m=24", "COMPACT f"):
            begin = time.monotonic()
            if request is None:
                time.sleep(5)
                result = {}
            else:
                result = job(client, request)
            end = time.monotonic()
            print(f"{request or 'quiet'}: {end - begin:.1f} s", json.dumps(result))
            print(f"  add     {adder.between(begin, end)}\n  search  {searcher.between(begin, end)}", flush=True)
        for one in (adder, searcher):
            one.stopping = True
            one.join()
        client.ok("CHECKPOINT")
        time.sleep(2)
        print(f"in the end the directory has {on_disk(daemon.directory):.0f} MB: "
              f"{100 * on_disk(daemon.directory) / before:.0f}% of what it had")
        print("CHECK deep:", job(client, "CHECK f deep=true"))


if __name__ == "__main__":
    main()
