#!/usr/bin/env python3
"""The daemon over loopback: durable adds, searches at given recalls from one and from several clients, and beside an import.

Usage: VSD=… VSCTL=… PYTHONPATH=tests/integration bench_server.py FASHION_MNIST_DIR [--codes sq8] [--rounds 3]

The load comes from vsctl on the same cores: `vsctl import` over 8 connections with requests on their way, durability
`always`; `vsctl eval`, each connection waiting for a reply before its next request. Queries a second at a recall are
interpolated between two ef. What a SEARCH costs beyond the search is seen with 64 of them on their way at a time, so that no
thread has to wake up for each: the time for one, less what the daemon says that the search alone took (explain=true).
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
    """Of pipelined searches by one client: µs for each, and µs of that for the search itself."""
    with gzip.open(data / "t10k-images-idx3-ubyte.gz") as file:
        images = file.read()[16:]
    lines = []
    for i in range(2048):
        vector = harness.f32([pixel / 255 for pixel in images[i * 784:(i + 1) * 784]])
        lines.append(f"SEARCH f {vector} k=10 ef={ef} explain=true\n".encode())
    client = daemon.connect()
    replies = b""
    took = 0
    for first in range(0, len(lines), 64):
        batch = b"".join(lines[first:first + 64])
        begin = time.monotonic()
        client.send_bytes(batch)
        read = b""
        while read.count(b"\n") < 64:
            read += client.socket.recv(1 << 20)
        took += time.monotonic() - begin
        replies += read
    inside = [json.loads(reply[3:])["explain"]["time_us"] for reply in replies.splitlines()]
    return took / len(lines) * 1e6, statistics.mean(inside)


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
            each, inside = beyond_search_us(daemon, data, ef)
            print(f"ef={ef}, 64 searches on their way: {each:.1f} µs for each, {inside:.1f} µs of it the search, "
                  f"{each - inside:.1f} µs beyond", flush=True)
        quiet, busy = p99_beside_an_import(daemon, data, 32)
        print(f"ef=32, p99 of a search: {quiet:.2f} ms, beside an import {busy:.2f} ms, {busy / quiet:.1f} times")


if __name__ == "__main__":
    sys.exit(main())
