"""The error codes that need a damaged or failing disk: io_error and corrupt. What is refused leaves the rest alone."""

import os
import pathlib
import shutil
import subprocess
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

    def test_start_is_refused_when_rocksdb_is_older_than_the_mapped_files(self):
        with harness.Daemon() as daemon:
            with daemon.connect() as client:
                client.ok("CREATE c dim=2")
                client.ok("ADD c a [1,2]")
                client.ok("CHECKPOINT")
            daemon.kill()
            rocksdb = pathlib.Path(daemon.directory, "rocksdb")
            old = rocksdb.with_name("old")
            shutil.copytree(rocksdb, old)
            daemon.start()
            with daemon.connect() as client:
                client.ok("ADD c b [3,4]")
            daemon.kill()
            shutil.rmtree(rocksdb)
            os.rename(old, rocksdb)
            before = self.contents(daemon.directory)
            refused = subprocess.run([harness.program("VSD", "vsd"), "--data-dir", daemon.directory, "--listen", "127.0.0.1:0"],
                                     capture_output=True, text=True, timeout=harness.TIMEOUT_S)
            self.assertEqual(refused.returncode, 5)
            self.assertIn("acknowledged data was lost", refused.stderr)
            self.assertEqual(self.contents(daemon.directory), before, "a refused directory was changed")

            # The way out that the message names.
            shutil.rmtree(pathlib.Path(daemon.directory, "collections", "1", "1"))
            daemon.start()
            with daemon.connect() as client:
                self.assertEqual(client.ok("GET c a with=vector")["vector"], [1, 2])
                self.assertEqual(client.error("GET c b"), "not_found")

    def test_corrupt_collection_is_quarantined(self):
        with harness.Daemon() as daemon:
            with daemon.connect() as client:
                client.ok("CREATE damaged dim=600")
                client.ok("CREATE healthy dim=2")
                client.ok("ADD healthy a [1,2]")
                client.ok(f"ADD damaged a {[1] * 600}")
            daemon.terminate()
            # The vector lies in a blob file of RocksDB; without its mapped files the collection has to read it.
            for blob in pathlib.Path(daemon.directory, "rocksdb").glob("*.blob"):
                data = bytearray(blob.read_bytes())
                data[len(data) // 2] ^= 0x10
                blob.write_bytes(data)
            shutil.rmtree(pathlib.Path(daemon.directory, "collections", "1"))
            daemon.start()
            with daemon.connect() as client:
                for request in ("GET damaged a", "SEARCH damaged id=a", "STATS damaged"):
                    self.assertEqual(client.call(request)[:2], ("ERR", "corrupt"), request)
                self.assertEqual(client.error("CREATE damaged dim=2"), "exists")
                self.assertIn("damaged", [c["name"] for c in client.ok("LIST")["collections"]])
                self.assertEqual(client.ok("GET healthy a with=vector")["vector"], [1, 2])
                # Out of the way by an explicit request only.
                client.ok("DROP damaged")
                client.ok("CREATE damaged dim=2")
                self.assertEqual(client.ok("STATS damaged")["live"], 0)

    @staticmethod
    def contents(directory):
        return {path: path.read_bytes() for path in pathlib.Path(directory).rglob("*") if path.is_file()}


if __name__ == "__main__":
    harness.main()
