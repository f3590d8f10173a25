"""vsctl's command line, its settings, where the daemon is, and the token."""

import json
import pathlib
import socket
import tempfile
import threading

import harness
from test_vsctl import FAILURE, OK, UNREACHABLE, USAGE, VsctlTest, npy


class Usage(VsctlTest):
    def test_help_and_version(self):
        self.assertRegex(harness.vsctl("--version", check=True).stdout, r"^vsctl \d+\.\d+\.\d+\n$")
        overview = harness.vsctl("--help", check=True).stdout
        for command in ("ping info list stats create alter drop checkpoint add get delete scan query why-not import export eval "
                        "bench tune").split():
            self.assertRegex(overview, rf"(?m)^  {command} ")
            text = harness.vsctl(command, "--help", check=True).stdout
            self.assertRegex(text, rf"Examples?:\n +vsctl {command}")

    def test_wrong_usage(self):
        for arguments in ([], ["nonsense"], ["--nonsense", "list"], ["stats"], ["stats", ".hidden"], ["stats", "a/b"],
                          ["create", "x"], ["create", "x", "--dim", "0"], ["create", "x", "--dim", "65536"],
                          ["create", "x", "--dim", "2", "--metric", "cubic"], ["create", "x", "--dim", "2", "--m", "1"],
                          ["create", "x", "--dim", "2", "--ml", "-1"], ["query", "x"],
                          ["query", "x", "--id", "1", "-k", "0"], ["query", "x", "--id", "1", "-k", "10001"],
                          ["query", "x", "--id", "1", "--vector", "1"], ["query", "x", "--row", "1"],
                          ["query", "x", "--vector", "1,b"], ["query", "x", "--vector", "[1"],
                          ["query", "x", "--id", "1", "--ef", "abc"], ["query", "x", "--id", "1", "--picture", "a.gif"],
                          ["query", "x", "--id", "1\n2"], ["query", "x", "--vector", "1", "--scale", "1/0"],
                          ["add", "x", "1"], ["add", "x", "1", "--vector", "1", "--if", "maybe"],
                          ["add", "x", "1", "--vector", "1", "--attributes", "[1]"],
                          ["add", "x", "1", "--vector", "1", "--attributes", "{"], ["get", "x"], ["get", "x", ""],
                          ["delete", "x"], ["scan", "x", "--limit", "0"], ["scan", "x", "--with", "pixels"],
                          ["scan", "x", "--all", "--limit", "3"], ["import", "x"], ["import", "x", "f", "--format", "xml"],
                          ["import", "x", "f", "--connections", "0"], ["export", "x", "d"],
                          ["export", "x", "d", "--format", "xml"], ["export", "x", "-", "--format", "npz"],
                          ["export", "x", "d", "--format", "npz", "--scratch", "/tmp"],
                          ["export", "x", "d", "--format", "npz", "--snapshot", "t", "--scratch", "/nowhere"], ["eval", "x"], ["list", "--output", "xml"],
                          ["query", "x", "--vector", "1", "--scale", "1/255"], ["create", "x", "--dim", "2", "--codes", "sq4"],
                          ["add", "x", "1", "--vector", "1", "--scale", "0.5"],
                          ["query", "x", "--vector", "1", "--radius", "nan"], ["query", "x", "--vector", "1", "--radius", "inf"],
                          ["create", "x", "--dim", "2", "--ml", "inf"], ["create", "x", "--dim", "2", "--ml", "nan"],
                          ["scan", "x", "--with", "vector,"], ["scan", "x", "--with", "none,vector"],
                          ["scan", "x", "--with", ",vector"], ["scan", "x", "--with", ""]):
            with self.subTest(arguments):
                self.run_ctl(*arguments, code=USAGE)

    def test_numbers_are_decimal(self):
        path = npy(self.folder / "v.npy", [1, 2], columns=2)
        for number in ("010", "0x10", "-1", "+5", "1.0", "1e3", " 5", "5 ", "18446744073709551616", "",
                       "99999999999999999999999", "0b1", "1'000"):
            for arguments in (["create", self.name, "--dim"], ["create", self.name, "--dim", "2", "--seed"],
                              ["create", self.name, "--dim", "2", "--m"], ["scan", "x", "--limit"],
                              ["create", self.name, "--dim", "2", "--ef-construction"],
                              ["create", self.name, "--dim", "2", "--ef-search"], ["query", "x", "--id", "1", "-k"],
                              ["query", "x", "--id", "1", "--ef"], ["query", "x", "--file", path, "--row"],
                              ["import", "x", path, "--connections"], ["eval", "x", "--queries", path, "--limit"],
                              ["eval", "x", "--queries", path, "-k"], ["eval", "x", "--queries", path, "--connections"],
                              ["eval", "x", "--queries", path, "--ef"]):
                with self.subTest(arguments=arguments, number=number):
                    done = self.run_ctl(*arguments, number, code=USAGE)
                    if number:
                        self.assertIn(f"in decimal digits without leading zeros; got '{number}'", done.stderr)
        self.assertNotIn(self.name, self.run_ctl("list").stdout)

    def test_radius_says_what_it_expects(self):
        done = self.run_ctl("query", "x", "--vector", "1", "--radius", "nan", code=USAGE)
        self.assertIn("--radius: expected a finite number such as 0.5; got 'nan'", done.stderr)

    def test_codes_are_passed_on(self):
        self.assertEqual(self.json("create", self.name, "--dim", "2", "--codes", "sq8")["codes"], "sq8")

    def test_addresses(self):
        for server, code in (("nonsense", USAGE), ("127.0.0.1:", USAGE), (":8700", USAGE), ("127.0.0.1:1", UNREACHABLE),
                             ("127.0.0.1:x", UNREACHABLE)):
            done = harness.vsctl("ping", "--server", server, "--output", "json")
            self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertIn("is vsd running? try", done.stderr)
        for command in (["list"], ["import", "x", npy(self.folder / "a.npy", [1, 2], columns=2)], ["query", "x", "--id", "1"],
                        ["drop", "x", "--yes"], ["export", "x", self.folder / "out", "--format", "json"]):
            self.assertEqual(harness.vsctl("--socket", self.folder / "none", *command).returncode, UNREACHABLE)
        self.assertEqual(harness.vsctl("--socket", self.daemon.socket_path, "ping").returncode, OK)
        self.assertEqual(harness.vsctl("--socket", "a", "--server", "b:1", "ping").returncode, USAGE)

    def test_environment_and_file(self):
        config = self.folder / "vsctl.conf"
        config.write_text(f"# the test's daemon\nserver = {self.daemon.server}\noutput = json\n")
        with_file = {"VSCTL_CONFIG": str(config)}
        self.assertIn("server", json.loads(harness.vsctl("ping", environment=with_file, check=True).stdout))
        done = harness.vsctl("ping", environment=dict(with_file, VSCTL_OUTPUT="csv"), check=True)
        self.assertTrue(done.stdout.startswith("server,ms\n"))
        done = harness.vsctl("ping", "--output", "table", environment=dict(with_file, VSCTL_OUTPUT="csv"), check=True)
        self.assertTrue(done.stdout.startswith("ok"))
        self.assertEqual(harness.vsctl("ping", environment=dict(with_file, VSCTL_SERVER="127.0.0.1:1")).returncode,
                         UNREACHABLE)
        done = harness.vsctl("ping", environment={"VSCTL_CONFIG": str(self.folder / "none")})
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("VSCTL_CONFIG", done.stderr)
        self.assertEqual(harness.vsctl("ping", environment={"VSCTL_CONFIG": str(self.folder)}).returncode, USAGE)
        config.write_text("")
        done = self.daemon.vsctl("ping", environment=with_file)
        self.assertEqual((done.returncode, done.stderr), (OK, ""))
        home = self.folder / "home"
        (home / ".config").mkdir(parents=True)
        (home / ".config" / "vsctl.conf").write_text("")
        self.assertEqual(self.daemon.vsctl("ping", environment={"HOME": str(home)}).returncode, OK)
        config.write_text("sever = x\n")
        self.assertEqual(harness.vsctl("ping", environment=with_file).returncode, USAGE)

    def test_a_peer_that_is_no_vsd(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def answer():
                for reply in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b""):
                    connection = listener.accept()[0]
                    with connection:
                        connection.recv(100)
                        connection.sendall(reply)
            thread = threading.Thread(target=answer)
            thread.start()
            server = f"127.0.0.1:{listener.getsockname()[1]}"
            self.assertEqual(harness.vsctl("list", "--server", server).returncode, FAILURE)
            self.assertEqual(harness.vsctl("list", "--server", server).returncode, UNREACHABLE)
            thread.join()


