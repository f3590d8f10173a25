"""vsctl query and why-not: outputs, several queries, explain, pictures, and why a point was not found."""

import base64
import csv
import html.parser
import io
import json
import os
import pty
import random
import struct
import subprocess
import unittest

import harness
from checks import DIM, M, Files, add_points
from test_vsctl import FAILURE, NOT_FOUND, OK, USAGE, VsctlTest, npy


def png_size(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n", data[:8]
    return struct.unpack(">II", data[16:24])


class Page(html.parser.HTMLParser):
    """What a page shows and would load; fails on tags that do not match."""

    VOID = {"meta", "img"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.images, self.loads, self.texts = [], [], [], [], []
        self.feed(text)
        self.close()
        if self.open:
            raise AssertionError(f"not closed: {self.open}")

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        attributes = dict(attributes)
        if tag == "img":
            self.images.append(attributes)
        self.loads += [attributes[name] for name in ("src", "href", "action", "srcset") if name in attributes]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> does not match")

    def handle_data(self, data):
        if data.strip() and self.open[-1] != "style":
            self.texts.append(data.strip())


class Query(VsctlTest):
    def test_outputs(self):
        self.fill()
        self.assertEqual(self.run_ctl("query", self.name, "--vector", "4.25,0", "-k", "2").stdout,
                         "rank  id  label  distance\n   1  4   1        0.2500\n   2  5   2        0.7500\n")
        reply = self.json("query", self.name, "--id", "4", "-k", "3", "--ef", "50")
        self.assertEqual(reply["matches"][0], {"id": "3", "distance": 1, "attributes": {"label": 0}})
        self.assertEqual(len(reply["matches"]), 3)
        self.assertEqual(self.csv("query", self.name, "--vector", "0,0", "-k", "1", "--exact"),
                         [["rank", "id", "label", "distance"], ["1", "0", "0", "0"]])
        self.assertEqual(len(self.json("query", self.name, "--vector", "0,0", "--radius", "2.5")["matches"]), 3)
        self.run_ctl("query", self.name, "--id", "none", code=NOT_FOUND)
        self.run_ctl("query", "nothing", "--id", "1", code=NOT_FOUND)
        self.run_ctl("query", self.name, "--vector", "1", code=FAILURE)

    def test_explain(self):
        self.fill()
        explain = self.json("query", self.name, "--vector", "0,0", "--ef", "7", "-k", "3", "--explain")["explain"]
        self.assertEqual((explain["ef"], explain["exact"], explain["fell_back"]), (7, False, False))
        self.assertEqual(sum(explain["distances_from"].values()), explain["distances"])
        shown = self.run_ctl("query", self.name, "--vector", "0,0", "--ef", "7", "-k", "3", "--explain").stdout
        self.assertRegex(shown, r"(?m)^search +graph, ef 7$")
        self.assertRegex(shown, rf"(?m)^entry point +{explain['entry_point']}$")
        for layer, hops in enumerate(explain["hops"]):
            self.assertRegex(shown, rf"(?m)^layer {layer} +{hops} hops?$")
        self.assertRegex(shown, r"(?m)^distances +\d+: \d+ from floats$")
        self.assertRegex(shown, r"(?m)^time +\d+ µs$")
        self.assertIn("all points compared\n",
                      self.run_ctl("query", self.name, "--vector", "0,0", "--exact", "--explain").stdout)
        done = self.run_ctl("query", self.name, "--vector", "0,0", "--explain", "--output", "csv")
        self.assertNotIn("search", done.stdout)
        self.assertRegex(done.stderr, r"(?m)^search +graph, ef 64$")

    def test_several_queries(self):
        self.fill()
        path = npy(self.folder / "v.npy", [4.25, 0, 7, 0, 9.5, 1], columns=2)
        self.assertEqual(self.run_ctl("query", self.name, "--file", path, "--row", "0,2", "-k", "1").stdout,
                         "query  rank  id  label  distance\n    0     1  4   1        0.2500\n"
                         "    2     1  9   0        1.1180\n")
        reply = self.json("query", self.name, "--file", path, "--row", "1-2,0", "-k", "2", "--explain")
        self.assertEqual([(one["row"], [match["id"] for match in one["matches"]]) for one in reply["queries"]],
                         [(1, ["7", "6"]), (2, ["9", "10"]), (0, ["4", "5"])])
        self.assertIn("ef", reply["queries"][2]["explain"])
        self.assertEqual(set(self.json("query", self.name, "--file", path, "--row", "2-2")), {"matches"})
        self.client.ok(f'ADD {self.name} "[a,b]" [0,9]')
        reply = self.json("query", self.name, "--id", "[a,b]", "-k", "1", "--id", "19")
        self.assertEqual([(one["id"], one["matches"][0]["id"]) for one in reply["queries"]], [("[a,b]", "0"), ("19", "18")])
        self.assertEqual(self.csv("query", "--id", "19", "--id", "[a,b]", self.name, "-k", "1"),
                         [["query", "rank", "id", "label", "distance"], ["19", "1", "18", "0", "1"],
                          ["[a,b]", "1", "0", "0", "9"]])
        self.assertRegex(self.run_ctl("query", self.name, "--id", "1", "--id", "2", "--explain").stdout,
                         r"(?m)^query 1\nsearch +graph")
        self.run_ctl("query", self.name, "--id", "1", "--id", "none", code=NOT_FOUND)
        for rows in ("3", "0-3", "1,", "2-1", "-", "0-5000"):
            self.run_ctl("query", self.name, "--file", path, "--row", rows, code=USAGE)
        self.run_ctl("query", self.name, "--id", "1", "--id", "2", "--vector", "1,2", code=USAGE)
        many = npy(self.folder / "m.npy", [0] * 400, columns=2)
        self.assertIn("fewer", self.run_ctl("query", self.name, "--file", many, "--row", "0-199", "-k", "10000",
                                            code=USAGE).stderr)

    def fill_images(self, dim=4):
        self.client.ok(f"CREATE {self.name} dim={dim} seed=1")
        for i in range(5):
            vector = [0, i, 2 * i, 1] + [i] * (dim - 4)
            self.client.ok(f'ADD {self.name} {i} {json.dumps(vector)} {{"label":"l{i}"}}')

    def test_pictures(self):
        self.fill_images()
        picture = self.folder / "out.png"
        reply = self.json("query", self.name, "--id", "2", "-k", "3", "--picture", picture)
        self.assertNotIn("vector", reply["matches"][0])
        width, height = png_size(picture.read_bytes())
        self.assertGreater(width, 4 * 100)
        reply = self.json("query", self.name, "--id", "2", "--id", "0", "-k", "3", "--picture", picture)
        self.assertNotIn("vector", reply["queries"][1]["matches"][0])
        wider, higher = png_size(picture.read_bytes())
        self.assertEqual(wider, width)
        self.assertGreater(higher, 2 * height)
        shown = self.run_ctl("query", self.name, "--id", "2", "-k", "1", "--show").stdout
        self.assertRegex(shown, r"query 2 +id [13]\nlabel l2 +label l[13]\n")
        self.assertNotIn("\033", shown)
        done = self.run_ctl("query", self.name, "--id", "2", "--show", "--shape", "1x4", "--output", "json")
        json.loads(done.stdout)
        self.assertIn("query 2", done.stderr)
        self.run_ctl("query", self.name, "--id", "2", "--show", "--shape", "3x4", code=USAGE)
        self.run_ctl("query", self.name, "--id", "2", "--picture", "/nonexistent/a.png", code=FAILURE)
        self.run_ctl("query", self.name, "--id", "2", "--picture", "/nonexistent/a.html", code=FAILURE)
        for name in ("a.gif", ".png", ".html", "a.htm", "png"):
            self.run_ctl("query", self.name, "--id", "2", "--picture", name, code=USAGE)

    def test_a_vector_that_is_no_image(self):
        self.fill_images(6)
        picture = self.folder / "out.png"
        done = self.run_ctl("query", self.name, "--id", "2", "--picture", picture, code=USAGE)
        self.assertIn("--shape", done.stderr)
        self.assertFalse(picture.exists())
        self.run_ctl("query", self.name, "--id", "2", "--picture", picture, "--shape", "2x3")
        self.run_ctl("query", self.name, "--id", "2", "--picture", picture, "--shape", "1x2x3")
        self.run_ctl("query", self.name, "--id", "2", "--picture", picture, "--shape", "3x2x1")

    def test_page(self):
        self.fill_images(12)
        bad = "<b>\"'&\u202e"
        self.client.ok(f'ADD {self.name} {json.dumps(bad)} {[1] * 12} {{"label":"</dd><script>"}}')
        path = self.folder / "out.html"
        self.run_ctl("query", self.name, "--id", "2", "--id", bad, "-k", "9", "--picture", path)
        text = path.read_text()
        page = Page(text)
        self.assertEqual(len(page.images), 2 * 6)
        self.assertTrue(all(load.startswith("data:image/png;base64,") for load in page.loads), page.loads)
        for image in page.images:
            self.assertEqual(png_size(base64.b64decode(image["src"].split(",", 1)[1], validate=True)), (2, 2))
            self.assertEqual((image["width"], image["height"]), ("112", "112"))
            self.assertRegex(image["alt"], r"^(query|neighbour \d): id .+, label .+")
        self.assertEqual(page.images[0]["alt"], "query: id 2, label l2")
        self.assertTrue({"script", "b", "link", "iframe"}.isdisjoint(page.tags))
        self.assertIn("<b>\"'&?", page.texts)
        self.assertIn("</dd><script>", page.texts)
        self.assertNotRegex(text, r"https?:|@import|url\(")
        self.assertIn("prefers-color-scheme: dark", text)

    def show_at_a_terminal(self, **environment):
        ours, theirs = pty.openpty()
        command = [harness.program("VSCTL", "vsctl"), "--server", self.daemon.server, "query", self.name, "--id", "2", "--show"]
        clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.STDOUT,
                              env=dict(clean, **environment)) as process:
            os.close(theirs)
            shown = b""
            try:
                while data := os.read(ours, 65536):
                    shown += data
            except OSError:  # Linux's end of a terminal
                pass
            self.assertEqual(process.wait(harness.TIMEOUT_S), OK, shown)
        os.close(ours)
        return shown.decode()

    def test_colours_at_a_terminal(self):
        self.fill_images()
        for environment in ({"TERM": "xterm-256color"}, {"TERM": "xterm", "NO_COLOR": ""}):
            self.assertRegex(self.show_at_a_terminal(**environment), r"\033\[48;2;255;255;255m\u2580")
        for environment in ({"TERM": "dumb"}, {}, {"TERM": "xterm", "NO_COLOR": "1"}):
            shown = self.show_at_a_terminal(**environment)
            self.assertNotIn("\033", shown, environment)
            self.assertIn("query 2", shown)

    def test_labels_of_the_query(self):
        self.create()
        self.client.ok(f'ADD {self.name} a [1,1] {{"label":8}}')
        path = npy(self.folder / "v.npy", [1, 1, 2, 2], columns=2)
        labels = npy(self.folder / "l.npy", [8, 9], "<i4")
        shown = self.run_ctl("query", self.name, "--file", path, "--row", "1", "--labels", labels, "--show",
                             "--shape", "1x2").stdout
        self.assertIn("label 9", shown)
        short = npy(self.folder / "s.npy", [8], "<i4")
        self.run_ctl("query", self.name, "--file", path, "--row", "0-1", "--labels", short, code=USAGE)


class WhyNot(VsctlTest):
    KEYS = {"collection", "id", "verdict", "k", "ef", "fell_back", "rank", "true_rank", "distance", "kth_distance", "tie",
            "found_with_ef", "not_with_ef", "text"}

    def test_it_is_there(self):
        self.fill()
        answer = self.json("why-not", self.name, "5", "--vector", "4.25,0", "-k", "2")
        self.assertEqual(set(answer), self.KEYS)
        self.assertEqual({key: answer[key] for key in ("verdict", "k", "ef", "rank", "true_rank", "distance", "kth_distance")},
                         {"verdict": "found", "k": 2, "ef": 64, "rank": 2, "true_rank": 2, "distance": 0.75,
                          "kth_distance": 0.75})
        self.assertEqual(self.run_ctl("why-not", self.name, "5", "--id", "4", "-k", "2").stdout,
                         "'5' is among the results, as number 2, at distance 1.0000\n")
        self.assertEqual(self.json("why-not", self.name, "4", "--id", "4")["verdict"], "query_itself")

    def test_others_are_nearer(self):
        self.fill()
        path = npy(self.folder / "v.npy", [0, 0, 425, 0], columns=2)
        arguments = ["why-not", self.name, "8", "--file", path, "--row", "1", "--scale", "1/100", "-k", "3"]
        answer = self.json(*arguments)
        self.assertEqual({key: answer[key] for key in ("verdict", "rank", "true_rank", "distance", "kth_distance", "tie")},
                         {"verdict": "farther", "rank": None, "true_rank": 8, "distance": 3.75, "kth_distance": 1.25,
                          "tie": False})
        self.assertIn("number 8 of the nearest, at distance 3.7500", self.run_ctl(*arguments).stdout)
        rows = dict(self.csv(*arguments))
        self.assertEqual((rows["verdict"], rows["true_rank"]), ("farther", "8"))
        tied = self.json("why-not", self.name, "6", "--vector", "5,0", "-k", "2")
        self.assertEqual((tied["verdict"], tied["true_rank"], tied["tie"]), ("farther", 3, True))

    def test_beyond_what_can_be_asked(self):
        self.create()
        for reply in self.client.pipeline([f"ADD {self.name} {i} [{i % 100},{i // 100}]" for i in range(10_050)]):
            self.assertEqual(reply[0], "OK")
        answer = self.json("why-not", self.name, "99", "--vector", "0,200")
        self.assertEqual((answer["verdict"], answer["true_rank"], answer["distance"]), ("farther", None, None))
        self.assertIn("beyond 10000", answer["text"])

    def test_not_found(self):
        self.fill()
        self.client.ok(f"DEL {self.name} 7")
        for one in ("7", "none"):
            done = self.run_ctl("why-not", self.name, one, "--vector", "7,0", code=NOT_FOUND)
            self.assertIn("deleted, or never added", done.stderr)
        self.assertNotIn("deleted", self.run_ctl("why-not", "nothing", "7", "--vector", "7,0", code=NOT_FOUND).stderr)
        self.run_ctl("why-not", self.name, "6", "--id", "7", code=NOT_FOUND)

    def test_cut_off_by_ef(self):
        self.client.ok(f"CREATE {self.name} dim=8 m=2 ef_construction=4 seed=1")
        add_points(self.client, self.name, 600)
        numbers = random.Random(2)
        for _ in range(200):
            query = harness.f32([numbers.gauss(0, 1) for _ in range(8)])
            [nearest] = self.ids(f"SEARCH {self.name} {query} k=1 exact=true")
            # Such a poor graph may have points that nothing leads to, until its vacuum comes by.
            found = [self.ids(f"SEARCH {self.name} {query} k=1 ef={ef}") == [nearest] for ef in (1, 10_000)]
            if found == [False, True]:
                break
        answer = self.json("why-not", self.name, nearest, "--vector", query, "-k", "1", "--ef", "1")
        self.assertEqual((answer["verdict"], answer["ef"], answer["true_rank"], answer["rank"]), ("cut_off", 1, 1, None))
        ef = answer["found_with_ef"]
        self.assertEqual(answer["not_with_ef"] * 2, ef)
        self.assertEqual(self.ids(f"SEARCH {self.name} {query} k=1 ef={ef}"), [nearest])
        self.assertEqual(self.json("why-not", self.name, nearest, "--vector", query, "-k", "1", "--ef", ef)["verdict"], "found")

    def test_wrong_usage(self):
        for arguments in (["x"], ["x", "1"], ["x", "1", "--vector", "1", "--id", "2"], ["x", "", "--id", "2"],
                          ["x", "1", "--id", "2", "-k", "0"], ["x", "1", "--id", "2", "--ef", "10001"],
                          ["x", "1", "--row", "2"], ["x", "1", "--vector", "1", "--scale", "1/255"],
                          ["x", "1", "--vector", "a"]):
            with self.subTest(arguments):
                self.run_ctl("why-not", *arguments, code=USAGE)
        self.fill(3)
        self.run_ctl("why-not", self.name, "1", "--vector", "1,2,3", code=FAILURE)
        path = npy(self.folder / "v.npy", [4.25, 0], columns=2)
        for row in ("1", "0,0", "0-0"):
            self.run_ctl("why-not", self.name, "1", "--file", path, "--row", row, code=USAGE)


class Unreachable(unittest.TestCase):
    """A graph that has lost all links to a point."""

    def test_is_told_and_mended(self):
        daemon = harness.Daemon()
        self.addCleanup(daemon.close)
        client = daemon.connect()
        client.ok(f"CREATE c dim={DIM} m={M} seed=1")
        add_points(client, "c", 400)
        # Not one that upper layers lead to.
        lost_id = next(point["id"] for point in client.ok("SCAN c with=links")["points"] if len(point["links"]) == 1)
        daemon.expect_clean_end()
        files = Files(daemon.directory)
        lost = files.slot_of(lost_id)
        for slot in range(400):
            files.set_links(slot, [0 if link == lost + 1 else link for link in files.links(slot)])
        daemon.start()
        client = daemon.connect()
        vector = harness.f32(client.ok(f"GET c {lost_id} with=vector")["vector"])
        self.assertNotIn(lost_id, [match["id"] for match in client.ok(f"SEARCH c {vector}")["matches"]])
        done = daemon.vsctl("why-not", "c", lost_id, "--vector", vector, "--output", "json")
        self.assertEqual(done.returncode, OK, done.stderr)
        explain = client.ok(f"SEARCH c {vector} k=400 explain=true")["explain"]
        self.assertEqual((explain["exact"], explain["fell_back"]), (True, True))
        self.assertIn("the graph gave too few", daemon.vsctl("query", "c", "--vector", vector, "-k", "400", "--explain").stdout)
        answer = json.loads(done.stdout)
        self.assertEqual((answer["verdict"], answer["true_rank"], answer["distance"], answer["not_with_ef"]),
                         ("unreachable", 1, 0, 10_000))
        self.assertIn("vsctl check c --repair", answer["text"])
        self.assertEqual(daemon.vsctl("check", "c", "--repair").returncode, OK)
        done = daemon.vsctl("why-not", "c", lost_id, "--vector", vector, "--output", "csv")
        self.assertIn(["verdict", "found"], list(csv.reader(io.StringIO(done.stdout))))


if __name__ == "__main__":
    harness.main()
