#!/usr/bin/env python3
"""Every error code through the socket, and lines that no client should send.

io_error and corrupt need a damaged disk: test_disk_errors.py. unauthorized, no_space, shutting_down and limit need a daemon of
their own: test_daemon.py and test_connections.py. No request can provoke the other three:
  busy      the directory lock is met at start-up (test_daemon.py tests that vsd refuses to start)
  internal  a defect of vsd
  read_only belongs to a mode that this version does not have
"""

import json
import unittest

import harness

NAN = b"\x00\x00\xc0\x7f"


class Errors(harness.DaemonTest):
    def setUp(self):
        super().setUp()
        self.create(dim=3)

    def test_bad_request(self):
        for line in (b"\x00", b"PING\x00", b"\x01\x02\x03", b"PING \x1b[31m", b"GET x \xff\xfe", b"PING \xc3\x28",
                     b"PING \xed\xa0\x80", b"PING \xf4\x90\x80\x80", b"PING \xc0\xaf", bytes(range(128, 256)),
                     f'ADD {self.name} "unfinished [1,2,3]'.encode(), f"ADD {self.name} a [1,2,3".encode(),
                     f'ADD {self.name} a [1,2,3] {{"half":'.encode(), f'ADD {self.name} a [1,2,3] {{"half"'.encode(),
                     f"SEARCH {self.name} [1,2,3] k=3 k=4".encode(), f"CREATE {self.name}2 dim=2 dim=2".encode()):
            self.assert_error(line, "bad_request")

    def test_binary_noise(self):
        noise = bytes((i * 197 + 89) % 256 for i in range(5000)).replace(b"\n", b"")
        self.assert_error(noise, "bad_request")

    def test_unknown_command(self):
        for line in ("NONSENSE", "PINGPONG", "SELECT * FROM x", "12", "k=3 x"):
            reply = self.client.call(line)
            self.assertIn(reply[1], {"unknown_command", "bad_request"}, line)
        self.assert_error("NONSENSE", "unknown_command")

    def test_bad_argument(self):
        for rest in ("k=0", "k=-1", "k=10001", "k=9223372036854775808", "k=18446744073709551617", "k=abc", "k=1.5", "k=",
                     "ef=abc", "ef=0", "ef=-1", "ef=10001", "exact=maybe", "with=everything", "colour=red", "k=[3]",
                     'k={"a":1}', "explain=2"):
            self.assert_error(f"SEARCH {self.name} [1,2,3] {rest}", "bad_argument")

    def test_malformed_vectors(self):
        for vector in ("f32:", "f32:AAAA", "f32:AAAAAA", "f32:!!!!", "f32:AAA=AAAA", "1,2,3", '"x"', "[1,2,null]",
                       "[1,2,true]", '[1,2,"3"]', "[1,2,[3]]", "[1,,2]", "[1 2 3]", '{"a":1}', "abc", "[01,2,3]",
                       "[1,2,3,]", "[.5,1,2]"):
            reply = self.client.call(f"ADD {self.name} a {vector}")
            self.assertEqual(reply[0], "ERR", vector)
            self.assertIn(reply[1], {"bad_argument", "bad_request", "dimension_mismatch"}, f"{vector}: {reply}")
            self.assertEqual(self.client.call("PING"), ("OK", None))
        self.assertEqual(self.client.ok(f"STATS {self.name}")["live"], 0)

    def test_malformed_attributes(self):
        for attributes in ("{a:1}", "{'a':1}", '{"a":1,}', '{"a"}', '{"a":NaN}', "[1]", "text", '"text"', "5"):
            reply = self.client.call(f"ADD {self.name} a [1,2,3] {attributes}")
            self.assertEqual(reply[0], "ERR", attributes)
            self.assertIn(reply[1], {"bad_argument", "bad_request"}, f"{attributes}: {reply}")
        self.assertEqual(self.client.ok(f"STATS {self.name}")["live"], 0)

    def test_missing_and_superfluous_arguments(self):
        for line in ("CREATE", "DROP", "STATS", f"ADD {self.name}", f"ADD {self.name} a", f"GET {self.name}", "GET", "SEARCH",
                     "SCAN", f"GET {self.name} a b", f"STATS {self.name} x", f"ADD {self.name} a [1,2,3] {{}} x"):
            self.assertIn(self.client.error(line), {"bad_argument", "bad_request"}, line)

    def test_not_found(self):
        for line in ("STATS none", "DROP none", "ADD none a [1]", "GET none a", "DEL none a", "SEARCH none [1]", "SCAN none",
                     f"GET {self.name} none", f"SEARCH {self.name} id=none", f"ADD {self.name} a [1,2,3] if=present"):
            message = self.assert_error(line, "not_found")
            self.assertIn("none" if "none" in line else "a", message)

    def test_exists(self):
        self.assert_error(f"CREATE {self.name} dim=3", "exists")

    def test_dimension_mismatch(self):
        for vector in ("[1]", "[1,2]", "[1,2,3,4]", harness.f32([1, 2]), harness.f32([1] * 100)):
            for line in (f"ADD {self.name} a {vector}", f"SEARCH {self.name} {vector}"):
                reply = self.client.call(line)
                self.assertEqual(reply[:2], ("ERR", "dimension_mismatch"), line)
        self.assertRegex(self.assert_error(f"ADD {self.name} a [1,2]", "dimension_mismatch"), r"3.*2|2.*3")

    def test_not_finite(self):
        for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e39", "-3.5e38"):
            for line in (f"ADD {self.name} a [1,{number},3]", f"SEARCH {self.name} [1,{number},3]"):
                reply = self.client.call(line)
                self.assertEqual(reply[:2], ("ERR", "not_finite"), line)
        for value in (float("nan"), float("inf"), float("-inf")):
            for line in (f"ADD {self.name} a {harness.f32([1, value, 3])}", f"SEARCH {self.name} {harness.f32([1, value, 3])}"):
                self.assert_error(line, "not_finite")
        self.assertEqual(self.client.ok(f"STATS {self.name}")["live"], 0)

    def test_zero_vector(self):
        name = self.name + "_cosine"
        self.client.ok(f"CREATE {name} dim=2 metric=cosine")
        self.assert_error(f"ADD {name} a [0,0]", "zero_vector")
        self.assert_error(f"ADD {name} a [0,-0.0]", "zero_vector")
        self.assert_error(f"SEARCH {name} [0,0]", "zero_vector")
        self.client.ok(f"ADD {self.name} a [0,0,0]")

    def test_too_large(self):
        fits = json.dumps({"a": "x" * (65536 - 8)}, separators=(",", ":"))
        self.assertEqual(len(fits), 65536)
        self.client.ok(f"ADD {self.name} a [1,2,3] {fits}")
        self.assertEqual(self.client.ok(f"GET {self.name} a")["attributes"], json.loads(fits))
        more = json.dumps({"a": "x" * (65536 - 7)}, separators=(",", ":"))
        self.assert_error(f"ADD {self.name} b [1,2,3] {more}", "too_large")
        self.assert_error(f"GET {self.name} b", "not_found")

    def test_messages_are_one_line_and_say_something(self):
        for line in ('GET none "a\\u000ab"', "SEARCH none \x7f", "CREATE \"x\\ny\" dim=2"):
            reply = self.client.call(line)
            self.assertEqual(reply[0], "ERR")
            self.assertGreater(len(reply[2]), 10, reply)

    def test_many_errors_in_one_pipeline(self):
        lines = [b"\xff", b"NONSENSE", f"ADD {self.name} a [1]".encode(), b"PING", f"SEARCH {self.name} [1,2,3] k=0".encode()]
        want = ["bad_request", "unknown_command", "dimension_mismatch", "OK", "bad_argument"]
        replies = self.client.pipeline(lines * 200)
        self.assertEqual([r[0] if r[0] == "OK" else r[1] for r in replies], want * 200)

    def test_deeply_nested_json(self):
        deep = "[" * 50000 + "]" * 50000
        self.assertEqual(self.client.call(f"ADD {self.name} a {deep}")[0], "ERR")
        nested = '{"a":' * 10000 + "1" + "}" * 10000
        self.assertIn(self.client.call(f"ADD {self.name} a [1,2,3] {nested}")[0], {"OK", "ERR"})
        self.assertEqual(self.client.call("PING"), ("OK", None))


if __name__ == "__main__":
    harness.main()