class SecretToken(VsctlTest):
    @classmethod
    def setUpClass(cls):
        cls.folder_of_token = tempfile.TemporaryDirectory(prefix="vsctl-test-")
        cls.token = pathlib.Path(cls.folder_of_token.name) / "token"
        cls.token.write_text("a-secret-of-some-length\n")
        cls.token.chmod(0o600)
        cls.daemon = harness.Daemon("--token-file", str(cls.token))

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder_of_token.cleanup()

    def test_token_file(self):
        self.run_ctl("list", "--token-file", self.token)
        self.run_ctl("list", environment={"VSCTL_TOKEN_FILE": str(self.token)})
        self.assertIn("--token-file", self.run_ctl("list", code=FAILURE).stderr)
        wrong = self.folder / "wrong"
        wrong.write_text("something else")
        self.run_ctl("list", "--token-file", wrong, code=FAILURE)
        self.run_ctl("list", "--token-file", self.folder / "none", code=USAGE)
        wrong.write_text("two\nlines")
        self.run_ctl("list", "--token-file", wrong, code=USAGE)
        for empty in ("", "\n"):
            wrong.write_text(empty)
            self.assertIn("is empty", self.run_ctl("list", "--token-file", wrong, code=USAGE).stderr)


if __name__ == "__main__":
    harness.main()
