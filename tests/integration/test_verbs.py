#!/usr/bin/env python3
"""Every verb of the line protocol: the shape of its reply."""

import json
import unittest

import harness


class Server(harness.DaemonTest):
    def test_ping(self):
        self.assertEqual(self.client.call("PING"), ("OK", None))
        self.assertEqual(self.client.call("ping"), ("OK", None))
        self.assertEqual(self.client.call("PiNg\r"), ("OK", None))

    def test_empty_lines_have_no_reply(self):
        self.client.send_bytes(b"\n\r\n\nPING\n\nPING\n")
        self.assertEqual([self.client.read_reply() for _ in range(2)], [("OK", None)] * 2)

    def test_help(self):
        commands = self.client.ok("HELP")["commands"]
        verbs = {entry["verb"] for entry in commands}
        self.assertLessEqual({"PING", "HELP", "AUTH", "QUIT", "INFO", "LIST", "CREATE", "DROP", "STATS", "ADD", "GET",
                              "DEL", "SEARCH", "SCAN", "ALTER", "CHECK", "JOBS", "CANCEL", "CHECKPOINT", "SHUTDOWN"}, verbs)
        for entry in commands:
            self.assertEqual(set(entry), {"verb", "usage", "help"})
            self.assertTrue(entry["usage"].startswith(entry["verb"]), entry)
            self.assertTrue(entry["help"])
        self.assertEqual(self.client.ok("HELP search")["commands"], [e for e in commands if e["verb"] == "SEARCH"])
        self.assertIn(self.client.error("HELP nonsense"), {"bad_argument", "unknown_command", "not_found"})

    def test_info(self):
        info = self.client.ok("INFO")
        self.assertIsInstance(info["version"], str)
        self.assertGreaterEqual(info["uptime_s"], 0)
        self.assertGreaterEqual(info["clients"], 1)
        before = info["collections"]
        self.create()
        self.assertEqual(self.client.ok("INFO")["collections"], before + 1)

    def test_quit(self):
        self.assertEqual(self.client.call("QUIT"), ("OK", None))
        self.assertTrue(self.client.at_end())

    def test_auth_without_a_token_file(self):
        reply = self.client.call("AUTH something")
        self.assertIn(reply[0], {"OK", "ERR"})
        self.assertEqual(self.client.call("PING"), ("OK", None))

    def test_checkpoint(self):
        self.create()
        for i in range(3):
            self.client.ok(f"ADD {self.name} {i} [1,{i}]")
        self.assertIsInstance(self.client.ok("CHECKPOINT")["lsn"], int)
        stats = self.client.ok(f"STATS {self.name}")
        self.assertEqual(stats["checkpoint_lsn"], 3)


