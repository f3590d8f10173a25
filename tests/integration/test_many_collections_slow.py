#!/usr/bin/env python3
"""As many collections as there may be: the next one is refused, all others go on, and a restart opens them."""

import unittest

import harness


class ManyCollections(unittest.TestCase):
    def test_limit(self):
        with harness.Daemon() as daemon:
            client = daemon.connect()
            count = 0
            while (reply := client.call(f"CREATE c{count} dim=1"))[0] == "OK":
                client.ok(f"ADD c{count} a [{count}]")
                count += 1
            self.assertEqual(reply[:2], ("ERR", "limit"))
            # Each collection reserves address space, of which a build with a sanitizer has less.
            self.assertGreaterEqual(count, 250)
            self.assertLessEqual(count, 512)
            print(f"{count} collections, then: {reply[2]}")

            seconds = daemon.restart()
            print(f"ready after {seconds:.2f} s")
            client = daemon.connect()
            self.assertEqual(client.ok("INFO")["collections"], count)
            for number in (0, count // 2, count - 1):
                self.assertEqual(client.ok(f"GET c{number} a with=vector")["vector"], [number])
            self.assertEqual(client.call("DROP c0"), ("OK", None))
            client.ok("CREATE again dim=1")


if __name__ == "__main__":
    harness.main()
