"""Starts the real vsd and talks to it, for the integration and crash tests. Python 3.9, standard library only.

The programs come from the environment variables VSD and VSCTL, which CTest sets; the Fashion-MNIST data set from
FASHION_MNIST_DIR, else from ../shared/data/fashion-mnist beside the project. A test program ends with `harness.main()`.
"""

import base64
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
SKIPPED = 77  # CTest's SKIP_RETURN_CODE

# Sanitizers slow everything down; a limit is only there to end a test that hangs.
TIMEOUT_S = float(os.environ.get("VS_TEST_TIMEOUT_S", "120"))

# Where vsctl keeps the journals of imports; nothing of a test may lie in the home of whoever runs it.
STATE = tempfile.TemporaryDirectory(prefix="vsctl-state-")
os.environ["XDG_STATE_HOME"] = STATE.name

READY = re.compile(r"ready listen=(?P<host>\S+):(?P<port>\d+)")


# Set for builds with a sanitizer, which are slow.
SANITIZED = "VS_TEST_PAIRS" in os.environ


def program(variable, name):
    path = os.environ.get(variable)
    if path:
        return path
    for folder in ("build/daemon", "build/cli"):
        if (PROJECT / folder / name).is_file():
            return str(PROJECT / folder / name)
    raise SystemExit(f"{variable} is not set: run this through ctest, or set {variable} to the path of {name}")


def fashion_mnist():
    """The folder with the data set, or None."""
    given = os.environ.get("FASHION_MNIST_DIR")
    folder = pathlib.Path(given) if given else PROJECT.parent / "shared" / "data" / "fashion-mnist"
    return folder if (folder / "train-images-idx3-ubyte.gz").is_file() else None


def require_fashion_mnist():
    folder = fashion_mnist()
    if folder is None:
        raise unittest.SkipTest("the Fashion-MNIST data set was not found: set FASHION_MNIST_DIR to its folder")
    return folder


def require_numpy():
    try:
        import numpy
    except ImportError as error:
        raise unittest.SkipTest("this test needs numpy (package python3-numpy)") from error
    return numpy


def f32(values):
    """A vector in the protocol's binary form."""
    return "f32:" + base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def to_float32(values):
    """The same numbers rounded to float32, to compare replies with what was sent."""
    return list(struct.unpack(f"<{len(values)}f", struct.pack(f"<{len(values)}f", *values)))


def parse_reply(line):
    """("OK", dict or None) or ("ERR", code, message)."""
    if line == "OK":
        return ("OK", None)
    if line.startswith("OK "):
        value = json.loads(line[3:])
        if not isinstance(value, dict):
            raise AssertionError(f"the reply holds no object: {line[:200]!r}")
        return ("OK", value)
    match = re.fullmatch(r"ERR ([a-z_]+) (.+)", line)
    if not match:
        raise AssertionError(f"this is neither an OK nor an ERR line: {line[:200]!r}")
    return ("ERR", match.group(1), match.group(2))


class Closed(Exception):
    """The daemon closed the connection."""


