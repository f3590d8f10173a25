#!/usr/bin/env python3
"""The daemon over loopback: durable adds, searches at given recalls from one and from several clients, and beside an import.

Usage: VSD=… VSCTL=… PYTHONPATH=tests/integration bench_server.py FASHION_MNIST_DIR [--codes sq8] [--rounds 3]

The load comes from vsctl on the same cores: `vsctl import` over 8 connections with requests on their way, durability
`always`; `vsctl eval`, each connection waiting for a reply before its next request. Queries a second at a recall are
interpolated between two ef. What a SEARCH costs beyond the search is the time from request to reply at one client, less the
time that the daemon needed for the search alone (explain=true), on average.
"""

import argparse
import gzip
import json
import math
import pathlib
import statistics
import subprocess
import sys
import time

import harness

EFS = "10,12,16,20,24,32,48,64,128,256"
RECALLS = 0.95, 0.99, 0.999
CONNECTIONS = 1, 8


def run(daemon, *arguments):
    return json.loads(daemon.vsctl("--output", "json", *arguments, check=True, timeout_s=900).stdout)


def at_recall(results, wanted):
    """A result between the two nearest ef: (queries a second, p99 in ms); None if none reaches it."""
    for low, high in zip(results, results[1:]):
        if low["recall"] < wanted <= high["recall"]:
            share = (wanted - low["recall"]) / (high["recall"] - low["recall"])
            return tuple(math.exp((1 - share) * math.log(low[key]) + share * math.log(high[key]))
                         for key in ("qps", "p99_ms"))
    return None


def beyond_search_us(daemon, data, ef):
    """Mean round trip of a SEARCH less the mean of the search itself, both in µs."""
    queries = ["f", "--queries", data / "t10k-images-idx3-ubyte.gz", "--scale", "1/255", "--limit", "2000",
               "--truth", data / "neighbors-l2-ids.npy", "--ef", str(ef), "--connections", "1"]
    round_trip = 1e6 / run(daemon, "eval", *queries)["results"][0]["qps"]
    client = daemon.connect()
    with gzip.open(data / "t10k-images-idx3-ubyte.gz") as file:
        images = file.read()[16:]
    inside = []
    for i in range(2000):
        vector = harness.f32([pixel / 255 for pixel in images[i * 784:(i + 1) * 784]])
        inside.append(client.ok(f"SEARCH f {vector} k=10 ef={ef} explain=true")["explain"]["time_us"])
    return round_trip, statistics.mean(inside)


def p99_beside_an_import(daemon, data, ef):
    """p99 in ms of searches by one client: before, and while all images are imported once more under other ids."""
    def p99(limit):
        return run(daemon, "eval", "f", "--queries", data / "t10k-images-idx3-ubyte.gz", "--scale", "1/255",
                   "--limit", str(limit), "--truth", data / "neighbors-l2-ids.npy", "--ef", str(ef),
                   "--connections", "1")["results"][0]["p99_ms"]
    quiet = p99(10000)
    command = [harness.program("VSCTL", "vsctl"), "--server", daemon.server, "import", "f",
               str(data / "train-images-idx3-ubyte.gz"), "--scale", "1/255", "--id-prefix", "again-",
               "--connections", "8"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as imported:
        time.sleep(1)
        busy = []
        while imported.poll() is None:
            busy.append(p99(2000))
    # The last run may have gone on after the import's end.
    return quiet, statistics.median(busy[:-1] or busy)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--codes", default="sq8")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    data = arguments.data
    with harness.Daemon() as daemon:
        begin = time.monotonic()
        daemon.vsctl("import", "f", data / "train-images-idx3-ubyte.gz", "--scale", "1/255", "--metric", "l2",
                     "--codes", arguments.codes, "--connections", "8", check=True, timeout_s=900)
        took = time.monotonic() - begin
        print(f"60,000 durable adds over 8 connections: {took:.1f} s, {60000 / took:.0f}/s", flush=True)
        daemon.connect().ok("CHECKPOINT")
        for connections in CONNECTIONS:
            rounds = [run(daemon, "eval", "f", "--queries", data / "t10k-images-idx3-ubyte.gz", "--scale", "1/255",
                          "--truth", data / "neighbors-l2-ids.npy", "--ef", EFS, "--connections", connections)["results"]
                      for _ in range(arguments.rounds)]
            for wanted in RECALLS:
                found = [one for one in (at_recall(results, wanted) for results in rounds) if one is not None]
                if not found:
                    print(f"{connections} connection(s), recall {wanted}: not reached")
                    continue
                qps, p99 = (statistics.median(values) for values in zip(*found))
                print(f"{connections} connection(s), recall {wanted}: {qps:.0f} queries/s, p99 {p99:.2f} ms", flush=True)
        for ef in (16, 32):
            round_trip, inside = beyond_search_us(daemon, data, ef)
            print(f"ef={ef}: {round_trip:.1f} µs from request to reply, {inside:.1f} µs of it the search, "
                  f"{round_trip - inside:.1f} µs beyond", flush=True)
        quiet, busy = p99_beside_an_import(daemon, data, 32)
        print(f"ef=32, p99 of a search: {quiet:.2f} ms, beside an import {busy:.2f} ms, {busy / quiet:.1f} times")


if __name__ == "__main__":
    sys.exit(main())
