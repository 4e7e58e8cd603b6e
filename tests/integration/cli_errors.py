#!/usr/bin/env python3
"""What daedalus says when something is wrong: exit statuses, and messages that name the thing, the cause and the next step.

Usage: cli_errors.py DAEDALUS PRELOAD_LIBRARY
"""

import errno
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

DAEDALUS = pathlib.Path(sys.argv[1]).resolve()
PRELOAD = pathlib.Path(sys.argv[2]).resolve()


def environment(**changes):
    result = {key: value for key, value in os.environ.items() if not key.startswith("DAEDALUS_")}
    result["DAEDALUS_PRELOAD"] = str(PRELOAD)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def daedalus(*words, **changes):
    return subprocess.run([DAEDALUS, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          env=environment(**changes), check=False)


def ivf(fourcc, *frames, time_base=(25, 1)):
    """An IVF file's bytes."""
    header = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, fourcc, 64, 64, *time_base, len(frames), 0)
    return header + b"".join(struct.pack("<IQ", len(frame), i) + frame for i, frame in enumerate(frames))


class Errors(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="daedalus-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def refused(self, status, *said, words, **changes):
        """`words` must fail with `status`, with all of `said` on stderr and nothing on stdout."""
        done = daedalus(*words, **changes)
        self.assertEqual(done.returncode, status, done.stderr)
        for text in said:
            self.assertIn(text, done.stderr)
        self.assertEqual(done.stdout, "")

    def test_usage(self):
        self.refused(2, "--help", words=[])
        self.refused(2, "nonsense", words=["nonsense"])
        self.refused(2, "INPUT", words=["decode"])
        self.refused(2, "--memory", words=["decode", "--memory", "tape", "x"])
        self.refused(2, "--device", words=["decode", "--device", "/dev/video0", "--in-process", "x"])
        self.refused(2, "loud", "info", words=["--log", "loud", "doctor"])
        self.refused(2, "--threads", words=["serve", "--threads", "0"])

    def test_version_and_help(self):
        done = daedalus("--version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^daedalus \d+\.\d+")
        for command in ("run", "serve", "decode", "codecs", "doctor"):
            self.assertEqual(daedalus(command, "--help").returncode, 0)
        self.assertEqual(daedalus("-h").returncode, 0)

    def test_decode_input(self):
        self.refused(1, "/nonexistent", "No such file", words=["decode", "--in-process", "/nonexistent"])
        self.refused(1, "folder", words=["decode", "--in-process", str(self.folder)])
        self.refused(1, "empty", words=["decode", "--in-process", self.file("empty.h264", b"")])
        self.refused(1, "no video stream", words=["decode", "--in-process", self.file("text", b"Not a video.\n" * 100)])
        other = self.file("other.ivf", ivf(b"WHAT", b"frame"))
        self.refused(1, "unsupported codec", "daedalus codecs", words=["decode", "--in-process", other])
        garbage = self.file("garbage.ivf", ivf(b"VP80", b"\xff" * 50, b"\x5a" * 50, time_base=(0, 0)))
        self.refused(1, "no picture", words=["decode", "--in-process", garbage])
        # The headers of key frames, and nothing behind them; what is lost before CAPTURE is set up is not told.
        key = b"\x10\x02\x00\x9d\x01\x2a\x40\x00\x40\x00"
        headers = self.file("headers.ivf", ivf(b"VP80", key, key, key))
        self.refused(1, "no picture", "2 were lost", words=["decode", "--in-process", headers])

    def test_decode_device(self):
        stream = self.file("stream.ivf", ivf(b"VP80", b"\xff" * 50))
        self.refused(1, "/dev/video250", "no such node", "daedalus run", words=["decode", "--device", "/dev/video250", stream])
        self.refused(1, "/dev/null", "not a V4L2 node", words=["decode", "--device", "/dev/null", stream])

    def test_decode_options(self):
        stream = self.file("stream.ivf", ivf(b"VP80", b"\xff" * 50))
        self.refused(1, "QQQQ", "unsupported format", "NV12", words=["decode", "--in-process", "--capture", "QQQQ", stream])
        self.refused(1, "stdout", words=["decode", "--in-process", "--framemd5", "-", "-o", "-", stream])
        self.refused(1, "/nonexistent/x", "cannot be written", words=["decode", "--in-process", "-o", "/nonexistent/x", stream])

    def test_export_device(self):
        stream = self.file("stream.ivf", ivf(b"VP80", b"\xff" * 50))
        dmabuf = ["decode", "--in-process", "--memory", "dmabuf", "--export-device"]
        self.refused(1, "--export-device /dev/null", "not a V4L2 device", words=[*dmabuf, "/dev/null", stream])
        self.refused(1, "--export-device /dev/video250", "No such file", words=[*dmabuf, "/dev/video250", stream])
        self.refused(1, "--memory dmabuf", words=["decode", "--in-process", "--export-device", "/dev/null", stream])

    def test_run(self):
        self.refused(125, "no program", words=["run"])
        self.refused(125, "--planes", "three", words=["run", "--planes", "three", "--", "true"])
        self.refused(125, "--planes", "--attach", words=["run", "--planes", "single", "--attach", "x", "--", "true"])
        self.refused(125, "--bogus", words=["run", "--bogus", "--", "true"])
        self.refused(125, "--node", "/dev/videoN", words=["run", "--node", "/dev/null", "--", "true"])
        self.refused(125, "--attach", "no daemon", "serve", words=["run", "--attach", str(self.folder / "none"), "--", "true"])
        self.refused(125, "--node", words=["run", "--attach", "x", "--node", "/dev/video0", "--", "true"])
        self.refused(125, "preload library", "/nonexistent.so", words=["run", "--", "true"], DAEDALUS_PRELOAD="/nonexistent.so")
        self.refused(127, "nonexistent-program", words=["run", "--", "nonexistent-program"])
        self.refused(126, "Permission denied", words=["run", "--", self.file("data", b"data")])

    def test_run_on_a_device(self):
        self.refused(125, "--device /dev/video250", "no such device", "serve --cuse",
                     words=["run", "--device", "/dev/video250", "--", "true"])
        self.refused(125, "--device /dev/null", "not a V4L2 node", words=["run", "--device", "/dev/null", "--", "true"])
        self.refused(125, "--device", "check the path", words=["run", "--device", str(self.folder), "--", "true"])
        for other in (["--node", "/dev/video0"], ["--attach", "x"]):
            self.refused(125, "--device", other[0], words=["run", "--device", "/dev/video0", *other, "--", "true"])

    def test_attach_to_something_else(self):
        self.refused(125, "--attach", words=["run", "--attach", self.file("file", b""), "--", "true"])

    def test_serve(self):
        self.refused(1, "/nonexistent/", words=["serve", "--socket", "/nonexistent/daedalus.sock"])
        self.refused(1, "is no socket", words=["serve", "--socket", str(self.folder)])
        self.refused(1, "107", words=["serve", "--socket", str(self.folder / ("x" * 120))])
        self.refused(1, "--node", words=["serve", "--socket", str(self.folder / "s"), "--node", "video1"])
        if os.geteuid() != 0:
            self.refused(1, "XDG_RUNTIME_DIR", "--socket", words=["serve"], XDG_RUNTIME_DIR=None)


class Serve(unittest.TestCase):
    """A daemon that stays, and its end."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="daedalus-test-")
        self.addCleanup(folder.cleanup)
        self.socket = pathlib.Path(folder.name) / "daedalus.sock"

    def serve(self):
        server = subprocess.Popen([DAEDALUS, "serve", "--socket", self.socket], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  text=True, env=environment())
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
HELLO, PROTOCOL = 1, 1


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
        body = b"" if self.looks else struct.pack("=IIQII64s32sQ", PROTOCOL + 1, 0, 7, 81, 250, b"/dev/video250", b"other", 0)
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
    unittest.main(argv=sys.argv[:1], verbosity=2)