class Collections(harness.DaemonTest):
    def test_create_replies_with_the_whole_configuration(self):
        config = self.client.ok(f"CREATE {self.name} dim=784 metric=cosine m=12 ef_construction=99 ml=0.5 ef_search=33 "
                                "seed=18446744073709551615 codes=none")
        for key, value in {"dim": 784, "metric": "cosine", "m": 12, "ef_construction": 99, "ml": 0.5, "ef_search": 33,
                           "seed": 18446744073709551615, "codes": "none"}.items():
            self.assertEqual(config[key], value, key)

    def test_codes_are_the_default_from_64_dimensions(self):
        for dim, codes in ((63, "none"), (64, "sq8"), (784, "sq8")):
            self.assertEqual(self.client.ok(f"CREATE {self.name}{dim} dim={dim}")["codes"], codes)
        self.assertEqual(self.client.ok(f"CREATE {self.name}small dim=2 codes=sq8")["codes"], "sq8")
        self.assertIn("codes.dat", self.client.ok(f"STATS {self.name}64")["bytes"])
        self.assertNotIn("codes.dat", self.client.ok(f"STATS {self.name}63")["bytes"])

    def test_create_fills_in_defaults(self):
        config = self.client.ok(f"CREATE {self.name} dim=3")
        self.assertEqual((config["metric"], config["m"], config["ef_construction"], config["ef_search"]),
                         ("l2", 16, 200, 64))
        self.assertAlmostEqual(config["ml"], 0.36067376, places=6)
        self.assertIsInstance(config["seed"], int)

    def test_create_again(self):
        self.create()
        self.assert_error(f"CREATE {self.name} dim=2", "exists")

    def test_create_ranges(self):
        for options in ("", "dim=0", "dim=65536", "dim=-1", "dim=abc", "dim=2 m=1", "dim=2 m=257", "dim=2 metric=l3",
                        "dim=2 ef_construction=0", "dim=2 ef_construction=10001", "dim=2 ef_search=0",
                        "dim=2 ef_search=10001", "dim=2 ml=-1", "dim=2 ml=nan", "dim=2 seed=-1", "dim=2 codes=zip",
                        "dim=2 colour=red", "dim=2 more", "dim=18446744073709551618"):
            self.assert_error(f"CREATE {self.name} {options}", "bad_argument")
        self.assert_error(f"DROP {self.name}", "not_found")
        self.client.ok(f"CREATE {self.name} dim=65535 m=256 ef_construction=10000 ef_search=10000")

    def test_names(self):
        for name in ("a", "A.b_c-9", "x" * 64):
            self.client.ok(f"CREATE {name} dim=2")
            self.client.ok(f"DROP {name}")
        for name in (".a", "x" * 65, "a/b", '"a b"', "ä", '""', "..", "a:b"):
            self.assert_error(f"CREATE {name} dim=2", "bad_argument")

    def test_list(self):
        self.create(dim=5, options="metric=dot")
        self.client.ok(f"ADD {self.name} a [1,2,3,4,5]")
        [entry] = [e for e in self.client.ok("LIST")["collections"] if e["name"] == self.name]
        self.assertEqual((entry["dim"], entry["metric"], entry["live"]), (5, "dot", 1))
        names = [e["name"] for e in self.client.ok("LIST")["collections"]]
        self.assertEqual(names, sorted(names))

    def test_drop(self):
        self.create()
        self.client.ok(f"ADD {self.name} a [1,2]")
        self.assertEqual(self.client.call(f"DROP {self.name}"), ("OK", None))
        for line in (f"DROP {self.name}", f"STATS {self.name}", f"ADD {self.name} a [1,2]", f"GET {self.name} a",
                     f"DEL {self.name} a", f"SEARCH {self.name} [1,2]", f"SCAN {self.name}"):
            self.assert_error(line, "not_found")
        self.create(dim=3)
        self.assertEqual(self.client.ok(f"STATS {self.name}")["live"], 0)
        self.assert_error(f"GET {self.name} a", "not_found")

    def test_stats(self):
        self.create(dim=4, options="m=8")
        self.client.pipeline([f"ADD {self.name} {i} [{i},0,0,1]" for i in range(100)])
        self.client.ok(f"ADD {self.name} 5 [1,1,1,1]")
        self.client.ok(f"DEL {self.name} 6 7")
        stats = self.client.ok(f"STATS {self.name}")
        self.assertEqual((stats["live"], stats["deleted"]), (98, 3))
        self.assertEqual((stats["dim"], stats["metric"], stats["m"]), (4, "l2", 8))
        self.assertGreaterEqual(stats["lsn"], 102)
        self.assertLessEqual(stats["checkpoint_lsn"], stats["lsn"])
        self.assertEqual(stats["applied_lsn"], stats["lsn"])  # nothing is under way
        self.assertEqual(stats["layers"][0], 101)
        self.assertEqual(stats["layers"], sorted(stats["layers"], reverse=True))
        self.assertTrue(stats["bytes"])
        self.assertTrue(all(isinstance(size, int) for size in stats["bytes"].values()))
        for key in ("ef_construction", "ml", "ef_search", "seed", "codes", "generation"):
            self.assertIn(key, stats)


