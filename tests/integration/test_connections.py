#!/usr/bin/env python3
"""Connections: order of pipelined replies, half-close, oversize lines, browsers, limits, slow readers."""

import json
import random
import socket
import threading
import time
import unittest

import harness

LINE_BYTES = 4 << 20


class Connections(harness.DaemonTest):
    def test_unix_socket(self):
        client = self.daemon.connect(unix=True)
        self.assertEqual(client.call("PING"), ("OK", None))

    def test_pipelining_keeps_the_order(self):
        self.create(dim=8, options="m=4")
        chance = random.Random(1)
        lines, want = [], []
        for i in range(3000):
            kind = chance.randrange(5)
            if kind == 0:
                lines.append(f"ADD {self.name} p{i} {harness.f32([chance.random() for _ in range(8)])}")
                want.append(lambda reply, i=i: reply[1]["id"] == f"p{i}")
            elif kind == 1:
                # Here, and beside the threads that serve clients.
                how = chance.choice(["", " exact=true", " ef=5000"])
                lines.append(f"SEARCH {self.name} {harness.f32([0.5] * 8)} k={i % 7 + 1}{how}")
                want.append(lambda reply, i=i: len(reply[1]["matches"]) <= i % 7 + 1)
            elif kind == 2:
                lines.append(f"GET {self.name} none-{i}")
                want.append(lambda reply, i=i: reply[1] == "not_found" and f"none-{i}" in reply[2])
            elif kind == 3:
                lines.append(f"DEL {self.name} none-{i}")
                want.append(lambda reply, i=i: reply[1] == {"deleted": 0, "missing": [f"none-{i}"]})
            else:
                lines.append("PING")
                want.append(lambda reply: reply == ("OK", None))
        for line, reply, check in zip(lines, self.client.pipeline(lines), want):
            self.assertTrue(check(reply), f"{line} was answered {reply}")

    def test_thousands_of_pipelined_adds(self):
        self.create(dim=4, options="m=4 ef_construction=20")
        begin = time.monotonic()
        replies = self.client.pipeline([f"ADD {self.name} {i} [{i},{i % 13},0,1]" for i in range(5000)])
        seconds = time.monotonic() - begin
        self.assertEqual([reply[1]["id"] for reply in replies], [str(i) for i in range(5000)])
        self.assertEqual([reply[1]["lsn"] for reply in replies], list(range(1, 5001)))
        self.assertEqual(self.client.ok(f"STATS {self.name}")["live"], 5000)
        # One sync for each would take a minute.
        print(f"5,000 adds, durable: {seconds:.2f} s")

    def test_one_byte_at_a_time(self):
        self.client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"PING\r\nHELP ping\n":
            self.client.send_bytes(bytes([byte]))
            time.sleep(0.001)
        self.assertEqual(self.client.read_reply(), ("OK", None))
        self.assertEqual(self.client.read_reply()[0], "OK")

    def test_half_close_still_gets_all_replies(self):
        self.create()
        self.client.send_bytes(b"".join(f"ADD {self.name} {i} [{i},1]\n".encode() for i in range(100)))
        self.client.half_close()
        for i in range(100):
            self.assertEqual(self.client.read_reply()[1]["id"], str(i))
        self.assertTrue(self.client.at_end())

    def test_a_last_line_without_its_end_changes_nothing(self):
        self.create()
        self.client.send_bytes(f"ADD {self.name} a [1,2]\nADD {self.name} b [1,2]".encode())
        self.client.half_close()
        self.assertEqual(self.client.read_reply()[1]["id"], "a")
        self.client.close()
        other = self.daemon.connect()
        self.assertEqual(other.error(f"GET {self.name} b"), "not_found")

    def test_requests_after_quit_are_ignored(self):
        self.create()
        self.client.send_bytes(f"QUIT\nADD {self.name} a [1,2]\n".encode())
        self.assertEqual(self.client.read_reply(), ("OK", None))
        self.assertTrue(self.client.at_end())
        self.assertEqual(self.daemon.connect().error(f"GET {self.name} a"), "not_found")

    def test_oversize_lines_are_answered_and_closed(self):
        for size in (LINE_BYTES + 2, 10 << 20):
            client = self.daemon.connect()
            client.send_line("PING")
            client._send_quietly(b"ADD x a [" + b"1," * (size // 2) + b"1]\n" + b"PING\n")
            self.assertEqual(client.read_reply(), ("OK", None))
            reply = client.read_reply()
            self.assertEqual(reply[:2], ("ERR", "too_large"))
            self.assertIn("4", reply[2])
            self.assertTrue(client.at_end())
        self.assertEqual(self.client.call("PING"), ("OK", None))

    def test_an_endless_line_is_closed(self):
        client = self.daemon.connect()
        client._send_quietly(b"x" * (20 << 20))
        self.assertEqual(client.read_reply()[:2], ("ERR", "too_large"))
        self.assertTrue(client.at_end())

    def test_a_line_just_within_the_limit(self):
        self.create(dim=65535)
        number = "1.25" + "0" * 55
        line = f"ADD {self.name} a [{','.join([number] * 65535)}]"
        self.assertLess(len(line), LINE_BYTES)
        line += " " * (LINE_BYTES - 1 - len(line))
        self.assertTrue(self.client.ok(line)["created"])
        self.assertEqual(self.client.ok(f"GET {self.name} a with=vector")["vector"], [1.25] * 65535)

    def test_a_browser_is_closed_at_once(self):
        for request in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nDROP x\n",
                        b"GET /index.html HTTP/1.0\r\n\r\n", b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            with self.daemon.connect() as client:
                client._send_quietly(request)
                client.socket.settimeout(10)
                data = b""
                try:
                    while chunk := client.socket.recv(4096):
                        data += chunk
                except ConnectionError:
                    pass
                except TimeoutError:
                    if not request.startswith(b"OPTIONS"):
                        self.fail(f"still open after {request[:20]!r}")
                self.assertLessEqual(data.count(b"\n"), 1 if not request.startswith(b"OPTIONS") else 3, data)

    def test_a_client_that_sends_and_never_reads(self):
        """It is held back, and serves others meanwhile; what it sent is bounded in the daemon's memory."""
        self.create(dim=512)
        vector = harness.f32([0.5] * 512)
        self.client.pipeline([f"ADD {self.name} {i} {vector}" for i in range(200)])
        greedy = self.daemon.connect()
        greedy.socket.setblocking(False)
        line = f"SEARCH {self.name} id=1 k=200 with=vector\n".encode()
        end = time.monotonic() + 2
        sent = 0
        while time.monotonic() < end:
            try:
                sent += greedy.socket.send(line * 10)
            except BlockingIOError:
                time.sleep(0.02)
            except ConnectionError:
                break  # closing it is a fair answer, too
        self.assertEqual(self.client.call("PING"), ("OK", None))
        with open(f"/proc/{self.daemon.process.pid}/status", encoding="ascii") as status:
            rss_kib = next(int(row.split()[1]) for row in status if row.startswith("VmRSS"))
        print(f"sent {sent} bytes without reading, the daemon holds {rss_kib} KiB")
        self.assertLess(rss_kib, 1 << 20)

    def test_replies_that_wait_for_one_before_them_are_bounded(self):
        """Large replies are ready at once, behind an ADD that waits for the slow ones of another client."""
        with harness.Daemon("--threads", "1") as daemon:
            busy, greedy = [daemon.connect() for _ in range(4)], daemon.connect()
            greedy.ok("CREATE slow dim=512 m=128 ef_construction=10000")
            greedy.ok("CREATE other dim=2")
            for i in range(800):
                for number, client in enumerate(busy):
                    client.send_line(f"ADD slow {number}-{i} {harness.f32([random.random() for _ in range(512)])}")
            line = ("DEL other " + " ".join(f"{i:0500}" for i in range(4000)) + "\n").encode()
            greedy.send_line("ADD other a [1,2]")
            greedy.socket.settimeout(3)
            sent = 0
            try:
                while sent < 300:
                    greedy.send_bytes(line)
                    sent += 1
            except socket.timeout:
                pass
            daemon.kill()
            print(f"{sent} requests of {len(line)} bytes were taken, each with a reply as long")
            self.assertLess(sent, 100)

    def test_a_client_that_reads_late_gets_all_replies(self):
        """More than is held for it, so that the daemon stops reading in between and goes on when there is room again."""
        self.create(dim=512)
        self.client.ok(f"ADD {self.name} p {harness.f32([0.123456789] * 512)}")
        late = self.daemon.connect()
        requests = 6000
        sender = threading.Thread(target=late.send_bytes, daemon=True,
                                  args=(f"GET {self.name} p with=vector\n".encode() * requests,))
        sender.start()
        time.sleep(1)
        for _ in range(requests):
            reply = late.read_reply()
            self.assertEqual((reply[0], len(reply[1]["vector"])), ("OK", 512))
        sender.join()

    def test_long_requests_let_others_go_on(self):
        """Between the request of one client and its reply another one of the same thread is served."""
        with harness.Daemon("--threads", "1") as daemon:
            client, other = daemon.connect(), daemon.connect()
            client.ok("CREATE big dim=1024 codes=none m=2 ef_construction=1 ef_search=10000")
            vectors = [harness.f32([random.Random(i).random()] * 1024) for i in range(50)]
            for first in range(0, 20000, 500):
                client.pipeline([f"ADD big {i} {vectors[i % 50]}" for i in range(first, first + 500)])

            def lets_others_go_on(request):
                for _ in range(20):
                    client.send_line(request)
                    other.call("PING")
                    other.call("PING")
                    client.socket.setblocking(False)
                    try:
                        early = client.socket.recv(1, socket.MSG_PEEK)
                    except BlockingIOError:
                        early = b""
                    client.socket.settimeout(harness.TIMEOUT_S)
                    self.assertEqual(client.read_reply()[0], "OK")
                    if not early:
                        return True
                return False  # each was answered before two PINGs of another client

            for request in (f"SEARCH big {vectors[0]} exact=true", f"SEARCH big {vectors[0]} k=5000 ef=1",
                            f"SEARCH big {vectors[0]}", "SCAN big limit=5000 with=attributes"):
                self.assertTrue(lets_others_go_on(request), request[-30:])

    def test_disconnecting_in_the_middle(self):
        self.create(dim=16)
        before = self.client.ok("INFO")["clients"]
        for _ in range(50):
            client = self.daemon.connect()
            client.send_bytes(b"".join(f"ADD {self.name} {i} {harness.f32([i] * 16)}\n".encode() for i in range(20)))
            client.send_bytes(f"SEARCH {self.name} [1,".encode())
            client.close()
        harness.eventually(lambda: self.client.ok("INFO")["clients"] <= before, what="the connections to be gone")

    def test_long_unicode_attributes(self):
        self.create()
        text = json.dumps({"t": "日本語🥾" * 3000}, ensure_ascii=False)
        self.client.ok(f"ADD {self.name} a [1,2] {text}")
        self.assertEqual(self.client.ok(f"GET {self.name} a")["attributes"], json.loads(text))


class ClientLimit(harness.DaemonTest):
    def test_clients_beyond_the_limit_are_told_so(self):
        clients = []
        refused = None
        try:
            for _ in range(1100):
                client = harness.Connection(self.daemon.address)
                clients.append(client)
                try:
                    reply = client.call("PING")
                except (harness.Closed, OSError):
                    self.fail("closed without a word")
                if reply != ("OK", None):
                    refused = reply
                    break
        except OSError as error:
            self.skipTest(f"this system does not allow so many files: {error}")
        finally:
            for client in clients:
                client.close()
        self.assertIsNotNone(refused, "1,100 clients were served")
        self.assertEqual(refused[:2], ("ERR", "limit"))
        self.assertLessEqual(len(clients), 1025)
        harness.eventually(lambda: self.client.ok("INFO")["clients"] == 1, what="the connections to be gone")
        self.assertEqual(self.daemon.connect().call("PING"), ("OK", None))


if __name__ == "__main__":
    harness.main()
