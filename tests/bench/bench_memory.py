#!/usr/bin/env python3
"""Searches of a daemon that has less memory than its files, with --hot-memory cache and locked, beside an export that
reads all of them or an import that writes as much again.

Usage, as root (who may lock what he likes): VSD=… VSCTL=… PYTHONPATH=tests/integration bench_memory.py FASHION_MNIST_DIR [--limits-mb 80,180] [--beside export|import]

60,000 images: 188 MB of vectors in each of RocksDB and the mapped files, 58 MB of links and codes. vsd runs in a memory cgroup
(version 1 or 2), and the page cache is dropped before each start, so that what it reads is charged to it.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import harness

EF = 28
RUNS = 8
RUN_S = 4
SETTLE_S = 3


class MemoryGroup:
    """A memory cgroup for one process."""

    def __init__(self, limit_bytes):
        root = pathlib.Path("/sys/fs/cgroup")
        if (root / "cgroup.controllers").exists():
            self.path, limit = root / "vsd-bench", "memory.max"
        else:
            self.path, limit = root / "memory" / "vsd-bench", "memory.limit_in_bytes"
        self.path.mkdir()
        (self.path / limit).write_text(str(limit_bytes), encoding="ascii")

    def close(self):
        harness.eventually(lambda: not (self.path / "cgroup.procs").read_text(encoding="ascii").strip(), what="its end")
        self.path.rmdir()


def wrapper(folder, group):
    """A program that is vsd in that group."""
    path = pathlib.Path(folder) / "vsd"
    path.write_text(f'#!/bin/sh\necho $$ > {group.path}/cgroup.procs\n'
                    f'exec {harness.program("VSD", "vsd")} "$@"\n', encoding="ascii")
    path.chmod(0o700)
    return str(path)


def search(daemon, data):
    """(queries a second, p99 in ms), or None if the daemon is gone."""
    done = daemon.vsctl("--output", "json", "bench", "f", "--queries", data / "t10k-images-idx3-ubyte.gz", "--scale",
                        "1/255", "--duration", RUN_S, "--ef", EF, "--connections", 1)
    if done.returncode != 0:
        print(done.stderr.strip(), file=sys.stderr)
        return None
    result = json.loads(done.stdout)["operations"][0]
    return result["qps"], result["p99_ms"]


def start_beside(what, daemon, data, folder):
    """The export, again and again, or the import, once, in a process group of its own."""
    vsctl = f'"{harness.program("VSCTL", "vsctl")}" --server {daemon.server}'
    if what == "export":
        command = f"while :; do {vsctl} export f {folder}/out --format fvecs --force || exit; done"
    else:
        command = f"{vsctl} import f {data}/train-images-idx3-ubyte.gz --scale 1/255 --id-prefix again- --connections 8"
    return subprocess.Popen(["setsid", "sh", "-c", command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure(original, data, mode, limit_mb, beside):
    directory = original + "-copy"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(original, directory)
    subprocess.run(["sh", "-c", "sync; echo 3 > /proc/sys/vm/drop_caches"], check=True)
    group = MemoryGroup(limit_mb << 20)
    try:
        with tempfile.TemporaryDirectory(prefix="vsd-bench-") as folder, \
                harness.Daemon("--hot-memory", mode, directory=directory, executable=wrapper(folder, group)) as daemon:
            time.sleep(SETTLE_S)
            other = start_beside(beside, daemon, data, folder)
            try:
                runs = [search(daemon, data) for _ in range(RUNS)]
                locked = 0 if None in runs else daemon.connect().ok("STATS f").get("locked_bytes", 0)
            finally:
                over = other.poll() is not None
                subprocess.run(["kill", "--", f"-{other.pid}"], check=False, stderr=subprocess.DEVNULL)
                other.wait()
            if None in runs:
                print(f"{limit_mb:4} MB {mode:6}: ended, exit code {daemon.process.poll()}", flush=True)
                daemon.kill()
                return
            qps, p99 = zip(*runs)
            print(f"{limit_mb:4} MB {mode:6}: {min(qps):6.0f} to {max(qps):6.0f}, median {statistics.median(qps):6.0f} queries/s, "
                  f"p99 {min(p99):.2f} to {max(p99):.2f} ms, {locked / 1e6:.0f} MB locked"
                  f"{f', the {beside} was over' if over else ''}", flush=True)
            daemon.kill()
    finally:
        group.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--limits-mb", default="80,180")
    parser.add_argument("--beside", choices=("export", "import"), default="import")
    arguments = parser.parse_args()
    data = arguments.data
    with tempfile.TemporaryDirectory(prefix="vsd-bench-") as folder:
        directory = pathlib.Path(folder) / "data"
        with harness.Daemon(directory=str(directory)) as daemon:
            daemon.vsctl("import", "f", data / "train-images-idx3-ubyte.gz", "--scale", "1/255", "--metric", "l2",
                         "--connections", "8", check=True, timeout_s=900)
            daemon.expect_clean_end()
        for limit in arguments.limits_mb.split(","):
            for mode in ("cache", "locked"):
                measure(str(directory), data, mode, int(limit), arguments.beside)


if __name__ == "__main__":
    sys.exit(main())
