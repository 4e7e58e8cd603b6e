#!/usr/bin/env python3
"""What daedalus says when something is wrong: exit statuses, and messages that name the thing, the cause and the next step.

Usage: cli_errors.py DAEDALUS PRELOAD_LIBRARY
"""

import os
import pathlib
import resource
import shutil
import socket
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import cases  # noqa: E402
from daedalus_tests.command import DAEDALUS, PRELOAD, InFolder, daedalus, environment, ivf  # noqa: E402


class Errors(InFolder):
    def test_usage(self):
        self.refused(2, "--help", words=[])
        self.refused(2, "nonsense", words=["nonsense"])
        self.refused(2, "INPUT", words=["decode"])
        self.refused(2, "--memory", words=["decode", "--memory", "tape", "x"])
        self.refused(2, "--device", words=["decode", "--device", "/dev/video0", "--in-process", "x"])
        self.refused(2, "loud", "info", words=["--log", "loud", "doctor"])
        self.refused(2, "--threads", words=["serve", "--threads", "0"])

    def test_values(self):
        rows = [
            (["decode", "--frames", "-1", "x"], "--frames: -1", "whole number"),
            (["decode", "--frames", "9" * 30, "x"], "--frames: 9", "too large"),
            (["decode", "--timeout", "0", "x"], "--timeout: 0", "from 1 on"),
            (["serve", "--session-memory", "0"], "--session-memory: 0", "512M"),
            (["serve", "--session-memory", "-1"], "--session-memory: -1", "512M"),
            (["serve", "--session-memory", "lots"], "--session-memory: lots", "512M"),
            (["serve", "--session-memory", "99999999T"], "--session-memory: 99999999T", "512M"),
            (["serve", "--frame-time", "nan"], "--frame-time: nan", "0 to 86400"),
            (["serve", "--frame-time", "-1"], "--frame-time: -1", "0 to 86400"),
            (["serve", "--user-sessions", "0"], "--user-sessions: 0", "from 1 on"),
            (["serve", "--thread-type", "foo"], "--thread-type: foo", "auto, frame, slice"),
            (["serve", "--planes", "two"], "--planes: two", "multi, single"),
            (["serve", "--nodes", "stateful,gif"], "gif is no kind of node", "stateful, stateless, jpeg"),
            (["serve", "--nodes", "jpeg,"], "an empty word is no kind of node", "stateful, stateless, jpeg"),
            (["serve", "--threads", "257"], "--threads: 257", "from 1 to 256"),
            (["serve", "--codecs", "h264,h266"], "--codecs: \"h266\"", "h264, hevc"),
            (["serve", "--codecs", ""], "--codecs: \"\" is no codec"),
            (["serve", "--driver", "sixteen-letters!"], "--driver: ", "15"),
            (["serve", "--card", "\033[31m"], "--card: ", "31"),
            (["serve", "--max-frame-size", "1x"], "--max-frame-size: 1x", "WIDTHxHEIGHT"),
        ]
        for words, *said in rows:
            self.refused(2, *said, f"daedalus {words[0]} --help", words=words)

    def test_unknown_options(self):
        self.refused(2, "--bogus: no such option of `daedalus decode`", words=["decode", "--bogus"])
        self.refused(2, "--bogus: no such option of `daedalus decode`", words=["decode", "--bogus", "x"])
        self.refused(2, "--bogus: no such option of `daedalus serve`", words=["serve", "--bogus"])
        self.refused(2, "--bogus: no such option", words=["--bogus", "doctor"])
        self.refused(2, "there: one word too many for `daedalus serve`", words=["serve", "there"])

    def test_full_output(self):
        for words in (["--help"], ["--version"], ["run", "--help"], ["codecs"], ["doctor"]):
            with open("/dev/full", "w", encoding="utf-8") as full:
                self.refused(1, "stdout", "No space left on device", words=words, stdout=full)

    def test_names_with_control_characters(self):
        said = self.refused(1, "a\\nb\\x1b[31m\\x9b", words=["decode", "--in-process", "a\nb\033[31m\u009b"])
        self.assertNotIn("\033", said)
        self.assertEqual(said.count("\n"), 1)
        self.refused(127, "\\x1b[31m", words=["run", "--", "\033[31m"])

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

    def test_decode_standard_input(self):
        garbage = self.file("garbage.ivf", ivf(b"VP80", b"\xff" * 50, b"\x5a" * 50))
        for name in ("-", "/dev/stdin"):
            with open(garbage, encoding="latin-1") as stream:
                self.refused(1, "no picture", words=["decode", "--in-process", name], stdin=stream)
            with subprocess.Popen(["cat", garbage], stdout=subprocess.PIPE) as cat:
                self.refused(1, "no picture", words=["decode", "--in-process", name], stdin=cat.stdout)
            self.refused(1, f"{name}: ", "no video stream", words=["decode", "--in-process", name])

    def test_decode_tells_the_reason_of_the_demuxer(self):
        truncated = self.file("truncated.mp4", struct.pack(">I4s4sI4sI4s", 20, b"ftyp", b"isom", 0, b"isom", 8000, b"mdat") + b"x" * 500)
        self.refused(1, "no video stream", "moov atom not found", words=["decode", "--in-process", truncated])

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

    def test_run_within_a_run(self):
        inner = daedalus("run", "--", DAEDALUS, "run", "--", "sh", "-c", "test -c $DAEDALUS_NODE")
        self.assertEqual(inner.returncode, 0, inner.stderr)
        self.assertIn("takes the place of the node of the surrounding `daedalus run`", inner.stderr)

    def test_run_on_a_device(self):
        self.refused(125, "--device /dev/video250", "no such device", "serve --cuse",
                     words=["run", "--device", "/dev/video250", "--", "true"])
        self.refused(125, "--device /dev/null", "not a V4L2 node", words=["run", "--device", "/dev/null", "--", "true"])
        self.refused(125, "--device", "check the path", words=["run", "--device", str(self.folder), "--", "true"])
        for other in (["--node", "/dev/video0"], ["--attach", "x"]):
            self.refused(125, "--device", other[0], words=["run", "--device", "/dev/video0", *other, "--", "true"])

    def test_attach_to_something_else(self):
        self.refused(125, "--attach", "is a file, not a socket", words=["run", "--attach", self.file("file", b""), "--", "true"])
        self.refused(125, "--attach", "is a folder", words=["run", "--attach", str(self.folder), "--", "true"])
        for kind, said in ((socket.SOCK_SEQPACKET, "nobody answers"), (socket.SOCK_STREAM, "another program")):
            path = str(self.folder / f"socket{int(kind)}")
            with socket.socket(socket.AF_UNIX, kind) as mute:
                mute.bind(path)
                mute.listen()
                self.refused(125, f"--attach {path}", said, words=["run", "--attach", path, "--", "true"])

    def test_programs_that_the_library_does_not_reach(self):
        def warned(program, *said):
            done = daedalus("run", "--reach", "preload", "--", program, "--version")
            self.assertEqual(done.returncode, 0, done.stderr)
            for text in said:
                self.assertIn(text, done.stderr)

        # Every Debian's is static: it repairs broken libraries.
        warned("/sbin/ldconfig", "statically linked", "serve --cuse")
        script = self.file("script", b"#! /sbin/ldconfig --print-cache\n", mode=0o755)
        self.assertIn("/sbin/ldconfig is statically linked", daedalus("run", "--reach", "preload", "--", script).stderr)
        # By itself run takes the other way there.
        done = daedalus("run", "--", script)
        self.assertRegex(done.stderr, "its system calls are served|cannot be served: .*\n.*is statically linked")
        if os.geteuid() == 0:
            setuid = self.file("setuid", pathlib.Path("/bin/true").read_bytes())
            os.chown(setuid, 65534, -1)
            os.chmod(setuid, 0o4755)
            self.folder.chmod(0o755)
            warned(setuid, "is setuid")
        else:
            warned("/bin/su", "is setuid")
        self.assertNotIn("warning", daedalus("run", "--", "true").stderr)

    def test_serve(self):
        self.refused(1, "/nonexistent/", words=["serve", "--socket", "/nonexistent/daedalus.sock"])
        self.refused(1, "is no socket", words=["serve", "--socket", str(self.folder)])
        self.refused(1, "107", words=["serve", "--socket", str(self.folder / ("x" * 120))])
        self.refused(1, "--node", words=["serve", "--socket", str(self.folder / "s"), "--node", "video1"])
        if os.geteuid() != 0:
            self.refused(1, "XDG_RUNTIME_DIR", "--socket", words=["serve"], XDG_RUNTIME_DIR=None)


