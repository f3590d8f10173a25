"""vsctl import: the formats, what is wrong in files, dry runs, rejected rows, and going on after an interruption."""

import gzip
import json
import os
import pathlib
import pty
import random
import signal
import struct
import subprocess
import threading
import unittest
import zipfile

import harness
from test_vsctl import FAILURE, NOT_FOUND, OK, PARTLY, UNREACHABLE, USAGE, VsctlTest, npy


def vecs(path, rows, code="f"):
    pathlib.Path(path).write_bytes(b"".join(struct.pack(f"<i{len(row)}{code}", len(row), *row) for row in rows))
    return str(path)


class ImportTest(VsctlTest):
    def write(self, name, text):
        path = self.folder / name
        (path.write_bytes if isinstance(text, bytes) else path.write_text)(text)
        return str(path)

    def points(self, name=None):
        """{id: (vector, attributes)} of the collection."""
        reply = self.json("scan", name or self.name, "--all", "--with", "vector,attributes")
        return {point["id"]: (point["vector"], point["attributes"]) for point in reply["points"]}

    def stats(self):
        return self.client.ok(f"STATS {self.name}")

    def rejects(self, path=None):
        return [json.loads(line) for line in pathlib.Path(path or f"{self.name}.rejects.jsonl").read_text().splitlines()]


