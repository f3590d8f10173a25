"""Every command of vsctl against a real vsd: output, JSON, exit codes and wrong usage."""

import csv
import io
import json
import os
import pathlib
import pty
import struct
import subprocess
import tempfile

import harness

OK, FAILURE, USAGE, NOT_FOUND, UNREACHABLE, PARTLY = 0, 1, 2, 3, 4, 6


def npy(path, values, descr="<f4", columns=None):
    """Writes numbers as an NPY file without numpy; rows of `columns` numbers, or one dimension."""
    shape = f"({len(values)},)" if columns is None else f"({len(values) // columns}, {columns})"
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    code = {"<f4": "f", "<i4": "i", "|u1": "B"}[descr]
    data = struct.pack(f"<{len(values)}{code}", *values)
    pathlib.Path(path).write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data)
    return str(path)


class VsctlTest(harness.DaemonTest):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="vsctl-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        # Imports write a file of rejected rows where they are started.
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)

    def run_ctl(self, *arguments, code=OK, **options):
        """Runs vsctl and checks its exit code; errors print nothing to stdout and one or more vsctl: lines to stderr."""
        done = self.daemon.vsctl(*arguments, **options)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stderr}")
        if code not in (OK, PARTLY):
            self.assertEqual(done.stdout, "", f"{arguments}")
            self.assertRegex(done.stderr, r"^vsctl: ")
            self.assertNotRegex(done.stderr, r"what\(\)|Error:|std::|CLI::")
        return done

    def json(self, *arguments, code=OK):
        return json.loads(self.run_ctl(*arguments, "--output", "json", code=code).stdout)

    def csv(self, *arguments):
        return list(csv.reader(io.StringIO(self.run_ctl(*arguments, "--output", "csv").stdout)))

    def fill(self, count=20):
        """Points 0.. at (i, 0) with label i % 3."""
        self.create(2)
        for reply in self.client.pipeline([f'ADD {self.name} {i} [{i},0] {{"label":{i % 3}}}' for i in range(count)]):
            self.assertEqual(reply[0], "OK")


