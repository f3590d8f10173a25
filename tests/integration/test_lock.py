#!/usr/bin/env python3
"""The lock of the data directory: what the second vsd says, and that neither a removed file nor another path opens it."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import harness

NOBODY = 65534


class Lock(unittest.TestCase):
    def refuse(self, daemon, directory):
        done = harness.run_vsd("--data-dir", directory, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("open_failed code=busy", done.stderr)
        self.assertIn(f"{directory}/LOCK", done.stderr)
        with daemon.connect() as client:
            self.assertEqual(client.ok("GET points a with=vector")["vector"], [1, 2])

    def test_a_second_vsd_is_refused(self):
        with harness.Daemon() as daemon:
            with daemon.connect() as client:
                client.ok("CREATE points dim=2")
                client.ok("ADD points a [1,2]")
            self.refuse(daemon, daemon.directory)
            other = pathlib.Path(daemon.directory).with_name("link")
            other.symlink_to(daemon.directory)
            self.refuse(daemon, str(other))
            # As somebody does who takes them for stale.
            for name in ("LOCK", "rocksdb/LOCK"):
                pathlib.Path(daemon.directory, name).unlink()
                self.refuse(daemon, daemon.directory)
            self.refuse(daemon, daemon.directory)
            daemon.restart(kill=True)
            with daemon.connect() as client:
                self.assertEqual(client.ok("GET points a with=vector")["vector"], [1, 2])

    def test_the_lock_is_free_after_a_kill(self):
        with harness.Daemon() as daemon:
            for _ in range(3):
                daemon.restart(kill=True)

    def run_unprivileged(self, *arguments):
        """As a user who owns nothing, where permissions bind."""
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        command = [harness.program("VSD", "vsd"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=harness.TIMEOUT_S, cwd="/",
                              stdin=subprocess.DEVNULL, **user)

    def test_without_permission(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="vsd-test-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        try:
            reachable = self.run_unprivileged("--version").returncode == 0
        except PermissionError:
            reachable = False
        if not reachable:
            self.skipTest("vsd lies where another user cannot run it")
        data = folder / "data"
        data.mkdir(0o755)
        lock = data / "LOCK"
        lock.touch(0o600)
        if os.geteuid() != 0:
            lock.chmod(0)
            data.chmod(0o555)
            self.addCleanup(data.chmod, 0o755)
        def expect_refusal(path):
            done = self.run_unprivileged("--data-dir", data, "--listen", "127.0.0.1:0")
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"open {path}: Permission denied", done.stderr)
            self.assertRegex(done.stderr, r"run by user \d+, has to read and write the data directory")

        expect_refusal(lock)
        data.chmod(0o755)
        lock.unlink()
        data.chmod(0o555)
        expect_refusal(lock)
        data.chmod(0)
        expect_refusal(data)
        # A directory that cannot be made.
        data.chmod(0o555)
        done = self.run_unprivileged("--data-dir", data / "more", "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"mkdir {data}/more: Permission denied", done.stderr)


if __name__ == "__main__":
    harness.main()
