"""The error codes that need a damaged or failing disk: io_error and corrupt. What is refused leaves the rest alone."""

import os
import pathlib
import shutil
import unittest

import harness


class DiskErrors(unittest.TestCase):
    def test_io_error_when_no_directory_can_be_made(self):
        with harness.Daemon() as daemon, daemon.connect() as client:
            client.ok("CREATE before dim=2")
            client.ok("ADD before a [1,2]")
            collections = pathlib.Path(daemon.directory, "collections")
            collections.rename(collections.with_name("moved"))
            collections.write_text("a file where a directory was")
            self.assertEqual(client.error("CREATE after dim=2"), "io_error")
            self.assertEqual(client.ok("SEARCH before [1,2]")["matches"][0]["id"], "a")
            collections.unlink()
            collections.with_name("moved").rename(collections)
            client.ok("CREATE after dim=2")

    def test_corrupt_when_rocksdb_is_older_than_the_mapped_files(self):
        with harness.Daemon() as daemon:
            with daemon.connect() as client:
                client.ok("CREATE damaged dim=2")
                client.ok("CREATE healthy dim=2")
                client.ok("ADD healthy a [1,2]")
                client.ok("ADD damaged a [1,2]")
                client.ok("CHECKPOINT")
            daemon.kill()
            rocksdb = pathlib.Path(daemon.directory, "rocksdb")
            old = rocksdb.with_name("old")
            shutil.copytree(rocksdb, old)
            daemon.start()
            with daemon.connect() as client:
                client.ok("ADD damaged b [3,4]")
            daemon.kill()
            shutil.rmtree(rocksdb)
            os.rename(old, rocksdb)
            daemon.start()

            with daemon.connect() as client:
                for request in ("GET damaged a", "SEARCH damaged [1,2]", "ADD damaged c [1,2]", "STATS damaged"):
                    reply = client.call(request)
                    self.assertEqual(reply[:2], ("ERR", "corrupt"), request)
                    self.assertIn("acknowledged data was lost", reply[2])
                self.assertEqual(client.error("CREATE damaged dim=2"), "exists")
                self.assertIn("damaged", [c["name"] for c in client.ok("LIST")["collections"]])
                self.assertEqual(client.ok("GET healthy a with=vector")["vector"], [1, 2])
                # Out of the way by an explicit request only.
                client.ok("DROP damaged")
                client.ok("CREATE damaged dim=2")
                self.assertEqual(client.ok("STATS damaged")["live"], 0)


if __name__ == "__main__":
    harness.main()