class Formats(ImportTest):
    def test_fvecs_bvecs_ivecs(self):
        for kind, code, rows in (("fvecs", "f", [[0.5, 1], [2, -3]]), ("bvecs", "B", [[0, 255], [7, 8]]),
                                 ("ivecs", "i", [[-1, 2], [3, 100000]])):
            path = vecs(self.folder / f"x.{kind}", rows, code)
            packed = self.write(f"y.{kind}.gz", gzip.compress(pathlib.Path(path).read_bytes()))
            nameless = vecs(self.folder / f"{kind}-file", rows, code)
            self.json("import", self.name, path, packed, "--id-prefix", kind, "--metric", "l2")
            self.json("import", self.name, nameless, "--format", kind, "--id-prefix", kind + "-")
            points = self.points()
            for row in range(2):
                for name in (f"{kind}{row}", f"{kind}{2 + row}", f"{kind}-{row}"):
                    self.assertEqual(points[name], (rows[row], {}))
        # They are queries and truth, too.
        truth = vecs(self.folder / "t.ivecs", [[0, 1], [1, 0]], "i")
        queries = vecs(self.folder / "q.fvecs", [[0.5, 1], [2, -3]])
        self.run_ctl("import", self.name + "-base", queries, "--metric", "l2")
        reply = self.json("eval", self.name + "-base", "--queries", queries, "--truth", truth, "-k", "2", "--ef", "16")
        self.assertEqual([row["recall"] for row in reply["results"]], [1])

    def test_csv(self):
        text = 'id,x,y,label,colour\r\na,1,2.5,7,"red, ""dark"""\r\n\r\nb,-3,1e2,x,\r\n'
        expected = {"a": ([1, 2.5], {"label": 7, "colour": 'red, "dark"'}), "b": ([-3, 100], {"label": "x", "colour": ""})}
        for path in (self.write("t.csv", text), self.write("nameless", gzip.compress(text.encode()))):
            reply = self.json("import", self.name, path, "--metric", "l2")
            self.assertEqual((reply["rows"], reply["rejected"]), (2, 0))
            self.assertEqual(self.points(), expected)
        self.json("import", self.name + "-n", self.write("n.csv", "1,2\n3,4\n"), "--metric", "l2", "--scale", "1/2")
        self.assertEqual(self.points(self.name + "-n"), {"0": ([0.5, 1], {}), "1": ([1.5, 2], {})})
        mixed = self.write("m.csv", "key,0,1\nk,5,6\n")
        self.assertIn("--header", self.run_ctl("import", self.name, mixed, code=FAILURE).stderr)
        self.json("import", self.name + "-m", mixed, "--header", "yes", "--metric", "l2")
        self.assertEqual(self.points(self.name + "-m"), {"0": ([5, 6], {"key": "k"})})

    def test_jsonl(self):
        vector = harness.f32([3, 4])
        text = '{"id":"a","vector":[1,-0],"attributes":{"n":1.50}}\n{"vector":"%s"}\n{"id":5,"vector":[5,6]}\n' % vector
        for path, arguments in ((self.write("t.jsonl", text), ()), (self.write("n", gzip.compress(text.encode())), ())):
            self.json("import", self.name, path, *arguments, "--metric", "l2")
            self.assertEqual(self.points(), {"a": ([1, 0], {"n": 1.5}), "1": ([3, 4], {}), "5": ([5, 6], {})})
        self.assertIn('{"n":1.50}', self.run_ctl("get", self.name, "a", "--output", "json").stdout)

    def test_standard_input(self):
        source = npy(self.folder / "v.npy", [1, 2, 3, 4], columns=2)
        command = [harness.program("VSCTL", "vsctl"), "--server", self.daemon.server, "import", self.name, "-", "--metric", "l2"]
        with zipfile.ZipFile(self.folder / "v.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(source, "vectors.npy")
        packed = (self.folder / "v.npz").read_bytes()
        inputs = [packed, gzip.compress(packed), pathlib.Path(source).read_bytes(), gzip.compress(pathlib.Path(source).read_bytes()),
                  b'{"vector":[1,2]}\n{"vector":[3,4]}\n', b"1,2\n3,4\n", gzip.compress(b"1,2\n3,4\n")]
        for data in inputs:
            done = subprocess.run(command, input=data, capture_output=True)
            self.assertEqual(done.returncode, OK, done.stderr)
            self.assertEqual(self.points(), {"0": ([1, 2], {}), "1": ([3, 4], {})})
        for data, part in ((b"", b"not a single byte"), (b"hello", b"--format")):
            done = subprocess.run(command, input=data, capture_output=True)
            self.assertEqual(done.returncode, FAILURE)
            self.assertIn(part, done.stderr)
        self.run_ctl("import", self.name, "-", "-", code=USAGE)
        self.run_ctl("import", self.name, "-", "--ids", "-", code=USAGE)

    def test_a_pipe_by_name(self):
        """It is read like a file when somebody writes into it; nobody does, and it is not waited for."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        for arguments in ([pipe], [self.write("v.csv", "1,2\n"), "--ids", pipe], [self.write("v.csv", "1,2\n"), "--labels", pipe]):
            done = self.run_ctl("import", self.name, *arguments, "--metric", "l2", code=FAILURE)
            self.assertRegex(done.stderr, "pipe: it is a pipe, and no program has it open for writing")
        self.assertNotIn(self.name, self.run_ctl("list").stdout)
        source = npy(self.folder / "v.npy", [1, 2, 3, 4], columns=2)
        archive = self.folder / "v.npz"
        with zipfile.ZipFile(archive, "w") as file:
            file.write(source, "vectors.npy")
        for i, data in enumerate((b"1,2\n3,4\n", pathlib.Path(source).read_bytes(), archive.read_bytes(),
                                  gzip.compress(archive.read_bytes()))):
            writer = subprocess.Popen(["sh", "-c", "cat > pipe"], stdin=subprocess.PIPE)
            self.addCleanup(writer.kill)
            threading.Thread(target=writer.communicate, args=(data,)).start()
            self.json("import", f"{self.name}-{i}", pipe, "--metric", "l2")
            self.assertEqual(self.points(f"{self.name}-{i}"), {"0": ([1, 2], {}), "1": ([3, 4], {})})
        writer = subprocess.Popen(["sh", "-c", "printf '8\\nshoe\\n' > pipe"])
        self.json("import", self.name, source, "--labels", pipe, "--metric", "l2")
        self.assertEqual([point[1]["label"] for point in self.points().values()], [8, "shoe"])
        self.assertEqual(writer.wait(), 0)

    def test_labels_of_text(self):
        vectors = npy(self.folder / "v.npy", [1, 2, 3], columns=1)
        labels = self.write("l.txt.gz", gzip.compress("7\nshoe\n007\n".encode()))
        self.json("import", self.name, vectors, "--labels", labels, "--metric", "l2")
        self.assertEqual([point[1]["label"] for point in self.points().values()], [7, "shoe", "007"])
        streamed = self.write("s.csv", "1\n2\n")
        done = self.run_ctl("import", self.name, streamed, "--labels", labels, code=FAILURE, output=True)
        self.assertIn("as many labels as rows, 2", done.stderr)

    def run_ctl(self, *arguments, output=False, **options):
        """With `output`, an error may come after some rows, and then there is a summary."""
        if not output:
            return super().run_ctl(*arguments, **options)
        done = self.daemon.vsctl(*arguments)
        self.assertEqual(done.returncode, options["code"], done.stderr)
        return done

    def test_a_stream_shows_its_rate(self):
        ours, theirs = pty.openpty()
        command = [harness.program("VSCTL", "vsctl"), "--server", self.daemon.server, "import", self.name]
        text = "".join(f"{i},{i % 7}\n" for i in range(30000))
        for source, shown_is in (("-", r"importing \d+ rows  \d+ rows/s\x1b"),
                                 (self.write("v.csv", text), r"importing \[[#.]+\] +\d+%  \d+ rows  \d+ rows/s  ETA \d+:\d\d")):
            with subprocess.Popen([*command, source, "--metric", "l2"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                  stderr=theirs, text=True) as process:
                process.stdin.write(text if source == "-" else "")
                process.stdin.close()
            self.assertEqual(process.returncode, OK)
            shown = os.read(ours, 1 << 20).decode()
            self.assertRegex(shown, shown_is)
        os.close(ours)
        os.close(theirs)


class WrongInput(ImportTest):
    def test_files_that_cannot_be_read(self):
        self.create(2)
        good = b"".join(struct.pack("<i2f", 2, i, i) for i in range(5))
        other = good + struct.pack("<i2f", 3, 1, 1)
        for name, data, part in (("t.fvecs", good[:-3], "after 4 rows 9 bytes are left"),
                                 ("d.fvecs", other, "row 5 claims 3 components"),
                                 ("n.fvecs", struct.pack("<i", -5), "claims -5"),
                                 ("q.csv", 'id,x,y\na,1,2\n"b,3,4\n', "line 3: the quote that begins here"),
                                 ("h.csv", "id,x,y\n", "no rows"),
                                 ("f.csv", "id,x,y\na,1\n", "line 2: expected 3 fields"),
                                 ("f.jsonl", '{"vector":[1,2\n', "line 1: expected one JSON object"),
                                 ("g.jsonl", gzip.compress(b'{"vector":[1,2]}\n' * 50000)[:-100], "truncated"),
                                 ("w.csv", "1,2,3\n", "2 numbers")):
            done = self.daemon.vsctl("import", self.name, self.write(name, data))
            self.assertEqual(done.returncode, FAILURE, name)
            self.assertIn(part, done.stderr, name)
            self.assertNotRegex(done.stderr, r"what\(\)|std::|internal")

    def test_rows_that_are_rejected(self):
        text = ("id,x,y\na,1,2\nb,1\nc,nan,1\nd,inf,1\na,3,4\n" + "e" * 513 + ",1,2\n,1,2\nf,1,z\ng,7,8\n"
                '"tab\there",1,2\n')
        path = self.write("bad.csv", text)
        done = self.run_ctl("import", self.name, path, "--metric", "l2", code=PARTLY)
        self.assertIn(f"row 1 ({path} line 3) was rejected: expected 3 fields as in the first line, got 2",
                      done.stderr)
        self.assertIn(f"all rejected rows stand in {self.name}.rejects.jsonl", done.stderr)
        self.assertEqual(set(self.points()), {"a", "g"})
        self.assertEqual(self.points()["a"][0], [1, 2])
        rows = sorted(self.rejects(), key=lambda row: row["row"])
        self.assertEqual([(row["file"], row["row"], row["line"], row["code"]) for row in rows],
                         [(path, row, row + 2, code) for row, code in
                          ((1, "bad_request"), (2, "not_finite"), (3, "not_finite"), (4, "exists"), (5, "too_large"),
                           (6, "bad_request"), (7, "bad_request"), (9, "bad_argument"))])
        self.assertEqual(set(rows[0]), {"file", "row", "line", "id", "code", "reason"})
        # JSON lists them as well; a file that is named is made even if it stays empty.
        reply = self.json("import", self.name, path, "--rejects", "r.jsonl", code=PARTLY)
        self.assertEqual((reply["rows"], reply["replaced"], reply["rejected"], len(reply["rejected_rows"])), (2, 2, 8, 8))
        self.assertEqual(len(self.rejects("r.jsonl")), 8)
        good = self.write("good.csv", "id,x,y\na,1,2\n")
        self.run_ctl("import", self.name, good, "--rejects", "r.jsonl")
        self.assertEqual(self.rejects("r.jsonl"), [])
        self.assertIn("--rejects", self.run_ctl("import", self.name, good, "--rejects", "none/r", code=FAILURE).stderr)

    def test_what_the_daemon_rejects_is_in_the_file(self):
        vectors = npy(self.folder / "v.npy", [1, 2, 0, 0], columns=2)
        self.run_ctl("import", self.name, vectors, "--metric", "cosine", code=PARTLY)
        self.assertEqual([(row["row"], row["id"], row["code"]) for row in self.rejects()], [(1, "1", "zero_vector")])
        self.assertNotIn("line", self.rejects()[0])

    def test_usage(self):
        for arguments in (["--resume", "--dry-run"], ["--header", "maybe"], ["--format", "guess"]):
            self.run_ctl("import", self.name, "v.csv", *arguments, code=USAGE)

    def test_the_file_goes_with_no_collection(self):
        path = self.write("v.csv", "1,2\n")
        self.assertIn("--dim 2", self.run_ctl("import", self.name, path, code=NOT_FOUND).stderr)
        self.assertIn("--dim 2", self.run_ctl("import", self.name, path, "--resume", code=NOT_FOUND).stderr)
        self.assertIn("--dim 2", self.run_ctl("import", self.name, path, "--dry-run", code=NOT_FOUND).stderr)


class DryRun(ImportTest):
    def test_nothing_changes(self):
        path = self.write("v.csv", "id,x,y\na,1,2\nb,0,0\na,3,4\nc,nan,1\n")
        reply = self.json("import", self.name, path, "--dry-run", "--metric", "cosine", code=PARTLY)
        self.assertEqual([(row["row"], row["code"]) for row in reply.pop("rejected_rows")],
                         [(1, "zero_vector"), (2, "exists"), (3, "not_finite")])
        self.assertEqual(reply, {"collection": self.name, "dry_run": True, "created": True, "dim": 2, "metric": "cosine",
                                 "rows": 1, "rejected": 3})
        self.run_ctl("stats", self.name, code=NOT_FOUND)
        self.create(2)
        done = self.run_ctl("import", self.name, path, "--dry-run", code=PARTLY)
        self.assertEqual(done.stdout, f"2 rows of 2 numbers would go into '{self.name}', l2, which has 0; 2 would be rejected\n")
        self.assertEqual(self.stats()["lsn"], 0)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["v.csv"])
        self.run_ctl("import", self.name, path, "--dry-run", "--rejects", "r.jsonl", code=PARTLY)
        self.assertEqual(len(self.rejects("r.jsonl")), 2)
        good = self.write("g.csv", "1,2\n")
        self.assertRegex(self.run_ctl("import", self.name, good, "--dry-run").stdout, "^1 rows of 2 numbers")
        wide = self.write("w.csv", "1,2,3\n")
        self.run_ctl("import", self.name, wide, "--dry-run", code=FAILURE)


    def test_settings_that_the_files_bring(self):
        self.client.ok(f"CREATE {self.name} dim=2 metric=cosine m=7")
        self.client.ok(f"ADD {self.name} a [1,2]")
        for file_format, out in (("npz", self.folder / "a.npz"), ("seed", self.folder / "seed")):
            self.run_ctl("export", self.name, out, "--format", file_format)
            copy = f"{self.name}-{file_format}"
            reply = self.json("import", copy, out, "--dry-run")
            self.assertEqual((reply["created"], reply["metric"], reply["rows"]), (True, "cosine", 1))
            self.assertEqual(self.json("import", copy, out, "--dry-run", "--metric", "l2")["metric"], "l2")
            self.run_ctl("stats", copy, code=NOT_FOUND)
            self.run_ctl("import", copy, out)
            stats = self.json("stats", copy)
            self.assertEqual((stats["metric"], stats["m"], stats["live"]), ("cosine", 7, 1))


class Resume(unittest.TestCase):
    """Each with a daemon of its own, since some end it. The rows are many enough that an import is caught in the middle."""

    ROWS, DIM = 12000, 32

    def setUp(self):
        self.folder = harness.tempfile.TemporaryDirectory(prefix="vsctl-test-")
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder.name)
        values = random.Random(1)
        self.vectors = npy("v.npy", [values.random() for _ in range(self.ROWS * self.DIM)], columns=self.DIM)
        self.daemon = harness.Daemon()
        self.addCleanup(self.daemon.close)
        self.client = self.daemon.connect()
        self.client.ok(f"CREATE c dim={self.DIM} ef_construction=500 seed=1")

    def stats(self):
        return self.client.ok("STATS c")

    def start(self, *arguments, **options):
        command = [harness.program("VSCTL", "vsctl"), "--server", self.daemon.server, "import", "c", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                **{"stdin": subprocess.DEVNULL, **options})

    def interrupt(self, process, number):
        """Sends the signal when some rows are in; returns the exit code."""
        harness.eventually(lambda: self.stats()["live"] > 3000)
        process.send_signal(number)
        process.communicate(timeout=harness.TIMEOUT_S)
        return process.returncode

    def resume(self, *arguments, code=OK, **options):
        process = self.start(*arguments, "--resume", "--output", "json", **options)
        output, errors = process.communicate(timeout=harness.TIMEOUT_S * 5)
        self.assertEqual(process.returncode, code, errors)
        return (json.loads(output) if output else None), errors

    def assert_all_once(self, reply):
        """Every row is in, and none was written twice: each write takes an LSN."""
        stats = self.stats()
        self.assertEqual((stats["live"], stats["lsn"], stats["deleted"]), (self.ROWS, self.ROWS, 0))
        self.assertEqual((reply["rows"] + reply["skipped"], reply["replaced"], reply["stopped"]), (self.ROWS, 0, False))
        self.assertGreater(reply["skipped"], 1000)

    def journals(self):
        folder = pathlib.Path(harness.STATE.name) / "vsctl"
        return list(folder.glob("import-c-*")) if folder.exists() else []

    def tearDown(self):
        for journal in self.journals():
            journal.unlink()

    def test_after_kill(self):
        self.assertEqual(self.interrupt(self.start(self.vectors), signal.SIGKILL), -signal.SIGKILL)
        self.assertEqual(len(self.journals()), 1)
        reply, errors = self.resume(self.vectors)
        self.assertEqual(errors, "")
        self.assert_all_once(reply)
        self.assertEqual(self.journals(), [])

    def test_after_kill_twice_and_without_the_journal(self):
        self.assertEqual(self.interrupt(self.start(self.vectors), signal.SIGKILL), -signal.SIGKILL)
        self.journals()[0].unlink()
        before = self.stats()["live"]
        process = self.start(self.vectors, "--resume")
        harness.eventually(lambda: self.stats()["live"] > before + 1000)
        process.kill()
        process.communicate()
        reply, _ = self.resume(self.vectors)
        self.assert_all_once(reply)

    def test_after_ctrl_c_others_changes_stay(self):
        self.assertEqual(self.interrupt(self.start(self.vectors), signal.SIGINT), PARTLY)
        here = self.stats()
        self.client.ok(f'ADD c 0 {harness.f32([1.0] * self.DIM)} {{"by":"others"}}')
        self.client.ok("DEL c 1")
        reply, errors = self.resume(self.vectors)
        self.assertEqual(errors, "")
        self.assertEqual(reply["rows"] + reply["skipped"], self.ROWS)
        self.assertEqual(reply["skipped"], here["live"])
        self.assertEqual(self.client.ok("GET c 0")["attributes"], {"by": "others"})
        self.assertEqual(self.client.error("GET c 1"), "not_found")
        self.assertEqual(self.stats()["lsn"], self.ROWS + 2)

    def test_after_a_restart_of_the_daemon(self):
        process = self.start(self.vectors)
        harness.eventually(lambda: self.stats()["live"] > 1000)
        self.daemon.kill()
        _, errors = process.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(process.returncode, UNREACHABLE, errors)
        self.assertIn("--resume", errors)
        self.daemon.start()
        self.client = self.daemon.connect()
        reply, _ = self.resume(self.vectors)
        self.assert_all_once(reply)

    def test_of_a_pipe(self):
        lines = pathlib.Path("v.jsonl")
        values = random.Random(2)
        with lines.open("w") as file:
            for i in range(self.ROWS):
                file.write('{"id":"r%d","vector":%s}\n' % (i, json.dumps([values.random() for _ in range(self.DIM)])))
        with lines.open() as source:
            self.assertEqual(self.interrupt(self.start("-", stdin=source), signal.SIGKILL), -signal.SIGKILL)
        with open(self.vectors) as other:
            _, errors = self.resume("-", code=FAILURE, stdin=other)
            self.assertIn("a pipe cannot be read again", errors)
        with lines.open() as source:
            reply, _ = self.resume("-", stdin=source)
        self.assert_all_once(reply)

    def test_of_an_npz_file_and_of_a_folder(self):
        folder = pathlib.Path("seed")
        folder.mkdir()
        os.link(self.vectors, folder / "vectors.npy")
        (folder / "meta.json").write_text(json.dumps({"dim": self.DIM, "metric": "l2"}))
        head = f"{{'descr': '|b1', 'fortran_order': False, 'shape': ({self.ROWS},), }}".ljust(117).encode() + b"\n"
        (folder / "tombstones.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(self.ROWS))
        with zipfile.ZipFile("v.npz", "w") as archive:
            archive.write(self.vectors, "vectors.npy")
        for source in ("seed", "v.npz"):
            with self.subTest(source):
                self.assertEqual(self.interrupt(self.start(source), signal.SIGKILL), -signal.SIGKILL)
                reply, errors = self.resume(source)
                self.assertEqual(errors, "")
                self.assert_all_once(reply)
                self.client.ok("DROP c")
                self.client.ok(f"CREATE c dim={self.DIM} ef_construction=500 seed=1")

    def test_other_options_are_noticed(self):
        self.assertEqual(self.interrupt(self.start(self.vectors), signal.SIGINT), PARTLY)
        live = self.stats()["live"]
        reply, errors = self.resume(self.vectors, "--scale", "1/2")
        self.assertIn("not those of the interrupted import", errors)
        self.assertEqual((reply["rows"], reply["replaced"], reply["skipped"]), (self.ROWS, live, 0))

    def test_a_collection_that_was_made_anew(self):
        self.assertEqual(self.interrupt(self.start(self.vectors), signal.SIGINT), PARTLY)
        self.client.ok("DROP c")
        self.client.ok(f"CREATE c dim={self.DIM} seed=1")
        for reply in self.client.pipeline([f"ADD c x{i % 5} {harness.f32([i] * self.DIM)}" for i in range(self.ROWS)]):
            self.assertEqual(reply[0], "OK")
        # The seed and the LSNs could be those of the import; the points are not.
        reply, errors = self.resume(self.vectors)
        self.assertIn("no longer has the rows", errors)
        self.assertEqual((reply["rows"], reply["skipped"]), (self.ROWS, 0))
        self.assertEqual(self.stats()["live"], self.ROWS + 5)

    def test_of_a_finished_import_sends_nothing(self):
        small = npy("s.npy", [1.0] * self.DIM * 10, columns=self.DIM)
        reply, errors = self.resume(small)
        self.assertEqual((reply["rows"], reply["skipped"], errors), (10, 0, ""))
        reply, errors = self.resume(small)
        self.assertEqual((reply["rows"], reply["skipped"]), (0, 10))
        self.assertIn("every row is compared", errors)
        self.assertEqual(self.stats()["lsn"], 10)

    def test_a_second_import_at_the_same_time(self):
        first = self.start(self.vectors)
        harness.eventually(lambda: self.stats()["live"] > 1000)
        _, errors = self.resume(self.vectors, code=FAILURE)
        self.assertIn("another import", errors)
        first.kill()
        first.communicate()

    def test_rejected_rows_are_written_once(self):
        values = random.Random(3)
        with open("v.csv", "w") as file:
            for i in range(self.ROWS):
                row = [str(values.random()) for _ in range(self.DIM)]
                file.write(",".join(row if i % 10 != 9 else ["nan", *row[1:]]) + "\n")
        self.assertEqual(self.interrupt(self.start("v.csv"), signal.SIGKILL), -signal.SIGKILL)
        reply, errors = self.resume("v.csv", code=PARTLY)
        self.assertIn("rejected before the interruption; see c.rejects.jsonl", errors)
        rows = [json.loads(line)["row"] for line in pathlib.Path("c.rejects.jsonl").read_text().splitlines()]
        self.assertEqual(sorted(rows), list(range(9, self.ROWS, 10)))
        good = self.ROWS - self.ROWS // 10
        self.assertEqual(reply["rows"] + reply["skipped"], good)
        self.assertEqual((self.stats()["live"], self.stats()["lsn"]), (good, good))


if __name__ == "__main__":
    harness.main()
