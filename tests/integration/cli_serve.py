#!/usr/bin/env python3
"""A daemon that stays: its end, its clients, and clients of other builds. Usage: cli_serve.py DAEDALUS PRELOAD_LIBRARY"""

import errno
import os
import pathlib
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import cases  # noqa: E402
from daedalus_tests.command import DAEDALUS, PRELOAD, daedalus, environment, ivf  # noqa: E402


class Serve(unittest.TestCase):
    """A daemon that stays, and its end."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="daedalus-test-")
        self.addCleanup(folder.cleanup)
        self.socket = pathlib.Path(folder.name) / "daedalus.sock"

    def serve(self, before=None):
        server = subprocess.Popen([DAEDALUS, "serve", "--socket", self.socket], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  text=True, env=environment(), preexec_fn=before)
        self.addCleanup(server.stderr.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.assertIn("serving /dev/video", server.stderr.readline())
        return server

    def test_ends_cleanly(self):
        for signo in (signal.SIGTERM, signal.SIGINT):
            server = self.serve()
            self.assertTrue(self.socket.is_socket())
            server.send_signal(signo)
            self.assertEqual(server.wait(20), 0)
            self.assertFalse(self.socket.exists())

    def test_goes_on_after_its_terminal(self):
        server = self.serve()
        server.send_signal(signal.SIGHUP)
        attached = daedalus("run", "--attach", self.socket, "--", "true")
        self.assertEqual(attached.returncode, 0, attached.stderr)
        self.assertIsNone(server.poll())

    def test_one_client_beyond_a_limit_harms_no_other(self):
        server = self.serve(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)))
        stream = self.socket.parent / "stream.ivf"
        stream.write_bytes(ivf(b"VP80", b"\xff" * 50))
        for _ in range(2):
            client = daedalus("run", "--attach", self.socket, "--", DAEDALUS, "decode", stream)
            self.assertEqual(client.returncode, 1, client.stderr)
            self.assertIn("out of memory", client.stderr)
        self.assertIsNone(server.poll())

    def test_started_without_standard_input_and_output(self):
        def close():
            os.close(0)
            os.close(1)

        self.serve(before=close)
        seen = daedalus("run", "--attach", self.socket, "--", "sh", "-c", "test -c $DAEDALUS_NODE")
        self.assertEqual(seen.returncode, 0, seen.stderr)

    def test_one_daemon_per_socket(self):
        self.serve()
        second = daedalus("serve", "--socket", self.socket)
        self.assertEqual(second.returncode, 1)
        self.assertIn("another daemon", second.stderr)

    def test_replaces_the_socket_of_a_dead_daemon(self):
        server = self.serve()
        server.kill()
        server.wait()
        self.assertTrue(self.socket.exists())
        dead = daedalus("run", "--attach", self.socket, "--", "true")
        self.assertEqual(dead.returncode, 125)
        self.assertIn("no daemon", dead.stderr)
        self.serve()
        self.assertEqual(daedalus("run", "--attach", self.socket, "--", "true").returncode, 0)

    def test_attached_program_sees_the_node(self):
        self.serve()
        seen = daedalus("run", "--attach", self.socket, "--", "sh", "-c", "test -c $DAEDALUS_NODE && ls -d $DAEDALUS_NODE")
        self.assertEqual(seen.returncode, 0, seen.stderr)
        self.assertRegex(seen.stdout, r"^/dev/video\d+$")

    def test_open_files_fail_when_the_daemon_goes(self):
        for end in (signal.SIGTERM, signal.SIGKILL):
            server = self.serve()
            program = """
import errno, fcntl, os, select, sys
node = os.open(os.environ["DAEDALUS_NODE"], os.O_RDWR)
fcntl.ioctl(node, 0x80685600, bytearray(104))
print("open", flush=True)
poll = select.poll()
poll.register(node, 0)
events = poll.poll(20000)
assert events and events[0][1] & select.POLLHUP, events
try:
    fcntl.ioctl(node, 0x80685600, bytearray(104))
except OSError as error:
    assert error.errno == errno.ENODEV, error
    sys.exit(7)
