#!/usr/bin/env python3
"""How a collection behaves as it grows: queries a second at recall 0.99, build rate, memory, disk, time to open.

Usage: VSD=… VSCTL=… PYTHONPATH=tests/integration bench_growth.py FASHION_MNIST_DIR [--points 60000,250000,1000000]
       [--codes sq8,pca] [--queries 1000] [--plot docs/growth.svg] [--keep DIR]

The data: the train images, then as many more as are wanted, each of them a train image at random that is shifted by up to two
pixels in both directions, mirrored or not, and changed in contrast, all from one seed. Queries are test images; the truth is
what `vsctl eval` finds by exact search. Building is `vsctl import` over 8 connections, durable. Time to open is that of a start
after a clean stop, as vsd says it, with the files in the page cache; memory is what vsd has for itself then (anonymous), and
what of the mapped files is in memory after the searches.
"""

import argparse
import gzip
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import harness
from bench_server import at_recall

SEED = 60000
SIDE = 28
SHIFT = 2
CONTRAST = 0.7, 1.3
EFS = "10,12,16,20,24,32,48,64,96,128"


def variations(numpy, images, count, random):
    """uint8 (count, 784): images shifted, mirrored and changed in contrast."""
    padded = numpy.pad(images.reshape(-1, SIDE, SIDE), ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    out = numpy.empty((count, SIDE, SIDE), numpy.uint8)
    for i in range(count):
        row, column = random.integers(0, 2 * SHIFT + 1, 2)
        image = padded[random.integers(len(images)), row:row + SIDE, column:column + SIDE]
        if random.integers(2):
            image = image[:, ::-1]
        out[i] = numpy.clip(numpy.rint(image * random.uniform(*CONTRAST)), 0, 255)
    return out.reshape(count, SIDE * SIDE)


def write_points(path, data, count):
    numpy = harness.require_numpy()
    with gzip.open(data / "train-images-idx3-ubyte.gz") as file:
        images = numpy.frombuffer(file.read()[16:], numpy.uint8).reshape(-1, SIDE * SIDE)
    more = variations(numpy, images, max(0, count - len(images)), numpy.random.default_rng(SEED))
    numpy.save(path, numpy.concatenate([images[:count], more]))


def memory_mb(daemon):
    """Anonymous memory of vsd, and how much of its mapped files is in memory."""
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as status:
        text = status.read()
    return tuple(int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M).group(1)) / 1024 for name in ("RssAnon", "RssFile"))


def disk_mb(directory):
    kilobytes = subprocess.run(["du", "-sk", directory], check=True, capture_output=True, text=True).stdout.split()[0]
    return int(kilobytes) / 1024


def measure(data, points, codes, arguments):
    with harness.Daemon(directory=arguments.keep and str(arguments.keep / f"{points}-{codes}")) as daemon:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "points.npy"
            write_points(file, data, points)
            begin = time.monotonic()
            daemon.vsctl("import", "grown", file, "--scale", "1/255", "--metric", "l2", "--codes", codes,
                         "--connections", "8", check=True, timeout_s=7200)
            import_s = time.monotonic() - begin
        client = daemon.connect()
        client.ok("CHECKPOINT")
        disk = disk_mb(daemon.directory)
        daemon.restart()
        open_ms = float(re.search(r"open_ms=(\d+)", daemon.log_text()).group(1))
        if codes == "pca":
            harness.eventually(lambda: "pca_" in daemon.log_text(), timeout_s=600, what="short codes")
        results = json.loads(daemon.vsctl(
            "--output", "json", "eval", "grown", "--queries", data / "t10k-images-idx3-ubyte.gz", "--scale", "1/255",
            "--limit", str(arguments.queries), "--ef", EFS, "--connections", "1", check=True, timeout_s=7200).stdout)["results"]
        anonymous, mapped = memory_mb(daemon)
        stats = daemon.connect().ok("STATS grown")
        found = at_recall(results, 0.99)
        return {"points": points, "codes": codes, "qps": found and found[0], "adds_per_s": points / import_s,
                "anonymous_mb": anonymous, "mapped_mb": mapped, "hot_bytes": hot_bytes(stats) / points, "disk_mb": disk,
                "open_ms": open_ms, "results": results}


def hot_bytes(stats):
    """What searches read all the time."""
    codes = stats["pca"]["bytes"] if "pca" in stats else stats["bytes"]["codes.dat"]
    return codes + stats["bytes"]["links0.dat"]


def plot(rows, path):
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    matplotlib.rcParams["svg.hashsalt"] = "growth"
    panels = (("qps", "queries/s at recall 0.99, 1 client"), ("adds_per_s", "durable adds/s"), ("open_ms", "open, ms"))
    figure, axes = plt.subplots(1, len(panels), figsize=(11, 3.2), layout="constrained")
    for axis, (key, title) in zip(axes, panels):
        for codes in dict.fromkeys(row["codes"] for row in rows):
            line = [(row["points"], row[key]) for row in rows if row["codes"] == codes and row[key] is not None]
            axis.plot(*zip(*line), marker="o", label=f"codes={codes}")
        axis.set(title=title, xlabel="points", xscale="log", ylim=(0, None))
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--points", default="60000,250000,1000000")
    parser.add_argument("--codes", default="sq8,pca")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--plot", type=pathlib.Path, help="an SVG, drawn with python3-matplotlib")
    parser.add_argument("--keep", type=pathlib.Path, help="where data directories stay, one for each row of the table")
    arguments = parser.parse_args()
    rows = []
    print("| points | codes | queries/s at .99 | adds/s | anonymous MB | mapped MB | hot bytes a point | disk MB | open ms |")
    print("|---|---|---|---|---|---|---|---|---|")
    for points in map(int, arguments.points.split(",")):
        for codes in arguments.codes.split(","):
            row = measure(arguments.data, points, codes, arguments)
            rows.append(row)
            qps = "not reached" if row["qps"] is None else f"{row['qps']:,.0f}"
            print(f"| {points:,} | {codes} | {qps} | {row['adds_per_s']:,.0f} | {row['anonymous_mb']:,.0f} | "
                  f"{row['mapped_mb']:,.0f} | {row['hot_bytes']:.0f} | {row['disk_mb']:,.0f} | {row['open_ms']:.0f} |",
                  flush=True)
            for one in row["results"]:
                print(f"  ef={one['ef']}: {one['recall']:.4f}, {one['qps']:,.0f}/s", file=sys.stderr)
    if arguments.plot:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    sys.exit(main())