class Connection:
    """One client connection. A reply is what parse_reply returns."""

    def __init__(self, address, timeout_s=TIMEOUT_S):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(timeout_s)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout=timeout_s)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    def send_bytes(self, data):
        self.socket.sendall(data)

    def send_line(self, line):
        self.send_bytes((line if isinstance(line, bytes) else line.encode()) + b"\n")

    def read_line(self):
        """The next line without its LF; raises Closed at the end of the stream."""
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            try:
                data = self.socket.recv(1 << 18)
            except ConnectionError as error:
                raise Closed(str(error)) from error
            if not data:
                raise Closed(f"{len(self._buffer)} bytes of an unfinished line before the end")
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.decode()

    def read_reply(self):
        return parse_reply(self.read_line())

    def call(self, line):
        self.send_line(line)
        return self.read_reply()

    def ok(self, line):
        """The object of an OK reply ({} when there is none); anything else fails the test."""
        reply = self.call(line)
        if reply[0] != "OK":
            raise AssertionError(f"{line[:200]!r} was answered {reply}")
        return reply[1] or {}

    def error(self, line):
        """The code of an ERR reply; anything else fails the test."""
        reply = self.call(line)
        if reply[0] != "ERR":
            raise AssertionError(f"{line[:200]!r} was answered {str(reply)[:200]}, not an error")
        return reply[1]

    def pipeline(self, lines):
        """Sends all lines without waiting, and reads one reply for each."""
        data = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
        sender = threading.Thread(target=self._send_quietly, args=(data,))
        sender.start()
        try:
            return [self.read_reply() for _ in lines]
        finally:
            sender.join()

    def _send_quietly(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # the reader sees the end of the stream and reports it

    def at_end(self):
        """True when the daemon has closed the connection and nothing is left to read."""
        try:
            return not self._buffer and self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class Daemon:
    """A running vsd on a free port with a data directory of its own.

    As a context manager it is terminated at the end, and an exit code other than 0 fails the test (with the log, where a
    sanitizer writes). `arguments` are further options of vsd.
    """

    def __init__(self, *arguments, directory=None, environment=None, executable=None):
        self.executable = executable or program("VSD", "vsd")
        self._owned = None
        if directory is None:
            self._owned = tempfile.mkdtemp(prefix="vsd-test-")
            directory = os.path.join(self._owned, "data")
        self.directory = str(directory)
        # Beside the data directory, which the daemon may expect to be all its own.
        self._socket_folder = tempfile.mkdtemp(prefix="vsd-sock-")
        self.socket_path = os.path.join(self._socket_folder, "vsd.sock")
        self.arguments = list(arguments)
        self.environment = dict(os.environ, **(environment or {}))
        self.process = None
        self.port = None
        self.log = []
        self._connections = []
        try:
            self.start()
        except BaseException:
            self._remove()
            raise

    def start(self):
        """REQUIRES: it does not run. Returns the seconds until it was ready."""
        command = [self.executable, "--data-dir", self.directory, "--listen", "127.0.0.1:0", "--socket",
                   self.socket_path, *self.arguments]
        begin = time.monotonic()
        self.log = []
        self._ready = threading.Event()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, env=self.environment)
        self._reader = threading.Thread(target=self._read_log, args=(self.process.stderr,), daemon=True)
        self._reader.start()
        if not self._ready.wait(TIMEOUT_S) or self.port is None:
            self.kill()
            raise AssertionError(f"vsd did not become ready; its log:\n{self.log_text()}")
        return time.monotonic() - begin

    def _read_log(self, stream):
        self.port = None
        for raw in stream:
            line = raw.decode(errors="replace").rstrip("\n")
            self.log.append(line)
            match = READY.search(line)
            if match:
                self.port = int(match.group("port"))
                self._ready.set()
        self._ready.set()
        stream.close()

    def log_text(self):
        return "\n".join(self.log)

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    @property
    def server(self):
        """HOST:PORT for `vsctl --server`."""
        return f"127.0.0.1:{self.port}"

    def connect(self, unix=False):
        connection = Connection(self.socket_path if unix else self.address)
        self._connections.append(connection)
        return connection

    def vsctl(self, *arguments, **options):
        return vsctl("--server", self.server, *arguments, **options)

    def kill(self):
        """SIGKILL, as a crash of the process."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)

    def terminate(self):
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        """Waits for its end; returns the exit code."""
        try:
            code = self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"vsd did not end within {TIMEOUT_S} s; its log:\n{self.log_text()}") from None
        self._reader.join(TIMEOUT_S)
        return code

    def restart(self, kill=False):
        """Ends it (by SIGKILL if `kill`) and starts it on the same directory; returns the seconds until it was ready."""
        if kill:
            self.kill()
        else:
            self.expect_clean_end()
        return self.start()

    def expect_clean_end(self):
        code = self.terminate()
        if code != 0:
            raise AssertionError(f"vsd ended with {code}; its log:\n{self.log_text()}")

    def _remove(self):
        for connection in self._connections:
            connection.close()
        shutil.rmtree(self._socket_folder, ignore_errors=True)
        if self._owned:
            shutil.rmtree(self._owned, ignore_errors=True)

    def close(self):
        """Ends it whatever happened, and removes what it left."""
        if self.process.poll() is None:
            self.kill()
        self._remove()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        try:
            if kind is None:
                # A test may have ended it itself, by kill() or SHUTDOWN.
                if self.process.poll() is None:
                    self.expect_clean_end()
            else:
                print(f"--- log of vsd ---\n{self.log_text()}\n---", file=sys.stderr)
        finally:
            self.close()


def vsctl(*arguments, check=False, input=None, timeout_s=None, environment=None):
    """Runs vsctl; a CompletedProcess with text. With `check` an exit code other than 0 fails the test."""
    done = subprocess.run([program("VSCTL", "vsctl"), *map(str, arguments)], input=input, capture_output=True, text=True,
                          timeout=timeout_s or TIMEOUT_S * 5, env=dict(os.environ, **(environment or {})),
                          stdin=subprocess.DEVNULL if input is None else None)
    if check and done.returncode != 0:
        raise AssertionError(f"vsctl {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stderr}")
    return done


def run_vsd(*arguments, timeout_s=TIMEOUT_S, environment=None):
    """Runs vsd to its end, for what does not serve (--version, errors of usage); a CompletedProcess with text."""
    return subprocess.run([program("VSD", "vsd"), *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout_s, env=dict(os.environ, **(environment or {})), stdin=subprocess.DEVNULL)


def vsd_on(directory, *arguments):
    """Likewise, of a vsd that would serve that directory."""
    return run_vsd("--data-dir", directory, "--listen", "127.0.0.1:0", *arguments)


def eventually(condition, timeout_s=TIMEOUT_S, what="a condition"):
    """Waits until condition() is true, and returns its value."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s} s for {what}")
        time.sleep(0.02)


class DaemonTest(unittest.TestCase):
    """One vsd for all tests of the class; each test uses collections of its own name (self.name)."""

    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(*cls.arguments)

    @classmethod
    def tearDownClass(cls):
        try:
            if cls.daemon.process.poll() is None:
                cls.daemon.expect_clean_end()
        finally:
            cls.daemon.close()

    def setUp(self):
        self.name = self._testMethodName
        self.client = self.daemon.connect()

    def tearDown(self):
        self.client.close()

    def create(self, dim=2, options=""):
        return self.client.ok(f"CREATE {self.name} dim={dim} seed=1 {options}")

    def assert_error(self, line, code):
        """One ERR line with that code, and the connection goes on."""
        reply = self.client.call(line)
        self.assertEqual(reply[:2], ("ERR", code), f"reply to {line[:200]!r}")
        self.assertEqual(self.client.call("PING"), ("OK", None), f"after {line[:200]!r}")
        return reply[2]

    def ids(self, line):
        """The ids of a SEARCH request's matches."""
        return [match["id"] for match in self.client.ok(line)["matches"]]


def main():
    """unittest.main with exit code 77 when every test was skipped."""
    done = unittest.main(module="__main__", exit=False, verbosity=2).result
    if not done.wasSuccessful():
        sys.exit(1)
    if done.skipped and len(done.skipped) >= done.testsRun:
        reasons = sorted({reason for _, reason in done.skipped})
        print(f"skipped: {'; '.join(reasons)}")
        sys.exit(SKIPPED)
    sys.exit(0)
