#!/usr/bin/env python3
"""hot-memory=locked: links and codes are locked in memory, as they grow, and a limit on that is no end."""

import os
import re
import tempfile
import unittest

import harness
from checks import wait_for_job

DIM = 64
HEADER_BYTES = 4096  # of a mapped file


def kernel_locked_bytes(daemon):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"^VmLck:\s+(\d+) kB", status.read(), re.M).group(1)) * 1024


class HotMemory(unittest.TestCase):
    def setUp(self):
        self.points = 0

    def start(self, **options):
        daemon = harness.Daemon("--hot-memory", "locked", **options)
        self.addCleanup(daemon.close)
        return daemon

    def grow(self, client, count):
        lines = [f"ADD hot {self.points + i} {harness.f32([(self.points + i) * j % 251 for j in range(DIM)])}"
                 for i in range(count)]
        self.points += count
        for reply in client.pipeline(lines):
            self.assertEqual(reply[0], "OK", reply)

    def all_is_locked(self, client):
        stats = client.ok("STATS hot")
        hot = sum(stats["bytes"][name] - HEADER_BYTES for name in ("links0.dat", "codes.dat"))
        return stats.get("locked_bytes") == hot and hot >= self.points * (DIM + 4 * 32)

    def test_what_grows_is_locked(self):
        daemon = self.start()
        client = daemon.connect()
        client.ok(f"CREATE hot dim={DIM} codes=sq8")
        for _ in range(2):
            self.grow(client, 2000)
            harness.eventually(lambda: self.all_is_locked(client), what="all links and codes in memory")
        job = wait_for_job(client, client.ok("REBUILD hot")["job"])
        self.assertEqual(job["state"], "done")
        harness.eventually(lambda: self.all_is_locked(client), what="the new files in memory")
        daemon.restart()
        client = daemon.connect()
        harness.eventually(lambda: self.all_is_locked(client), what="all in memory after a start")
        if not harness.SANITIZED:  # their mlock() does nothing
            locked = client.ok("STATS hot")["locked_bytes"]
            self.assertGreaterEqual(kernel_locked_bytes(daemon), locked)
            client.ok("DROP hot")
            harness.eventually(lambda: kernel_locked_bytes(daemon) < locked, what="memory of a dropped collection")
        daemon.expect_clean_end()

    @unittest.skipIf(harness.SANITIZED, "their mlock() does nothing")
    def test_a_limit_is_said_once(self):
        folder = tempfile.TemporaryDirectory(prefix="vsd-test-")
        self.addCleanup(folder.cleanup)
        wrapper = os.path.join(folder.name, "vsd")
        # Root may lock what it likes, unless that is taken from it.
        mortal = "setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock --" if os.geteuid() == 0 else ""
        with open(wrapper, "w", encoding="utf-8") as script:
            script.write(f'#!/bin/sh\nexec prlimit --memlock=65536 {mortal} {harness.program("VSD", "vsd")} "$@"\n')
        os.chmod(wrapper, 0o700)
        daemon = self.start(executable=wrapper)
        client = daemon.connect()
        client.ok(f"CREATE hot dim={DIM} codes=sq8")
        self.grow(client, 2000)
        harness.eventually(lambda: "not_locked" in daemon.log_text(), what="a line in the log")
        self.grow(client, 2000)
        self.assertEqual(client.ok("STATS hot")["live"], self.points)
        self.assertIn("raise LimitMEMLOCK", daemon.log_text())
        self.assertEqual(daemon.log_text().count("not_locked"), 1)
        daemon.expect_clean_end()


if __name__ == "__main__":
    harness.main()