class Points(harness.DaemonTest):
    def test_add_and_get(self):
        self.create(dim=3)
        added = self.client.ok(f'ADD {self.name} a [0.1,-2,3e-5] {{"label": 9, "name": "Ankle boot"}}')
        self.assertEqual(added, {"id": "a", "lsn": 1, "created": True})
        self.assertEqual(self.client.ok(f"GET {self.name} a"), {"id": "a", "attributes": {"label": 9, "name": "Ankle boot"}})
        got = self.client.ok(f"GET {self.name} a with=vector")
        self.assertEqual(got["vector"], [0.1, -2, 3e-05])
        self.assertEqual(harness.to_float32(got["vector"]), harness.to_float32([0.1, -2, 3e-5]))

    def test_attributes_are_given_back_verbatim(self):
        self.create()
        text = '{"b":1,"a":[1.50,{"x":null}],"ü":"\\u00e9 and spaces","big":12345678901234567890}'
        self.client.ok(f"ADD {self.name} a [1,2] {text}")
        self.client.send_line(f"GET {self.name} a")
        self.assertIn(text, self.client.read_line())
        self.client.ok(f"ADD {self.name} b [1,2]")
        self.assertEqual(self.client.ok(f"GET {self.name} b"), {"id": "b", "attributes": {}})

    def test_binary_and_text_vectors_are_the_same(self):
        self.create(dim=3)
        vector = [0.1, 1e-30, -3.4e38]
        self.client.ok(f"ADD {self.name} text {json.dumps(vector)}")
        self.client.ok(f"ADD {self.name} binary {harness.f32(vector)}")
        values = [harness.to_float32(self.client.ok(f"GET {self.name} {one} with=vector")["vector"])
                  for one in ("text", "binary")]
        self.assertEqual(values, [harness.to_float32(vector)] * 2)

    def test_numbers_round_trip(self):
        self.create(dim=6)
        # The smallest subnormal, the smallest normal, the largest float32, and numbers with long expansions.
        vector = harness.to_float32([1e-45, 1.1754944e-38, 3.4028235e38, 1 / 3, 16777216, -0.1])
        self.client.ok(f"ADD {self.name} a {harness.f32(vector)}")
        self.assertEqual(harness.to_float32(self.client.ok(f"GET {self.name} a with=vector")["vector"]), vector)

    def test_upsert(self):
        self.create()
        self.assertTrue(self.client.ok(f"ADD {self.name} a [1,2]")["created"])
        again = self.client.ok(f'ADD {self.name} a [3,4] {{"n":2}}')
        self.assertEqual((again["created"], again["lsn"]), (False, 2))
        self.assertEqual(self.client.ok(f"GET {self.name} a with=vector"), {"id": "a", "attributes": {"n": 2}, "vector": [3, 4]})
        self.assertEqual(self.client.ok(f"STATS {self.name}")["live"], 1)
        self.assertEqual(self.ids(f"SEARCH {self.name} [1,2]"), ["a"])

    def test_conditions(self):
        self.create()
        self.assert_error(f"ADD {self.name} a [1,2] if=present", "not_found")
        self.assertTrue(self.client.ok(f"ADD {self.name} a [1,2] if=absent")["created"])
        self.assert_error(f"ADD {self.name} a [9,9] if=absent", "exists")
        self.assertFalse(self.client.ok(f"ADD {self.name} a [3,4] if=present")["created"])
        self.assertEqual(self.client.ok(f"GET {self.name} a with=vector")["vector"], [3, 4])
        self.client.ok(f"DEL {self.name} a")
        self.assertTrue(self.client.ok(f"ADD {self.name} a [5,6] if=absent")["created"])
        self.assert_error(f"ADD {self.name} a [1,2] if=maybe", "bad_argument")

    def test_conditions_in_one_pipeline(self):
        self.create()
        replies = self.client.pipeline([f"ADD {self.name} a [1,2] if=absent", f"ADD {self.name} a [1,2] if=absent",
                                        f"DEL {self.name} a", f"ADD {self.name} a [1,2] if=present",
                                        f"ADD {self.name} a [1,2] if=absent"])
        self.assertEqual([r[0] if r[0] == "OK" else r[1] for r in replies], ["OK", "exists", "OK", "not_found", "OK"])

    def test_delete(self):
        self.create()
        for one in ("a", "b", "c"):
            self.client.ok(f"ADD {self.name} {one} [1,2]")
        self.assertEqual(self.client.ok(f"DEL {self.name} a x b y"), {"deleted": 2, "missing": ["x", "y"]})
        self.assertEqual(self.client.ok(f"DEL {self.name} a"), {"deleted": 0, "missing": ["a"]})
        self.assertEqual(self.client.ok(f"DEL {self.name} c c")["deleted"], 1)
        self.assert_error(f"GET {self.name} a", "not_found")
        self.assertEqual(self.client.ok(f"SEARCH {self.name} [1,2]")["matches"], [])
        self.assertIn(self.client.error(f"DEL {self.name}"), {"bad_argument", "bad_request"})

    def test_ids(self):
        self.create()
        ids = ["a", "with space", "a=b", '"quoted"', "[x]", "{x}", "ünïcödé", "日本語", "🥾", "back\\slash", "x" * 512,
               "é" * 256, "0", "-1", "f32:AAAA", "PING"]
        for i, one in enumerate(ids):
            added = self.client.ok(f"ADD {self.name} {json.dumps(one)} [{i},0]")
            self.assertEqual(added["id"], one)
        for one in ids:
            self.assertEqual(self.client.ok(f"GET {self.name} {json.dumps(one, ensure_ascii=False)}")["id"], one)
            self.assertEqual(self.ids(f"SEARCH {self.name} id={json.dumps(one)} k=100").count(one), 0)
        self.assertEqual(self.client.ok(f"GET {self.name} ünïcödé")["id"], "ünïcödé")
        self.assertEqual({p["id"] for p in self.client.ok(f"SCAN {self.name}")["points"]}, set(ids))
        quoted = " ".join(json.dumps(one) for one in ids)
        self.assertEqual(self.client.ok(f"DEL {self.name} {quoted}"), {"deleted": len(ids), "missing": []})

    def test_ids_that_are_refused(self):
        self.create()
        for one in ('""', "x" * 513, json.dumps("é" * 257, ensure_ascii=False), '"a\\nb"', '"a\\u0000b"', "[1]", "{}"):
            reply = self.client.call(f"ADD {self.name} {one} [1,2]")
            self.assertEqual(reply[0], "ERR", one)
            self.assertIn(reply[1], {"bad_argument", "too_large"}, one)
        self.assertEqual(self.client.ok(f"STATS {self.name}")["live"], 0)

    def test_scan_pages(self):
        self.create()
        self.client.pipeline([f"ADD {self.name} p{i} [{i},1] {{\"i\":{i}}}" for i in range(25)])
        seen, cursor, pages = [], None, 0
        while True:
            page = self.client.ok(f"SCAN {self.name} limit=10" + (f" cursor={cursor}" if cursor else ""))
            self.assertLessEqual(len(page["points"]), 10)
            seen += [point["id"] for point in page["points"]]
            pages += 1
            cursor = page["cursor"]
            if cursor is None:
                break
            self.assertIsInstance(cursor, str)
        self.assertEqual(seen, [f"p{i}" for i in range(25)])
        self.assertLessEqual(pages, 4)
        self.assertEqual(set(page["points"][0]), {"id"})
        full = self.client.ok(f"SCAN {self.name} limit=1 with=vector,attributes,links")["points"][0]
        self.assertEqual((full["vector"], full["attributes"]), ([0, 1], {"i": 0}))
        self.assertTrue(full["links"][0])
        self.assertLessEqual(set(full["links"][0]), {f"p{i}" for i in range(25)})

    def test_scan_of_nothing_and_bad_arguments(self):
        self.create()
        self.assertEqual(self.client.ok(f"SCAN {self.name}"), {"points": [], "cursor": None})
        for option in ("limit=0", "limit=-1", "limit=10001", "limit=x", "cursor=x", "with=colour"):
            self.assert_error(f"SCAN {self.name} {option}", "bad_argument")

    def test_scan_leaves_out_what_is_deleted_and_replaced(self):
        self.create()
        self.client.pipeline([f"ADD {self.name} p{i} [{i},1]" for i in range(5)])
        self.client.ok(f"DEL {self.name} p1")
        self.client.ok(f"ADD {self.name} p2 [7,7]")
        points = self.client.ok(f"SCAN {self.name} with=vector")["points"]
        self.assertEqual({p["id"]: p["vector"] for p in points}, {"p0": [0, 1], "p2": [7, 7], "p3": [3, 1], "p4": [4, 1]})


