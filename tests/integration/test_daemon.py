#!/usr/bin/env python3
"""The daemon as a process: options, exit codes, the directory lock, tokens, shutdown, persistence, full disk."""

import json
import os
import pathlib
import random
import shutil
import stat
import tempfile
import time
import unittest

import harness


class Temporary(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vsd-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def write(self, name, text, mode=0o600):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)


class Options(Temporary):
    def test_version_and_help(self):
        done = harness.run_vsd("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"\d+\.\d+\.\d+")
        done = harness.run_vsd("--help")
        self.assertEqual(done.returncode, 0)
        for option in ("--config", "--data-dir", "--listen", "--socket", "--threads", "--durability", "--token-file",
                       "--log-level", "--check-config"):
            self.assertIn(option, done.stdout)

    def test_errors_of_usage_end_with_2(self):
        for arguments in (["--nonsense"], ["--threads", "x"], ["--durability", "sometimes"], ["--log-level", "loud"],
                          ["--listen", "nowhere"], ["--listen", "127.0.0.1:99999"], ["--config", "/nonexistent/vsd.conf"],
                          ["--token-file", "/nonexistent/token"]):
            done = harness.run_vsd("--data-dir", self.folder / "data", "--check-config", *arguments)
            self.assertEqual(done.returncode, 2, f"{arguments}: {done.stderr}")
            self.assertTrue(done.stderr.strip() + done.stdout.strip(), arguments)
        self.assertFalse((self.folder / "data").exists(), "a check of the configuration changes nothing")

    def test_check_config(self):
        done = harness.run_vsd("--check-config", "--data-dir", self.folder / "data", "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse((self.folder / "data").exists())

    def test_flags_over_environment_over_file(self):
        data = [self.folder / name for name in ("by-file", "by-environment", "by-flag")]
        config = self.write("vsd.conf", f"data-dir = {data[0]}  # where\nlisten = 127.0.0.1:0\nlog-level = warn\n")
        for arguments, environment, expected in (
            ([], {}, data[0]),
            ([], {"VSD_DATA_DIR": str(data[1])}, data[1]),
            (["--data-dir", str(data[2])], {"VSD_DATA_DIR": str(data[1])}, data[2]),
        ):
            done = harness.run_vsd("--config", config, "--check-config", *arguments, environment=environment)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(str(expected), done.stdout + done.stderr)

    def test_unknown_key_in_the_file(self):
        config = self.write("vsd.conf", "colour = red\n")
        done = harness.run_vsd("--config", config, "--check-config", "--data-dir", self.folder / "data")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("colour", done.stderr)

    def test_beyond_loopback_only_with_a_token(self):
        done = harness.run_vsd("--data-dir", self.folder / "data", "--listen", "0.0.0.0:0", "--check-config")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("token", done.stderr)


class Files(Temporary):
    def test_modes(self):
        with harness.Daemon() as daemon:
            client = daemon.connect()
            client.ok("CREATE c dim=2")
            client.ok("ADD c a [1,2]")
            client.ok("CHECKPOINT")
            for root, folders, files in os.walk(daemon.directory):
                for name in folders:
                    self.assertEqual(stat.S_IMODE(os.stat(os.path.join(root, name)).st_mode), 0o700, name)
                for name in files:
                    self.assertEqual(stat.S_IMODE(os.stat(os.path.join(root, name)).st_mode) & 0o077, 0, name)
            self.assertEqual(stat.S_IMODE(os.stat(daemon.directory).st_mode), 0o700)

    def test_two_daemons_on_one_directory(self):
        with harness.Daemon() as daemon:
            done = harness.run_vsd("--data-dir", daemon.directory, "--listen", "127.0.0.1:0")
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stderr.lower(), "another|in use|lock|busy")
            self.assertEqual(daemon.connect().call("PING"), ("OK", None))

    def test_two_daemons_on_one_port(self):
        with harness.Daemon() as daemon:
            done = harness.run_vsd("--data-dir", self.folder / "data", "--listen", daemon.server)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(str(daemon.port), done.stderr)

    def test_the_socket_file_of_a_killed_daemon_is_no_obstacle(self):
        with harness.Daemon() as daemon:
            daemon.connect(unix=True).ok("PING")
            daemon.restart(kill=True)
            daemon.connect(unix=True).ok("PING")

    def test_a_file_where_the_directory_should_be(self):
        path = self.write("data", "text")
        done = harness.run_vsd("--data-dir", path, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(path, done.stderr)


class Shutdown(unittest.TestCase):
    def test_sigterm_ends_with_0(self):
        with harness.Daemon() as daemon:
            self.assertEqual(daemon.terminate(), 0)
            self.assertFalse(os.path.exists(daemon.socket_path))

    def test_sigterm_with_idle_clients(self):
        with harness.Daemon() as daemon:
            clients = [daemon.connect() for _ in range(20)]
            clients[0].ok("PING")
            self.assertEqual(daemon.terminate(), 0)
            self.assertTrue(all(client.at_end() for client in clients))

    def test_sigterm_while_a_client_that_quit_keeps_its_socket(self):
        """Its connection is kept for 5 s, or shorter when the daemon ends."""
        with harness.Daemon() as daemon:
            client = daemon.connect()
            self.assertEqual(client.call("QUIT"), ("OK", None))
            time.sleep(0.1)
            begin = time.monotonic()
            self.assertEqual(daemon.terminate(), 0)
            self.assertLess(time.monotonic() - begin, 4)

    def test_shutdown_is_for_the_unix_socket(self):
        with harness.Daemon() as daemon:
            client = daemon.connect()
            self.assertIn(client.error("SHUTDOWN"), {"unauthorized", "bad_request", "bad_argument"})
            self.assertEqual(client.call("PING"), ("OK", None))
            self.assertEqual(daemon.connect(unix=True).call("SHUTDOWN"), ("OK", None))
            self.assertEqual(daemon.wait(), 0)

    def test_writes_under_way_are_done_or_told_shutting_down(self):
        with harness.Daemon() as daemon:
            daemon.connect().ok("CREATE c dim=8 m=4")
            client = daemon.connect()
            lines = [f"ADD c {i} {harness.f32([i] * 8)}\n".encode() for i in range(5000)]
            client.send_bytes(b"".join(lines[:50]))
            for _ in range(50):
                client.read_reply()
            client._send_quietly(b"".join(lines[50:900]))
            self.assertEqual(daemon.terminate(), 0)
            acknowledged = 50
            try:
                for _ in range(850):
                    reply = client.read_reply()
                    if reply[0] == "OK":
                        acknowledged += 1
                    else:
                        self.assertEqual(reply[1], "shutting_down")
            except harness.Closed:
                pass
            daemon.start()
            live = daemon.connect().ok("STATS c")["live"]
            self.assertGreaterEqual(live, acknowledged)


class Persistence(unittest.TestCase):
    def fill(self, daemon):
        client = daemon.connect()
        client.ok("CREATE c dim=4 metric=cosine m=5 ef_construction=50 ef_search=77 seed=9")
        client.ok("CREATE dropped dim=2")
        client.ok("CREATE empty dim=7 metric=dot")
        lines = [f'ADD c p{i} [{i % 17 + 1},{i % 5},{i % 3},1] {{"i":{i}}}' for i in range(500)]
        self.assertEqual({reply[0] for reply in client.pipeline(lines)}, {"OK"})
        client.ok("ADD c p7 [9,8,7,6] {\"again\":true}")
        client.ok("DEL c p8 p9")
        client.ok("DROP dropped")

    def snapshot(self, daemon):
        client = daemon.connect()
        stats = client.ok("STATS c")
        return {
            "names": [entry["name"] for entry in client.ok("LIST")["collections"]],
            "points": client.ok("SCAN c limit=10000 with=vector,attributes")["points"],
            "config": {key: stats[key] for key in ("dim", "metric", "m", "ef_construction", "ml", "ef_search", "seed", "live",
                                                   "lsn")},
            "exact": client.ok("SEARCH c [1,2,3,4] k=50 exact=true")["matches"],
            "by_id": client.ok("SEARCH c id=p7 k=5")["matches"],
        }

    def check(self, kill, *arguments):
        with harness.Daemon(*arguments) as daemon:
            self.fill(daemon)
            before = self.snapshot(daemon)
            self.assertEqual(before["names"], ["c", "empty"])
            self.assertEqual(len(before["points"]), 498)
            for _ in range(2):
                daemon.restart(kill=kill)
                self.assertEqual(self.snapshot(daemon), before)
            added = daemon.connect().ok("ADD c new [1,1,1,1]")
            self.assertEqual(added["lsn"], before["config"]["lsn"] + 1, "LSNs go on without a gap")

    def test_after_sigterm(self):
        self.check(kill=False)

    def test_after_kill(self):
        self.check(kill=True)

    def test_after_kill_with_many_checkpoints(self):
        self.check(True, "--checkpoint-operations", "100")

    def test_after_kill_in_each_durability(self):
        for durability in ("always", "interval", "none"):
            with self.subTest(durability):
                self.check(True, "--durability", durability)

    def test_a_collection_that_grew_much_since_its_checkpoint_is_searched_as_well_after_a_crash(self):
        """Lists of the older points then hold links to newer ones only, which the recovery cannot take over."""
        chance = random.Random(1)
        vectors = {f"p{i}": harness.f32([chance.uniform(-1, 1) for _ in range(32)]) for i in range(3000)}
        lines = [f"ADD c {one} {vector}" for one, vector in vectors.items()]
        with harness.Daemon("--checkpoint-operations", "1000000") as daemon:
            client = daemon.connect()
            client.ok("CREATE c dim=32 m=8 ef_construction=64 seed=1")
            client.pipeline(lines[:150])
            client.ok("CHECKPOINT")
            client.pipeline(lines[150:])
            daemon.restart(kill=True)
            found = daemon.connect().pipeline([f"SEARCH c {vector} k=1 ef=200" for vector in vectors.values()])
            missed = [one for one, reply in zip(vectors, found) if reply[1]["matches"][0]["id"] != one]
            self.assertLess(len(missed), 10, missed)

    def test_derived_files_are_rebuilt(self):
        with harness.Daemon() as daemon:
            self.fill(daemon)
            before = self.snapshot(daemon)
            self.assertEqual(daemon.terminate(), 0)
            removed = self.remove_mapped_files(daemon.directory)
            self.assertTrue(removed, "no mapped files were found")
            daemon.start()
            self.assertEqual(self.snapshot(daemon), before)

    def remove_mapped_files(self, directory):
        """Everything outside RocksDB's folder that is no lock, as docs/format.md describes it."""
        removed = []
        for root, _, files in os.walk(directory):
            if "CURRENT" in files:
                continue
            for name in files:
                if "lock" not in name.lower():
                    os.remove(os.path.join(root, name))
                    removed.append(name)
        return removed


class Tokens(Temporary):
    def test_a_token_is_asked_for(self):
        path = self.write("token", "open sesame 123\n".replace(" ", "-"))
        with harness.Daemon("--token-file", path) as daemon:
            client = daemon.connect()
            for line in ("INFO", "LIST", "CREATE c dim=2", "SEARCH c [1,2]", "SCAN c"):
                self.assertEqual(client.error(line), "unauthorized", line)
            self.assertEqual(client.error("AUTH wrong"), "unauthorized")
            self.assertEqual(client.error("INFO"), "unauthorized")
            self.assertEqual(client.call("AUTH open-sesame-123"), ("OK", None))
            client.ok("CREATE c dim=2")
            self.assertEqual(daemon.connect().error("LIST"), "unauthorized", "a token is for one connection")
            self.assertNotIn("sesame", daemon.log_text())


class FullDisk(unittest.TestCase):
    def test_no_space(self):
        with harness.Daemon() as daemon:
            client = daemon.connect()
            client.ok("CREATE c dim=2")
            client.ok("ADD c a [1,2]")
            # More than is free, but less than twice that: vsd keeps half of its reserve for deletes.
            free_mb = shutil.disk_usage(daemon.directory).free >> 20
            daemon.arguments = ["--free-space-reserve-mb", str(free_mb * 3 // 2)]
            daemon.restart()
            client = daemon.connect()
            self.assertEqual(client.error("ADD c b [1,2]"), "no_space")
            self.assertEqual(client.error("CREATE d dim=2"), "no_space")
            self.assertEqual(client.ok("GET c a")["id"], "a")
            self.assertEqual([match["id"] for match in client.ok("SEARCH c [1,2]")["matches"]], ["a"])
            self.assertEqual(client.ok("DEL c a"), {"deleted": 1, "missing": []})
            daemon.arguments = []
            daemon.restart()
            self.assertEqual(daemon.connect().ok("ADD c b [1,2]")["created"], True)


class Environment(Temporary):
    def test_the_log_is_one_line_an_event_and_holds_no_data(self):
        with harness.Daemon("--log-level", "debug") as daemon:
            client = daemon.connect()
            client.ok("CREATE c dim=2")
            client.ok('ADD c a [1,2] {"secret":"do-not-log-me"}')
            client.call("NONSENSE\x1b[31m")
            self.assertEqual(daemon.terminate(), 0)
            self.assertNotIn("do-not-log-me", daemon.log_text())
            self.assertNotIn("\x1b", daemon.log_text())

    def test_a_configuration_file_runs(self):
        config = self.write("vsd.conf", "# a comment\nthreads = 1\ndurability = none\n")
        with harness.Daemon("--config", config) as daemon:
            client = daemon.connect()
            client.ok("CREATE c dim=2")
            self.assertEqual(client.ok("ADD c a [1,2]")["lsn"], 1)
            self.assertTrue(json.dumps(client.ok("INFO")))


if __name__ == "__main__":
    harness.main()