"""
            client = subprocess.Popen([DAEDALUS, "run", "--attach", self.socket, "--", sys.executable, "-c", program],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                      text=True, env=environment())
            self.addCleanup(client.stdout.close)
            self.assertEqual(client.stdout.readline(), "open\n")
            server.send_signal(end)
            self.assertEqual(client.wait(30), 7)
            server.wait(20)

    def test_decode_says_that_the_daemon_has_gone(self):
        server = self.serve()
        # An input that never ends: decode waits in the middle of it.
        pipe = self.socket.parent / "input.ivf"
        os.mkfifo(pipe)
        client = subprocess.Popen([DAEDALUS, "run", "--attach", self.socket, "--", DAEDALUS, "decode", pipe],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment())
        self.addCleanup(client.stderr.close)
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        with open(pipe, "wb") as stream:
            stream.write(ivf(b"VP80", *[b"\x5a" * 100] * 60))
            stream.flush()
            time.sleep(1)
            server.kill()
            stream.write(struct.pack("<IQ", 100, 61) + b"\x5a" * 100)
        errors = client.communicate(timeout=60)[1]
        self.assertEqual(client.returncode, 1, errors)
        self.assertIn("daemon behind it has gone", errors)


# proto/wire.h: Request {kind, flags, session, value, length, sequence, cmd, ...}, and what this build speaks.
REQUEST = struct.Struct("=IIQQQII16x")
HELLO = 1
WIRE = pathlib.Path(__file__).resolve().parents[2] / "proto/wire.h"
PROTOCOL = int(re.search(r"kProtocolVersion = (\d+);", WIRE.read_text(encoding="utf-8"))[1])


class OtherDaemon:
    """A daemon that speaks another version of the protocol: it answers each HELLO with EPROTO, or, as one that does not look,
    with its own version. A context; the value is its socket."""

    def __init__(self, folder, looks):
        self.path = pathlib.Path(folder) / "other.sock"
        self.looks, self.greeted = looks, 0
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(self.path))
        self.listener.listen()

    def __enter__(self):
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def serve(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            with client:
                while request := client.recv(8192):
                    self.greeted += 1
                    self.answer(client, REQUEST.unpack_from(request))

    def answer(self, client, request):
        kind, sequence = request[0], request[5]
        assert kind == HELLO, f"asked for {kind} after an answer that ends the conversation"
        body = b"" if self.looks else struct.pack(
            "=IIQIIQ II64s32sQ", PROTOCOL + 1, 0, 7, 0, 1, 0, 81, 250, b"/dev/video250", b"other", 0)
        client.send(struct.pack("=IiIIQII32x", sequence, errno.EPROTO if self.looks else 0, 0, 0, 0, len(body), 0) + body)


class Versions(unittest.TestCase):
    """Client and daemon of different builds."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="daedalus-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_run_attaches_to_no_other_version(self):
        for looks in (True, False):
            with OtherDaemon(self.folder, looks) as other:
                done = daedalus("run", "--attach", other.path, "--", "true")
                self.assertEqual(done.returncode, 125, done.stderr)
                for text in (f"--attach {other.path}", "not a daemon of this version", "restart it from the same build"):
                    self.assertIn(text, done.stderr)
            other.path.unlink()

    def test_programs_find_no_node_of_another_version(self):
        program = "import os\ntry: os.open('/dev/video250', os.O_RDWR)\nexcept FileNotFoundError: print('no node')"
        for looks in (True, False):
            with OtherDaemon(self.folder, looks) as other:
                done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False,
                                      env=environment(LD_PRELOAD=str(PRELOAD), DAEDALUS_SOCKET=str(other.path)))
                self.assertEqual((done.returncode, done.stdout), (0, "no node\n"), done.stderr)
                self.assertGreater(other.greeted, 0)
            other.path.unlink()

    def test_the_daemon_tells_of_clients_of_another_version(self):
        path = pathlib.Path(self.folder) / "daedalus.sock"
        server = subprocess.Popen([DAEDALUS, "serve", "--socket", path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  text=True, env=environment())
        self.addCleanup(server.stderr.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.assertIn("serving /dev/video", server.stderr.readline())
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(20)
            client.connect(str(path))
            client.send(REQUEST.pack(HELLO, 0, 0, PROTOCOL + 1, 0, 5, 0))
            self.assertEqual(struct.unpack_from("=Ii", client.recv(8192)), (5, errno.EPROTO))
        said = server.stderr.readline()
        for text in (f"pid {os.getpid()}", f"speaks version {PROTOCOL + 1}", f"this daemon speaks {PROTOCOL}",
                     "use the libdaedalus-preload.so that was built with it"):
            self.assertIn(text, said)


if __name__ == "__main__":
    cases.main()
