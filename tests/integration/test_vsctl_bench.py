#!/usr/bin/env python3
"""vsctl's bench, tune and alter, and eval's plots."""

import json
import os
import pathlib
import pty
import random
import re
import signal
import socket
import subprocess
import threading
import time
import xml.dom.minidom

import harness
from test_vsctl import FAILURE, NOT_FOUND, OK, PARTLY, UNREACHABLE, USAGE, VsctlTest, npy


class LoadTest(VsctlTest):
    def fill_random(self, count=400, dim=4, options=""):
        """Points 0 … and a file of queries."""
        numbers = random.Random(3)
        self.create(dim, options)
        values = [[numbers.gauss(0, 1) for _ in range(dim)] for _ in range(count)]
        for reply in self.client.pipeline([f"ADD {self.name} {i} {harness.f32(row)}" for i, row in enumerate(values)]):
            self.assertEqual(reply[0], "OK")
        queries = [numbers.gauss(0, 1) for _ in range(dim * 500)]
        return npy(self.folder / "queries.npy", queries, columns=dim)

    def live(self):
        return self.client.ok(f"STATS {self.name}")["live"]


class Bench(LoadTest):
    def bench(self, queries, *options, code=OK):
        return self.json("bench", self.name, "--queries", queries, "--warmup", "0", *options, code=code)

    def test_a_count_in_the_closed_loop(self):
        queries = self.fill_random()
        before = self.client.ok("INFO")["requests"]
        reply = self.bench(queries, "--count", "700", "--connections", "3", "--pipeline", "5", "-k", "3", "--ef", "20")
        self.assertGreaterEqual(self.client.ok("INFO")["requests"] - before, 700)
        self.assertEqual((reply["loop"], reply["rate"], reply["connections"], reply["pipeline"]), ("closed", None, 3, 5))
        [search] = reply["operations"]
        self.assertEqual((search["operation"], search["replies"], search["errors"], search["error_codes"]),
                         ("search", 700, 0, {}))
        order = [search[key] for key in ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "p999_ms", "max_ms")]
        self.assertEqual(order, sorted(order))
        self.assertGreater(order[0], 0)
        self.assertAlmostEqual(search["qps"], 700 / reply["seconds"], delta=1)
        self.assertEqual((reply["stopped"], reply["unsent"], reply["client"]["late_p99_ms"]), (False, 0, None))
        self.assertNotIn("written", reply)

    def test_table_and_csv(self):
        queries = self.fill_random()
        options = ("bench", self.name, "--queries", queries, "--count", "50", "--warmup", "0")
        names = "operation replies errors qps p50_ms p90_ms p95_ms p99_ms p999_ms max_ms".split()
        rows = self.csv(*options)
        self.assertEqual((rows[0], rows[1][:3], len(rows)), (names, ["search", "50", "0"], 2))
        lines = self.run_ctl(*options).stdout.splitlines()
        self.assertEqual((lines[0].split(), lines[1].split()[:3]), (names, ["search", "50", "0"]))

    def test_the_open_loop_sends_what_the_rate_says(self):
        queries = self.fill_random()
        reply = self.bench(queries, "--rate", "200", "--duration", "0.5", "--connections", "3")
        self.assertEqual((reply["loop"], reply["rate"], reply["operations"][0]["replies"]), ("open", 200, 100))
        self.assertIsNotNone(reply["client"]["late_p99_ms"])
        self.assertGreater(reply["seconds"], 0.45)
        reply = self.bench(queries, "--rate", "1000", "--count", "37", "--connections", "5")
        self.assertEqual(reply["operations"][0]["replies"], 37)
        # A warm-up is not counted.
        reply = self.json("bench", self.name, "--queries", queries, "--rate", "500", "--count", "20", "--warmup", "0.2")
        self.assertEqual(reply["operations"][0]["replies"], 20)

    def test_writes_are_deleted_or_kept(self):
        queries = self.fill_random()
        reply = self.bench(queries, "--count", "200", "--writes", "0.25", "--connections", "2")
        searches, adds = reply["operations"]
        self.assertEqual((searches["operation"], adds["operation"]), ("search", "add"))
        self.assertEqual(searches["replies"] + adds["replies"], 200)
        self.assertIn(adds["replies"], range(48, 53))
        self.assertEqual((reply["written"]["kept"], reply["written"]["deleted"]), (False, adds["replies"]))
        self.assertEqual(self.live(), 400)
        reply = self.bench(queries, "--count", "30", "--writes", "1", "--keep")
        self.assertEqual([operation["operation"] for operation in reply["operations"]], ["add"])
        self.assertEqual((reply["written"]["kept"], reply["written"]["deleted"]), (True, 0))
        ids = [point["id"] for point in self.client.ok(f"SCAN {self.name} limit=1000")["points"]]
        self.assertEqual(sum(name.startswith(reply["written"]["id_prefix"]) for name in ids), 30)
        self.assertRegex(reply["written"]["id_prefix"], r"^bench-[0-9a-f]{16}-$")

    def start(self, *options):
        command = [harness.program("VSCTL", "vsctl"), "--server", self.daemon.server, "bench", self.name, *options]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True)

    def test_ctrl_c_ends_it_and_prints(self):
        queries = self.fill_random()
        for options in (["--rate", "50"], ["--pipeline", "3", "--writes", "0.5"]):
            with self.subTest(options):
                with self.start("--queries", queries, "--duration", "600", "--warmup", "0", "--output", "json",
                                *options) as process:
                    before = self.client.ok("INFO")["requests"]
                    harness.eventually(lambda: self.client.ok("INFO")["requests"] > before + 40, what="some requests")
                    process.send_signal(signal.SIGINT)
                    out, err = process.communicate(timeout=harness.TIMEOUT_S)
                self.assertEqual(process.returncode, PARTLY, err)
                self.assertIn("stopped early", err)
                reply = json.loads(out)
                self.assertTrue(reply["stopped"])
                self.assertGreater(reply["operations"][0]["replies"], 0)
                self.assertEqual(self.live(), 400)

    def test_progress_at_a_terminal(self):
        queries = self.fill_random()
        ours, theirs = pty.openpty()
        command = [harness.program("VSCTL", "vsctl"), "--server", self.daemon.server, "bench", self.name, "--queries",
                   queries, "--duration", "600", "--warmup", "0"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs) as process:
            shown = b""
            while not re.search(rb"closed loop \[.*replies/s +0 errors +ETA", shown):
                shown += os.read(ours, 1000)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=harness.TIMEOUT_S)
        os.close(theirs)
        os.close(ours)

    def test_errors_are_counted_by_code(self):
        queries = self.fill_random()
        with self.start("--queries", queries, "--duration", "600", "--warmup", "0", "--output", "json", "--writes", "0.5",
                        "--connections", "1") as process:
            before = self.client.ok("INFO")["requests"]
            harness.eventually(lambda: self.client.ok("INFO")["requests"] > before + 20, what="some requests")
            self.client.ok(f"DROP {self.name}")
            errors = self.client.ok("INFO")["errors"]
            harness.eventually(lambda: self.client.ok("INFO")["errors"] > errors + 20, what="some errors")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(process.returncode, PARTLY, err)
        for operation in json.loads(out)["operations"]:
            self.assertEqual(operation["error_codes"], {"not_found": operation["errors"]})
            self.assertGreater(operation["errors"], 0)
        self.assertRegex(err, r"\d+ of the search requests were answered not_found, the first one: ")
        self.assertIn("could not be deleted", err)

    def test_a_daemon_that_goes_away(self):
        with harness.Daemon() as daemon:
            with daemon.connect() as client:
                client.ok("CREATE c dim=4 seed=1")
                client.ok("ADD c 1 [1,2,3,4]")
                queries = npy(self.folder / "q.npy", [1.0] * 40, columns=4)
                command = [harness.program("VSCTL", "vsctl"), "--server", daemon.server, "bench", "c", "--queries", queries,
                           "--duration", "600", "--warmup", "0", "--output", "json"]
                with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                    before = client.ok("INFO")["requests"]
                    harness.eventually(lambda: client.ok("INFO")["requests"] > before + 20, what="some requests")
                    daemon.kill()
                    out, err = process.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(process.returncode, UNREACHABLE, err)
        self.assertGreater(json.loads(out)["operations"][0]["replies"], 0)

    def test_the_open_loop_counts_a_stall_for_all_that_were_due(self):
        """A daemon that answers at once, then stops for a second: in the open loop half of the requests waited."""
        stall_s = 1.0
        queries = npy(self.folder / "q.npy", [1.0] * 40, columns=4)

        def serve(connection, stall):
            answered = 0
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    if line.startswith(b"STATS"):
                        connection.sendall(b'OK {"dim":4,"live":1}\n')
                    elif line.startswith(b"PING"):
                        connection.sendall(b"OK\n")
                    else:
                        if answered == stall:
                            time.sleep(stall_s)
                        answered += 1
                        connection.sendall(b'OK {"matches":[]}\n')

        def run(*options):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                def accept():
                    # The first connection asks for STATS.
                    for _ in range(2):
                        connection = listener.accept()[0]
                        threading.Thread(target=serve, args=(connection, 100), daemon=True).start()
                thread = threading.Thread(target=accept)
                thread.start()
                done = harness.vsctl("bench", "c", "--queries", queries, "--connections", "1", "--warmup", "0", "--output",
                                     "json", "--count", "200", *options, "--server",
                                     f"127.0.0.1:{listener.getsockname()[1]}", check=True)
                thread.join()
            return json.loads(done.stdout)["operations"][0]

        closed = run()
        self.assertGreaterEqual(closed["max_ms"], 1000 * stall_s)
        opened = run("--rate", "100", "--pipeline", "8")
        self.assertEqual(opened["replies"], 200)
        self.assertGreaterEqual(opened["max_ms"], 1000 * stall_s)
        self.assertGreaterEqual(opened["p90_ms"], 500 * stall_s, "all that were due meanwhile have seen the stall")
        self.assertLess(closed["p90_ms"], opened["p90_ms"], "one of 200 has")

    def test_what_is_never_sent_is_told(self):
        queries = self.fill_random()
        done = self.run_ctl("bench", self.name, "--queries", queries, "--rate", "1000000", "--pipeline", "1", "--connections",
                            "1", "--duration", "0.2", "--warmup", "0", "--output", "json")
        reply = json.loads(done.stdout)
        self.assertGreater(reply["unsent"], 0)
        self.assertEqual(reply["unsent"] + reply["operations"][0]["replies"], 200000)
        self.assertIn("did not keep up", done.stderr)

    def test_wrong_usage(self):
        queries = self.fill_random()
        base = ("bench", self.name, "--queries", queries)
        for options in (["--rate", "0"], ["--rate", "-1"], ["--rate", "x"], ["--rate", "1e9"], ["--count", "0"],
                        ["--duration", "0"], ["--duration", "nan"], ["--duration", "1e300"], ["--pipeline", "0"],
                        ["--pipeline", "1025"], ["--connections", "0"], ["--connections", "257"], ["--writes", "1.5"],
                        ["--writes", "-0.1"], ["--keep"], ["--warmup", "-1"], ["-k", "0"], ["--ef", "0"], ["--scale", "0x"]):
            with self.subTest(options):
                self.run_ctl(*base, *options, code=USAGE)
        self.run_ctl("bench", self.name, code=USAGE)
        self.run_ctl("bench", "nothing", "--queries", queries, code=NOT_FOUND)
        self.run_ctl("bench", self.name, "--queries", self.folder / "none.npy", code=FAILURE)
        wide = npy(self.folder / "wide.npy", [1.0] * 10, columns=5)
        self.assertIn("rows of 4", self.run_ctl("bench", self.name, "--queries", wide, code=FAILURE).stderr)
        self.client.ok(f"CREATE {self.name}-empty dim=4")
        self.assertIn("no points", self.run_ctl("bench", self.name + "-empty", "--queries", queries, code=FAILURE).stderr)
        self.assertEqual(self.live(), 400)