class Search(harness.DaemonTest):
    def grid(self, options=""):
        """Points 0..9 at (i, 0)."""
        self.create(options=options)
        self.client.pipeline([f"ADD {self.name} {i} [{i},0] {{\"i\":{i}}}" for i in range(10)])

    def test_nearest_first_with_distances(self):
        self.grid()
        for option in ("", "exact=true", "ef=100", "ef=1"):
            matches = self.client.ok(f"SEARCH {self.name} [3.25,0] k=4 {option}")["matches"]
            self.assertEqual([(m["id"], m["distance"]) for m in matches], [("3", 0.25), ("4", 0.75), ("2", 1.25), ("5", 1.75)])

    def test_k_beyond_the_number_of_points(self):
        self.grid()
        self.assertEqual(len(self.ids(f"SEARCH {self.name} [0,0] k=10000")), 10)
        self.assertEqual(len(self.ids(f"SEARCH {self.name} [0,0]")), 10)

    def test_an_empty_collection(self):
        self.create()
        self.assertEqual(self.client.ok(f"SEARCH {self.name} [0,0]")["matches"], [])
        self.assertEqual(self.client.ok(f"SEARCH {self.name} [0,0] exact=true")["matches"], [])

    def test_metrics(self):
        expected = {"l2": [("b", 1.0), ("a", 2.236068)], "cosine": [("a", 0.0), ("b", 0.29289323)], "dot": [("a", -3.0), ("b", -1.0)]}
        for metric, want in expected.items():
            name = f"{self.name}_{metric}"
            self.client.ok(f"CREATE {name} dim=2 metric={metric}")
            self.client.ok(f"ADD {name} a [3,0]")
            self.client.ok(f"ADD {name} b [1,1]")
            query = "[1,0]" if metric != "l2" else "[2,1]"
            want = want if metric != "l2" else [("b", 1.0), ("a", 1.4142135)]
            for exact in ("", "exact=true"):
                got = self.client.ok(f"SEARCH {name} {query} {exact}")["matches"]
                self.assertEqual([m["id"] for m in got], [one for one, _ in want], metric)
                for match, (_, distance) in zip(got, want):
                    self.assertAlmostEqual(match["distance"], distance, places=6)

    def test_by_id_leaves_itself_out(self):
        self.grid()
        self.client.ok(f"ADD {self.name} twin [3,0]")
        for exact in ("", "exact=true"):
            self.assertEqual(self.ids(f"SEARCH {self.name} id=3 k=3 {exact}"), ["twin", "2", "4"])
        self.assert_error(f"SEARCH {self.name} id=none", "not_found")
        self.client.ok(f"DEL {self.name} 3")
        self.assert_error(f"SEARCH {self.name} id=3", "not_found")
        self.assert_error(f"SEARCH {self.name} [1,2] id=2", "bad_argument")
        self.assertIn(self.client.error(f"SEARCH {self.name}"), {"bad_argument", "bad_request"})

    def test_by_id_under_cosine_uses_the_stored_vector(self):
        self.create(options="metric=cosine")
        for one, vector in {"a": [2, 0], "b": [0, 3], "c": [5, 0.5]}.items():
            self.client.ok(f"ADD {self.name} {one} {json.dumps(vector)}")
        self.assertEqual(self.ids(f"SEARCH {self.name} id=a"), ["c", "b"])
        self.assertEqual(self.client.ok(f"GET {self.name} c with=vector")["vector"], [5, 0.5])

    def test_ties_go_by_insertion_order(self):
        self.create()
        for one in ("z", "m", "a", "q"):
            self.client.ok(f"ADD {self.name} {one} [1,1]")
        self.client.ok(f"ADD {self.name} z [1,1]")
        for exact in ("", "exact=true"):
            self.assertEqual(self.ids(f"SEARCH {self.name} [0,0] {exact}"), ["m", "a", "q", "z"])
            self.assertEqual(self.ids(f"SEARCH {self.name} [0,0] k=2 ef=100 {exact}"), ["m", "a"])

    def test_radius(self):
        self.grid()
        for exact in ("", "exact=true"):
            self.assertEqual(self.ids(f"SEARCH {self.name} [0,0] radius=2 {exact}"), ["0", "1", "2"])
            self.assertEqual(self.ids(f"SEARCH {self.name} [0,0] radius=2 k=1 {exact}"), ["0"])
            self.assertEqual(self.ids(f"SEARCH {self.name} [-5,0] radius=1 {exact}"), [])
        for radius in ("x", "nan"):
            self.assertIn(self.client.error(f"SEARCH {self.name} [0,0] radius={radius}"), {"bad_argument", "not_finite"})

    def test_with(self):
        self.grid()
        [plain] = self.client.ok(f"SEARCH {self.name} [0,0] k=1")["matches"]
        self.assertEqual(set(plain), {"id", "distance"})
        [full] = self.client.ok(f"SEARCH {self.name} [0,0] k=1 with=attributes,vector")["matches"]
        self.assertEqual(full, {"id": "0", "distance": 0, "attributes": {"i": 0}, "vector": [0, 0]})
        self.assert_error(f"SEARCH {self.name} [0,0] with=links", "bad_argument")

    def test_explain(self):
        self.grid()
        explain = self.client.ok(f"SEARCH {self.name} [0,0] k=1 explain=true")["explain"]
        self.assertEqual(set(explain), {"ef", "exact", "fell_back", "distances", "distances_from", "hops", "entry_point", "time_us"})
        self.assertEqual((explain["ef"], explain["exact"], explain["fell_back"]), (64, False, False))
        self.assertEqual(explain["distances_from"], {"short_codes": 0, "codes": 0, "floats": explain["distances"]})
        self.assertGreater(explain["distances"], 0)
        self.assertEqual(len(explain["hops"]), len(self.client.ok(f"STATS {self.name}")["layers"]))
        self.client.ok(f"GET {self.name} {explain['entry_point']}")
        exact = self.client.ok(f"SEARCH {self.name} [0,0] k=1 exact=true explain=true")["explain"]
        self.assertEqual((exact["exact"], exact["fell_back"], exact["hops"], exact["entry_point"]), (True, False, [], None))
        self.assertEqual(set(self.client.ok(f"SEARCH {self.name} [0,0] k=1 explain=false")), {"matches"})

    def test_deleted_points_never_show(self):
        self.create(options="m=4")
        self.client.pipeline([f"ADD {self.name} {i} [{i % 20},{i // 20}]" for i in range(400)])
        gone = [str(i) for i in range(400) if i % 3]
        self.client.ok(f"DEL {self.name} {' '.join(gone)}")
        for query in ("[0,0]", "[10,10]", "[19,19]"):
            found = self.ids(f"SEARCH {self.name} {query} k=400")
            self.assertFalse(set(found) & set(gone))
            self.assertEqual(len(found), 400 - len(gone), "k live points exist, so k are returned")

    def test_everything_deleted_then_added_again(self):
        self.grid()
        self.client.ok(f"DEL {self.name} {' '.join(str(i) for i in range(10))}")
        self.assertEqual(self.ids(f"SEARCH {self.name} [0,0]"), [])
        self.client.ok(f"ADD {self.name} new [5,5]")
        self.assertEqual(self.ids(f"SEARCH {self.name} [0,0]"), ["new"])

    def test_read_your_writes(self):
        self.create(dim=4)
        lines = []
        for i in range(300):
            lines += [f"ADD {self.name} p{i} [{i},1,2,{i % 7}]", f"SEARCH {self.name} [{i},1,2,{i % 7}] k=1"]
        other = self.daemon.connect()
        for i, reply in enumerate(self.client.pipeline(lines)):
            self.assertEqual(reply[0], "OK", reply)
            if i % 2:
                self.assertEqual(reply[1]["matches"][0], {"id": f"p{i // 2}", "distance": 0})
        self.assertEqual(other.ok(f"SEARCH {self.name} [299,1,2,5] k=1")["matches"][0]["id"], "p299")


if __name__ == "__main__":
    harness.main()