# A program that opens the node and asks who it is.
ASKS = "import fcntl, os; fcntl.ioctl(os.open(os.environ['DAEDALUS_NODE'], os.O_RDWR), 0x80685600, bytearray(104))"


def limited(what, to):
    return lambda: resource.setrlimit(what, (to, to))


def closing(*fds):
    def close():
        for fd in fds:
            os.close(fd)
    return close


def in_chroot():
    """True if the root folder is no mount's."""
    mounts = pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    return all(line.split()[4] != "/" for line in mounts.splitlines())


class Surroundings(InFolder):
    """What a shell, a container or another host may do to the command."""

    def in_namespace(self, mounts, *words, **changes):
        """Runs the command behind `mounts`, a shell's lines, in mount and user namespaces of its own."""
        if in_chroot():
            self.skipTest("the kernel grants no user namespaces in a chroot")
        if subprocess.run(["unshare", "-rm", "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skipTest("this host grants no user and mount namespaces")
        return subprocess.run(["unshare", "-rm", "sh", "-ec", mounts + '\nexec "$@"', "sh", DAEDALUS, *words], text=True, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, env=environment(**changes), check=False)

    def test_limit_of_file_sizes(self):
        stream = self.file("stream.ivf", ivf(b"VP80", b"\xff" * 50))
        for way in (["decode", "--in-process"], ["run", "--", DAEDALUS, "decode"]):
            self.refused(1, "REQBUFS", "out of memory", words=[*way, stream], before=limited(resource.RLIMIT_FSIZE, 8192))

    def test_limit_of_open_files(self):
        for status, words in ((125, ["run", "--", "true"]), (1, ["serve", "--socket", str(self.folder / "socket")])):
            self.refused(status, "16 files", "ulimit -n", words=words, before=limited(resource.RLIMIT_NOFILE, 16))

    def test_standard_descriptors_are_closed(self):
        garbage = self.file("garbage.ivf", ivf(b"VP80", b"\xff" * 50))
        rows = [(["run", "--", sys.executable, "-c", ASKS], 0), (["codecs"], 0), (["doctor"], 0), (["decode", "--in-process", garbage], 1)]
        for closed in ((0,), (1,), (2,), (0, 1, 2)):
            for words, status in rows:
                done = daedalus(*words, before=closing(*closed))
                self.assertEqual(done.returncode, status, (words, closed, done.stderr))

    def test_places_for_the_private_folder(self):
        unwritable = "for folder in $UNWRITABLE; do mount -t tmpfs -o ro none $folder; done"
        run = ["run", "--", sys.executable, "-c", ASKS]
        for places in ("/tmp", "/tmp /dev/shm"):
            done = self.in_namespace(unwritable, *run, XDG_RUNTIME_DIR=None, TMPDIR="/var/tmp", UNWRITABLE=places)
            self.assertEqual(done.returncode, 0, done.stderr)
        done = self.in_namespace(unwritable, *run, XDG_RUNTIME_DIR=None, TMPDIR=None, UNWRITABLE="/tmp")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.in_namespace(unwritable, *run, XDG_RUNTIME_DIR=None, TMPDIR=None, UNWRITABLE="/tmp /dev/shm")
        self.assertEqual(done.returncode, 125, done.stderr)
        for text in ("XDG_RUNTIME_DIR", "TMPDIR", "/tmp", "/dev/shm"):
            self.assertIn(text, done.stderr)

    def test_full_shared_memory(self):
        done = self.in_namespace("mount -t tmpfs -o size=4k none /dev/shm; head -c 4096 /dev/zero >/dev/shm/full", "run", "--",
                                 sys.executable, "-c", ASKS)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_without_proc(self):
        run = ["run", "--", sys.executable, "-c", ASKS]
        if "ASAN_OPTIONS" in os.environ:
            self.skipTest("AddressSanitizer needs /proc, for its options too")
        for preload in (str(PRELOAD), None):
            done = self.in_namespace("mount -t tmpfs none /proc", *run, DAEDALUS_PRELOAD=preload)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_doctor_without_modules(self):
        if os.path.exists("/dev/cuse"):
            self.skipTest("this host has CUSE")
        done = self.in_namespace("[ ! -d /lib/modules ] || mount -t tmpfs none /lib/modules", "doctor")
        self.assertIn("this kernel has no CUSE", done.stdout)

    def test_a_moved_installation_finds_its_library(self):
        (self.folder / "moved/bin").mkdir(parents=True)
        command = self.folder / "moved/bin/daedalus"
        shutil.copy(DAEDALUS, command)

        def run():
            return subprocess.run([command, "doctor"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                                  env=environment(DAEDALUS_PRELOAD=None), check=False).stdout.splitlines()[0]

        here = [word.strip(",;") for word in run().split() if word.startswith(str(self.folder / "moved/lib"))]
        self.assertEqual(len(here), 1, run())
        pathlib.Path(here[0]).parent.mkdir(parents=True)
        shutil.copy(PRELOAD, here[0])
        self.assertIn(here[0], run())
        self.assertIn("ok", run())


if __name__ == "__main__":
    cases.main()