class Plot(LoadTest):
    def test_png_and_svg(self):
        queries = self.fill_random()
        base = ("eval", self.name, "--queries", queries, "--limit", "20", "--ef", "40,10", "--plot")
        self.run_ctl(*base, self.folder / "out.svg")
        text = (self.folder / "out.svg").read_text()
        xml.dom.minidom.parseString(text)
        for part in ("ef 10", "ef 40", "recall@10", "queries a second", self.name):
            self.assertIn(part, text)
        self.run_ctl(*base, self.folder / "out.png")
        self.assertEqual((self.folder / "out.png").read_bytes()[:4], b"\x89PNG")
        self.run_ctl(*base, self.folder / "out.pdf", code=USAGE)
        done = self.daemon.vsctl(*base, self.folder / "none" / "out.png")
        self.assertEqual(done.returncode, FAILURE)
        self.assertIn("recall@10", done.stdout, "what was measured is not lost")


class Tune(LoadTest):
    def tune(self, queries, target, *options, code=OK):
        return self.json("tune", self.name, "--queries", queries, "--target-recall", target, *options, code=code)

    def test_finds_the_smallest_ef_and_sets_it(self):
        queries = self.fill_random(3000, 16, "m=4 ef_construction=40")
        reply = self.tune(queries, "0.9", "--sample", "400")
        self.assertEqual((reply["k"], reply["target"], reply["queries"], reply["ef_search"]), (10, 0.9, 400, 64))
        by_ef = {step["ef"]: step for step in reply["steps"]}
        self.assertEqual(list(by_ef), sorted(by_ef))
        chosen = by_ef[reply["ef"]]
        self.assertTrue(chosen["chosen"])
        self.assertGreaterEqual(chosen["recall_low"], 0.9)
        self.assertGreater(chosen["recall"], chosen["recall_low"])
        self.assertLess(by_ef[reply["ef"] - 1]["recall_low"], 0.9)
        self.assertEqual(sum(step["chosen"] for step in reply["steps"]), 1)
        self.assertEqual(self.client.ok(f"STATS {self.name}")["ef_search"], 64, "without --set nothing changes")
        reply = self.tune(queries, "0.9", "--sample", "400", "--set")
        self.assertEqual(self.client.ok(f"STATS {self.name}")["ef_search"], reply["ef_search"])
        self.assertEqual(reply["ef"], reply["ef_search"])

    def test_what_cannot_be_told(self):
        queries = self.fill_random(300)
        reply = self.daemon.vsctl("tune", self.name, "--queries", queries, "--target-recall", "0.99", "--sample", "100",
                                  "--set", "--output", "json")
        self.assertEqual((reply.returncode, reply.stdout), (FAILURE, ""))
        self.assertIn("a recall of 0.99 cannot be told from 100 queries; expected at least 300, with --sample", reply.stderr)
        reply = self.run_ctl("tune", self.name, "--queries", queries, "--target-recall", "0.999", code=FAILURE)
        self.assertIn("expected at least 3000, in a larger file", reply.stderr)
        self.assertEqual(self.client.ok(f"STATS {self.name}")["ef_search"], 64)

    def test_explore(self):
        queries = self.fill_random(1500, 8)
        before = self.client.ok(f"STATS {self.name}")
        reply = self.tune(queries, "0.9", "--sample", "200", "--explore", "--m", "4,16", "--ef-construction", "40,200",
                          "--points", "1000", "--vsd", harness.program("VSD", "vsd"), "--scratch", self.folder)
        self.assertEqual([(row["m"], row["ef_construction"], row["present"]) for row in reply["explored"]],
                         [(16, 200, True), (4, 40, False), (4, 200, False), (16, 40, False)])
        for row in reply["explored"]:
            self.assertGreater(row["build_s"], 0)
            self.assertGreater(row["bytes_per_point"], 8 * 4)
            self.assertGreater(row["qps"], 0)
            self.assertGreaterEqual(row["recall_low"], 0.9)
        self.assertEqual(self.client.ok(f"STATS {self.name}"), before, "nothing changes on the daemon")
        self.assertEqual([c["name"] for c in self.client.ok("LIST")["collections"] if "sample" in c["name"]], [])
        self.assertEqual(list(self.folder.glob("vsctl-*")), [], "the private vsd leaves nothing")
        done = self.daemon.vsctl("tune", self.name, "--queries", queries, "--target-recall", "0.9", "--explore", "--vsd",
                                 "/nonexistent/vsd")
        self.assertEqual(done.returncode, FAILURE)
        self.assertIn("--vsd", done.stderr)
        self.assertIn("recall_low", done.stdout)

    def test_wrong_usage(self):
        queries = self.fill_random(20)
        for target in ("0", "1", "1.5", "-1", "x", "nan"):
            self.run_ctl("tune", self.name, "--queries", queries, "--target-recall", target, code=USAGE)
        self.run_ctl("tune", self.name, "--queries", queries, code=USAGE)
        for options in (["--m", "8"], ["--explore", "--m", "1"], ["--sample", "1"], ["--explore", "--points", "5"]):
            self.run_ctl("tune", self.name, "--queries", queries, "--target-recall", "0.9", *options, code=USAGE)
        self.run_ctl("tune", "nothing", "--queries", queries, "--target-recall", "0.9", code=NOT_FOUND)


class Alter(LoadTest):
    def test_at_once_and_for_good(self):
        self.fill_random(300)
        before = self.client.ok(f"STATS {self.name}")
        self.assertEqual(self.json("alter", self.name, "--ef-search", "123")["ef_search"], 123)
        explained = self.client.ok(f"SEARCH {self.name} [1,2,3,4] explain=true")["explain"]
        self.assertEqual(explained["ef"], 123)
        self.assertEqual(self.client.ok(f"STATS {self.name}"), dict(before, ef_search=123))
        self.assertRegex(self.run_ctl("alter", self.name, "--ef-search", "10000").stdout, r"(?m)^ef_search +10000$")
        for value in ("0", "10001", "x", "-1", "010"):
            self.run_ctl("alter", self.name, "--ef-search", value, code=USAGE)
        self.run_ctl("alter", self.name, code=USAGE)
        self.run_ctl("alter", "nothing", "--ef-search", "5", code=NOT_FOUND)


if __name__ == "__main__":
    harness.main()
