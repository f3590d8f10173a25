#!/usr/bin/env python3
"""60,000 images into vsd (durable, over TCP, by vsctl) and into hnswlib's Python module, taking turns.

Usage: bench_import.py VSD VSCTL FASHION_MNIST_DIR [--threads N] [--rounds N]

Both build the same graph (L2, M=16, ef_construction=200) with the same number of threads that link points. vsd's time is
that of `vsctl import`, from its start to its end: reading, encoding, sending, writing to disk with every group of
points synced, linking. hnswlib's time is that of reading the file and add_items() into memory; its result is
on no disk. Needs the packages python3-numpy and python3-hnswlib.
"""

import argparse
import gzip
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import hnswlib
import numpy

M, EF_CONSTRUCTION = 16, 200


def run_vsd(arguments):
    with tempfile.TemporaryDirectory() as folder:
        daemon = subprocess.Popen(
            [arguments.vsd, "--data-dir", folder, "--listen", "127.0.0.1:0", "--threads", str(arguments.threads)],
            stderr=subprocess.PIPE, text=True)
        try:
            for line in daemon.stderr:
                if match := re.search(r"ready listen=(\S+)", line):
                    break
            else:
                sys.exit("vsd did not start")
            data = pathlib.Path(arguments.data)
            begin = time.monotonic()
            subprocess.run(
                [arguments.vsctl, "--server", match.group(1), "import", "fashion",
                 str(data / "train-images-idx3-ubyte.gz"), "--labels", str(data / "train-labels-idx1-ubyte.gz"),
                 "--scale", "1/255", "--metric", "l2", "--m", str(M), "--ef-construction", str(EF_CONSTRUCTION)],
                check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            return time.monotonic() - begin
        finally:
            daemon.terminate()
            daemon.wait()


def run_hnswlib(arguments):
    begin = time.monotonic()
    with gzip.open(pathlib.Path(arguments.data) / "train-images-idx3-ubyte.gz") as file:
        images = numpy.frombuffer(file.read(), numpy.uint8, offset=16).reshape(-1, 784).astype(numpy.float32) / 255
    index = hnswlib.Index(space="l2", dim=784)
    index.init_index(max_elements=len(images), M=M, ef_construction=EF_CONSTRUCTION)
    index.set_num_threads(arguments.threads)
    index.add_items(images, numpy.arange(len(images)))
    return time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("vsd")
    parser.add_argument("vsctl")
    parser.add_argument("data")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ours, peer = [], []
    for _ in range(arguments.rounds):
        ours.append(run_vsd(arguments))
        peer.append(run_hnswlib(arguments))
        print(f"vsd {ours[-1]:.1f} s   hnswlib {peer[-1]:.1f} s", flush=True)
    a, b = statistics.median(ours), statistics.median(peer)
    print(f"median of {arguments.rounds}, {arguments.threads} thread(s): vsd {a:.1f} s, hnswlib {b:.1f} s, "
          f"vsd is {b / a:.2f} times as fast")


if __name__ == "__main__":
    main()
