"""vsctl against a peer that is silent, answers nonsense or goes away, and vsctl that is stopped by Ctrl-C."""

import contextlib
import json
import os
import pathlib
import pty
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from test_vsctl import FAILURE, OK, PARTLY, UNREACHABLE, npy

STATS = 'OK {"dim":2,"metric":"l2","m":16,"live":1000,"lsn":1000}'


def finish(process, timeout_s=harness.TIMEOUT_S):
    """Its exit code, output and errors; kills it if it does not end in time."""
    with process:
        try:
            output, errors = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return process.returncode, output, errors


class Peer:
    """Listens like vsd. answer(line) gives the reply's line, None for no reply, or raises Closed to hang up."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.server = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.lines = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rwb") as stream, contextlib.suppress(OSError):
            try:
                for raw in stream:
                    line = raw.decode().rstrip("\n")
                    self.lines.append(line)
                    reply = self.answer(line)
                    if reply is not None:
                        stream.write(reply.encode() + b"\n")
                        stream.flush()
            except harness.Closed:
                # A close with unread requests would reset the connection, and the kernel would then drop replies that the
                # client has not read.
                connection.shutdown(socket.SHUT_WR)
                while stream.read1():
                    pass

    def start(self, *arguments, stderr=subprocess.PIPE):
        command = [harness.program("VSCTL", "vsctl"), "--server", self.server, *map(str, arguments)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True)

    def run(self, *arguments):
        return finish(self.start(*arguments))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.listener.close()


class FaultTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vsctl-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)


class SilentPeer(FaultTest):
    def test_no_command_waits_for_ever(self):
        token = self.folder / "token"
        token.write_text("secret\n")
        vectors = npy(self.folder / "v.npy", [1, 2], columns=2)
        commands = (["ping"], ["info"], ["list"], ["stats", "c"], ["list", "--token-file", token],
                    ["add", "c", "1", "--vector", "1,2"], ["delete", "c", "1"], ["checkpoint"], ["import", "c", vectors])
        with Peer(lambda line: None) as peer:
            running = [(command, peer.start(*command)) for command in commands]
            for command, process in running:
                with self.subTest(command):
                    code, output, errors = finish(process, timeout_s=60)
                    self.assertEqual((code, output), (UNREACHABLE, ""), errors)
                    self.assertRegex(errors, r"no answer to (PING|INFO|LIST|STATS|AUTH) within 5 s; is vsd running\?")
                    self.assertNotIn("secret", errors)

    def test_what_may_take_long_is_waited_for(self):
        def answer(line):
            if line.startswith(("CHECKPOINT", "DROP")):
                time.sleep(6)
                return 'OK {"lsn":1}' if line == "CHECKPOINT" else "OK"
            return "OK"

        with Peer(answer) as peer:
            running = [peer.start("checkpoint"), peer.start("drop", "c", "--yes")]
            for process in running:
                code, _, errors = finish(process)
                self.assertEqual(code, OK, errors)


class Nonsense(FaultTest):
    def test_a_reply_without_its_object_is_no_success(self):
        vectors = npy(self.folder / "v.npy", [1, 2, 3, 4], columns=2)
        commands = (["info"], ["list"], ["stats", "c"], ["create", "c", "--dim", "2"], ["checkpoint"],
                    ["add", "c", "1", "--vector", "1,2"], ["get", "c", "1"], ["delete", "c", "1"], ["scan", "c"],
                    ["query", "c", "--id", "1"], ["import", "c", vectors], ["eval", "c", "--queries", vectors],
                    ["export", "c", self.folder / "out", "--format", "json"])
        for reply in ("OK", "OK {bad json}", 'OK {"a":1,}', "OK {}}"):
            for stats in (reply, STATS):
                with Peer(lambda line: "OK" if line == "PING" else stats if line.startswith("STATS") else reply) as peer:
                    for command in commands:
                        if command[0] == "stats" and stats == STATS:
                            continue
                        with self.subTest(command=command, reply=reply, stats=stats):
                            code, output, errors = peer.run(*command)
                            self.assertEqual(code, FAILURE, errors)
                            self.assertIn("JSON object", errors)
                            self.assertNotIn("internal", errors)
                            if command[0] != "import":
                                self.assertEqual(output, "")
        with Peer(lambda line: "OK {bad}") as peer:
            self.assertEqual(peer.run("ping")[0], FAILURE)


class StoppedImport(FaultTest):
    def setUp(self):
        super().setUp()
        self.vectors = npy(self.folder / "v.npy", range(20000), columns=2)

    def stop_at(self, count, action, *options, **start):
        """Runs an import of 10,000 rows; action(process) is called at row `count`. Rows 0..9 replace points."""
        running = []
        adds = []

        def answer(line):
            if not line.startswith("ADD"):
                return STATS if line.startswith("STATS") else "OK"
            adds.append(line)
            if len(adds) == count:
                harness.eventually(lambda: running)
                action(running[0])
            row = line.split(" ")[2]
            return f'OK {{"id":"{row}","lsn":1,"created":{"false" if int(row) < 10 else "true"}}}'

        with Peer(answer) as peer:
            process = peer.start("import", "c", self.vectors, *options, **start)
            running.append(process)
            return *finish(process), len(adds)

    def test_ctrl_c(self):
        def interrupt(process):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)

        code, output, errors, adds = self.stop_at(300, interrupt, "--output", "json")
        self.assertEqual(code, PARTLY, errors)
        reply = json.loads(output)
        # Every row that was sent has been waited for.
        self.assertEqual((reply["rows"], reply["replaced"], reply["rejected"], reply["stopped"]), (adds, 10, 0, True))
        self.assertLess(adds, 2000)
        self.assertIn(f"{adds} of 10000 rows are acknowledged", errors)
        code, output, errors, adds = self.stop_at(300, interrupt)
        self.assertEqual(code, PARTLY, errors)
        self.assertRegex(output, rf"^{adds} rows in [0-9.]+ s, \d+ rows/s, 10 replaced, stopped\n$")

    def test_ctrl_c_when_all_is_sent(self):
        code, output, errors, adds = self.stop_at(9999, lambda process: process.send_signal(signal.SIGINT), "--output", "json",
                                                  "--connections", "1")
        self.assertEqual((code, adds, json.loads(output)["stopped"]), (OK, 10000, False), errors)

    def test_ctrl_c_at_a_terminal(self):
        ours, theirs = pty.openpty()
        # One connection: while it waits here for the bar to be drawn, no other one ends the import.
        code, output, _, adds = self.stop_at(5000, lambda process: (time.sleep(0.3), process.send_signal(signal.SIGINT)),
                                             "--connections", "1", stderr=theirs)
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 4096):
                shown += data
        except OSError:
            pass  # the end of a pseudo-terminal
        os.close(ours)
        self.assertEqual(code, PARTLY)
        # The bar is wiped before the message.
        self.assertRegex(shown.decode(), r"\r\x1b\[Kvsctl: the import stopped, as it was told to: \d+ of 10000 rows are "
                                         r"acknowledged; [^\r\n]*\r\n$")

    def test_lost_connection(self):
        def hang_up(process):
            raise harness.Closed()

        code, output, errors, adds = self.stop_at(300, hang_up, "--output", "json", "--connections", "1")
        self.assertEqual(code, UNREACHABLE, errors)
        reply = json.loads(output)
        self.assertEqual((reply["rows"], reply["stopped"]), (299, True))
        self.assertIn("299 of 10000 rows are acknowledged", errors)


class StoppedExport(FaultTest):
    def test_nothing_is_left(self):
        running = []

        def page(cursor):
            points = ",".join(f'{{"id":"{i}","attributes":{{}},"vector":[1,2],"links":[[]]}}' for i in range(500))
            return f'OK {{"points":[{points}],"cursor":{cursor}}}'

        def interrupt():
            running[-1].send_signal(signal.SIGINT)
            time.sleep(0.2)
            return page('"c2"')

        def hang_up():
            raise harness.Closed()

        for at_second_page, expected in ((interrupt, FAILURE), (hang_up, UNREACHABLE), (lambda: "OK {", FAILURE)):
            def answer(line):
                if line.startswith("STATS"):
                    return STATS
                if not line.startswith("SCAN"):
                    return "OK"
                return at_second_page() if "cursor=" in line else page('"c1"')

            for file_format in ("numpy", "npz", "json", "jsonl", "fvecs", "seed"):
                with self.subTest(expected=expected, format=file_format), Peer(answer) as peer:
                    out = self.folder / f"out-{expected}-{file_format}"
                    process = peer.start("export", "c", out, "--format", file_format)
                    running.append(process)
                    code, _, errors = finish(process)
                    self.assertEqual(code, expected, errors)
                    self.assertFalse(out.exists())


if __name__ == "__main__":
    harness.main()