class CollectionCommands(VsctlTest):
    def test_ping(self):
        self.assertRegex(self.run_ctl("ping").stdout, r"^ok  127\.0\.0\.1:\d+  [0-9.]+ ms\n$")
        self.assertEqual(set(self.json("ping")), {"server", "ms"})
        self.assertEqual(self.csv("ping")[0], ["server", "ms"])

    def test_info(self):
        self.assertRegex(self.run_ctl("info").stdout, r"(?m)^version +\d")
        self.assertIn("uptime_s", self.json("info"))
        self.assertIn(["field", "value"], self.csv("info"))

    def test_create_list_stats_drop(self):
        created = self.json("create", self.name, "--dim", "5", "--metric", "cosine", "--m", "8", "--ef-construction", "50",
                            "--ml", "0.4", "--ef-search", "33", "--seed", "18446744073709551615")
        self.assertEqual({key: created[key] for key in ("dim", "metric", "m", "ef_construction", "ml", "ef_search", "seed")},
                         {"dim": 5, "metric": "cosine", "m": 8, "ef_construction": 50, "ml": 0.4, "ef_search": 33,
                          "seed": 18446744073709551615})
        self.assertIn(self.name, [c["name"] for c in self.json("list")["collections"]])
        self.assertRegex(self.run_ctl("list").stdout, rf"(?m)^{self.name} +5 +cosine +0")
        self.assertEqual(self.json("stats", self.name)["live"], 0)
        self.assertRegex(self.run_ctl("stats", self.name).stdout, r"(?m)^dim +5$")
        self.assertIn("already", self.run_ctl("create", self.name, "--dim", "5", code=FAILURE).stderr)
        self.assertIn("--yes", self.run_ctl("drop", self.name, code=USAGE).stderr)
        self.assertEqual(self.run_ctl("drop", self.name, "--yes").stdout, f"dropped {self.name}\n")
        self.run_ctl("stats", self.name, code=NOT_FOUND)
        self.run_ctl("drop", self.name, "--yes", code=NOT_FOUND)

    def test_drop_json(self):
        self.create()
        self.assertEqual(self.json("drop", self.name, "-y"), {"dropped": self.name})

    def drop_at_terminal(self, answer):
        ours, theirs = pty.openpty()
        command = [harness.program("VSCTL", "vsctl"), "--server", self.daemon.server, "drop", self.name]
        with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs) as process:
            shown = b""
            while b"[y/N]" not in shown:
                shown += os.read(ours, 1000)
            os.write(ours, answer)
            process.wait(harness.TIMEOUT_S)
        os.close(theirs)
        os.close(ours)
        return process.returncode, shown.decode()

    def test_drop_asks_at_a_terminal(self):
        self.fill(3)
        code, question = self.drop_at_terminal(b"n\n")
        self.assertEqual(code, FAILURE)
        self.assertIn(f"Drop collection '{self.name}' with its 3 points?", question)
        self.assertEqual(self.json("stats", self.name)["live"], 3)
        self.assertEqual(self.drop_at_terminal(b"y\n")[0], OK)
        self.run_ctl("stats", self.name, code=NOT_FOUND)

    def test_checkpoint(self):
        self.assertIn("lsn", self.json("checkpoint"))

    def test_closed_pipe_is_quiet(self):
        self.fill(1000)
        command = [harness.program("VSCTL", "vsctl"), "--server", self.daemon.server, "scan", self.name, "--all"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.read(10)
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")


class PointCommands(VsctlTest):
    def test_add_get_delete(self):
        self.create()
        self.assertEqual(self.run_ctl("add", self.name, "a b", "--vector", "0.1,-2").stdout, "added a b\n")
        self.assertEqual(self.run_ctl("add", self.name, "a b", "--vector", "[0.1, -2]").stdout, "replaced a b\n")
        reply = self.json("add", self.name, "x=\"1\"", "--vector", harness.f32([3, 4]), "--attributes", '{"a":\n [1, "é"]}')
        self.assertEqual((reply["id"], reply["created"]), ('x="1"', True))
        got = self.json("get", self.name, 'x="1"', "--with-vector")
        self.assertEqual((got["id"], got["attributes"], got["vector"]), ('x="1"', {"a": [1, "é"]}, [3, 4]))
        self.assertNotIn("vector", self.json("get", self.name, "a b"))
        self.assertRegex(self.run_ctl("get", self.name, "a b", "--with-vector").stdout,
                         r"^id +a b\nattributes +\{\}\nvector +\[0\.1,-2\]\n$")
        self.run_ctl("add", self.name, "a b", "--vector", "1,2", "--if", "absent", code=FAILURE)
        self.run_ctl("add", self.name, "new", "--vector", "1,2", "--if", "present", code=NOT_FOUND)
        self.run_ctl("add", self.name, "new", "--vector", "1,2,3", code=FAILURE)
        self.run_ctl("get", self.name, "new", code=NOT_FOUND)
        done = self.run_ctl("delete", self.name, "a b", "gone", "lost", code=PARTLY)
        self.assertEqual(done.stdout, "deleted 1\n")
        self.assertIn("'gone'", done.stderr)
        self.assertIn("'lost'", done.stderr)
        self.assertEqual(self.json("delete", self.name, 'x="1"'), {"deleted": 1, "missing": []})

    def test_an_id_in_brackets_is_one_id(self):
        self.create()
        ids = ["xa", "ya", "[xa,ya]", "[xa]", "[]", "{}", "[[xa,ya]]", "%%", "xa,ya", '["xa","ya"]', "[xa"]
        for name in ids:
            self.run_ctl("add", self.name, name, "--vector", "1,2")
            self.assertEqual(self.json("get", self.name, name)["id"], name)
            self.assertNotIn(name, [match["id"] for match in self.json("query", self.name, "--id", name)["matches"]])
        for name in ids[2:]:
            self.assertEqual(self.run_ctl("delete", self.name, name).stdout, "deleted 1\n", name)
        self.assertEqual([point["id"] for point in self.json("scan", self.name)["points"]], ["xa", "ya"])
        self.run_ctl("delete", self.name, "[xa,ya]", "[xa]", code=NOT_FOUND)
        self.run_ctl("delete", self.name, "--", "[xa,ya]", code=NOT_FOUND)
        self.assertEqual(self.json("delete", self.name, "xa", "[xa,ya]", code=PARTLY),
                         {"deleted": 1, "missing": ["[xa,ya]"]})
        self.assertIn("vsctl: there is no command '[a]'", harness.vsctl("[a]").stderr)

    def test_nothing_controls_the_terminal(self):
        self.create()
        # CSI as one character, the bell that ends a title, and one that writes from right to left.
        name, bad = "x\u009b31my\u202ez", "\u009b31m"
        self.run_ctl("add", self.name, name, "--vector", "1,2", "--attributes", json.dumps({"label": bad}, ensure_ascii=False))
        for done in (self.run_ctl("get", self.name, name), self.run_ctl("scan", self.name),
                     self.run_ctl("query", self.name, "--vector", "1,2"), 
                     self.run_ctl("delete", self.name, name, "a\u009b", code=PARTLY),
                     self.run_ctl("add", self.name, name, "--vector", "1,2")):
            for text in (done.stdout, done.stderr):
                self.assertNotRegex(text, "[\u0080-\u009f\u202a-\u202e]")
        self.assertEqual(self.run_ctl("get", self.name, name).stdout.splitlines()[0], "id          x?31my?z")
        self.assertEqual(self.json("get", self.name, name)["id"], name)

    def test_delete_of_nothing(self):
        self.create()
        done = self.daemon.vsctl("delete", self.name, "a", "b", "--output", "json")
        self.assertEqual((done.returncode, json.loads(done.stdout)), (NOT_FOUND, {"deleted": 0, "missing": ["a", "b"]}))
        self.run_ctl("delete", self.name, "a", code=NOT_FOUND)

    def test_attributes_stay_as_they_were_given(self):
        self.create()
        digits = "123456789012345678901234567890123456789012345"
        for i, attributes in enumerate(['{"population":1e39}', f'{{"digits":{digits}}}', '{"zero":-0,"f":-0.0}',
                                        '{"spaced" : [1.0,  2]}', '{"label":1e39}']):
            with self.subTest(attributes):
                self.run_ctl("add", self.name, i, "--vector", f"{i},0", "--attributes", attributes)
                self.assertEqual(self.run_ctl("get", self.name, i).stdout, f"id          {i}\nattributes  {attributes}\n")
                self.assertIn(attributes, self.run_ctl("get", self.name, i, "--output", "json").stdout)
                for output in ("table", "json"):
                    self.assertIn(attributes, self.run_ctl("scan", self.name, "--output", output).stdout)
                found = self.run_ctl("query", self.name, "--vector", f"{i},0", "-k", "1", "--output", "json").stdout
                self.assertIn(attributes, found)
        self.assertRegex(self.run_ctl("query", self.name, "--vector", "4,0", "-k", "1").stdout, r"4 +1e39 +0\.0000\n")
        for file_format, file in (("numpy", "attributes.jsonl"), ("json", "points.json")):
            self.run_ctl("export", self.name, self.folder / file_format, "--format", file_format)
            text = (self.folder / file_format / file).read_text()
            for attributes in ('{"population":1e39}', digits, '{"zero":-0,"f":-0.0}', '{"spaced" : [1.0,  2]}'):
                self.assertIn(attributes, text)

    def test_add_from_file(self):
        self.create()
        path = npy(self.folder / "v.npy", [0, 51, 255, 102], "|u1", 2)
        self.run_ctl("add", self.name, "p", "--file", path, "--row", "1", "--scale", "1/255")
        self.assertEqual(self.json("get", self.name, "p", "--with-vector")["vector"], [1, 0.4])
        self.assertIn("2 rows", self.run_ctl("add", self.name, "p", "--file", path, "--row", "2", code=USAGE).stderr)
        self.run_ctl("add", self.name, "p", "--file", self.folder / "none", code=FAILURE)

    def test_scan(self):
        self.fill(25)
        page = self.json("scan", self.name, "--limit", "10", "--with", "vector")
        self.assertEqual([point["id"] for point in page["points"]], [str(i) for i in range(10)])
        self.assertEqual(page["points"][3], {"id": "3", "vector": [3, 0]})
        rest = self.json("scan", self.name, "--cursor", page["cursor"])
        self.assertEqual([point["id"] for point in rest["points"]], [str(i) for i in range(10, 25)])
        self.assertIsNone(rest["cursor"])
        whole = self.json("scan", self.name, "--all", "--with", "attributes,links")
        self.assertEqual(len(whole["points"]), 25)
        self.assertEqual(set(whole["points"][0]), {"id", "attributes", "links"})
        done = self.run_ctl("scan", self.name, "--limit", "2")
        self.assertEqual(done.stdout, 'id  attributes\n0   {"label":0}\n1   {"label":1}\n')
        self.assertIn("--cursor", done.stderr)
        self.assertEqual(self.csv("scan", self.name, "--with", "none", "--all"), [["id"]] + [[str(i)] for i in range(25)])
        self.run_ctl("scan", self.name, "--cursor", "x", code=USAGE)
        self.run_ctl("scan", "nothing", "--output", "json", code=NOT_FOUND)

    def test_a_long_scan_has_one_header(self):
        self.create()
        self.client.pipeline([f"ADD {self.name} {i} [1,2]" for i in range(1500)])
        self.client.ok(f"ADD {self.name} a-long-id-on-the-second-page [1,2]")
        lines = self.run_ctl("scan", self.name, "--all").stdout.splitlines()
        self.assertEqual((len(lines), lines[0], lines[1]), (1502, "id   attributes", "0    {}"))
        self.assertEqual([line for line in lines if line.startswith("id")], lines[:1])
        self.assertEqual(lines[-1], "a-long-id-on-the-second-page  {}")

    def test_scan_empty(self):
        self.create()
        self.assertEqual(self.json("scan", self.name), {"points": [], "cursor": None})
        self.assertEqual(self.csv("scan", self.name), [["id", "attributes"]])


if __name__ == "__main__":
    harness.main()
