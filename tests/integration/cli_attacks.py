#!/usr/bin/env python3
"""Clients that mean harm, against a daemon that stays. Usage: cli_attacks.py DAEDALUS PRELOAD_LIBRARY"""

import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import cases  # noqa: E402
from daedalus_tests.command import DAEDALUS, daedalus, environment  # noqa: E402

SIZE = 8192


def segment(marker, payload):
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def entropy(fields):
    """The bits of (value, width) pairs, as a scan has them."""
    text = "".join(f"{value:0{width}b}" for value, width in fields)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")


def slow_jpeg(scans):
    """A progressive picture in grey of SIZE x SIZE: each scan has some bytes, and visits every block."""
    blocks = (SIZE // 8) ** 2
    longest = 32767  # blocks without coefficients that one code of 1 + 14 bits skips
    codes = []
    while blocks > 0:
        run = min(longest, max(blocks, 16384))
        codes += [(0, 1), (run - 16384, 14)]
        blocks -= run
    tables = segment(0xDB, b"\0" + b"\1" * 64)
    tables += segment(0xC2, struct.pack(">BHHBBBB", 8, SIZE, SIZE, 1, 1, 0x11, 0))
    # Codes of one bit: no difference of DC, and such a run in AC.
    tables += segment(0xC4, b"\x00" + b"\1" + b"\0" * 15 + b"\x00") + segment(0xC4, b"\x10" + b"\1" + b"\0" * 15 + b"\xe0")
    first = segment(0xDA, b"\1\1\0\0\0\0") + bytes(SIZE // 8 * SIZE // 8 // 8)
    return b"\xff\xd8" + tables + first + (segment(0xDA, b"\1\1\0\1\x3f\0") + entropy(codes)) * scans + b"\xff\xd9"


class Attacks(unittest.TestCase):
    """What one client does costs that client only."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="daedalus-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.socket = self.folder / "daedalus.sock"
        self.log = self.folder / "log"

    def serve(self, *options):
        with open(self.log, "wb") as log:
            server = subprocess.Popen([DAEDALUS, "serve", "--socket", self.socket, *options], stdin=subprocess.DEVNULL, stderr=log,
                                      env=environment())
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.wait_for(self.socket.exists)
        return server

    def wait_for(self, condition):
        end = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), end, self.log.read_text())
            time.sleep(0.02)

    def send(self, picture):
        """A client that has that decoded, and goes on until it is killed."""
        path = self.folder / "picture.mjpeg"
        path.write_bytes(picture)
        client = subprocess.Popen([DAEDALUS, "run", "--attach", self.socket, "--", DAEDALUS, "decode", "--timeout", "100", path],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        return client

    @staticmethod
    def busy_seconds(pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_a_daemon_ends_though_its_decoder_does_not(self):
        server = self.serve()
        self.send(slow_jpeg(12000))
        self.wait_for(lambda: self.busy_seconds(server.pid) > 2)
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(20), 0)
        self.assertIn("is left to itself", self.log.read_text())

    def test_a_picture_that_needs_more_than_there_is_is_refused_before_it_is_decoded(self):
        server = self.serve("--session-memory", "300M")
        self.assertNotEqual(self.send(slow_jpeg(1)).wait(60), 0)
        self.assertIn("a picture of 8192x8192 needs", self.log.read_text())
        self.assertIn("of the 300 MiB of --session-memory are in use", self.log.read_text())
        self.assertIsNone(server.poll())

    def test_what_all_sessions_may_have_is_less_than_what_one_may(self):
        server = self.serve("--total-memory", "200M", "--user-memory", "100M")
        self.assertNotEqual(self.send(slow_jpeg(1)).wait(60), 0)
        self.assertIn("100 MiB of --user-memory are in use", self.log.read_text())
        self.assertIsNone(server.poll())
        self.assertEqual(daedalus("run", "--attach", self.socket, "--", "true").returncode, 0)


class Squatter(unittest.TestCase):
    """A socket at which somebody else listens."""

    def test_nobody_speaks_to_a_strangers_daemon(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become another user")
        with tempfile.TemporaryDirectory(prefix="daedalus-test-") as folder:
            os.chmod(folder, 0o777)
            path = pathlib.Path(folder) / "daedalus.sock"
            listens = "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET);" \
                      " s.bind(sys.argv[1]); s.listen(); print(flush=True); c = s.accept()[0]; print(len(c.recv(9)), flush=True)"
            stranger = subprocess.Popen([sys.executable, "-c", listens, path], stdout=subprocess.PIPE, text=True)
            self.addCleanup(stranger.stdout.close)
            self.addCleanup(stranger.wait)
            self.addCleanup(stranger.kill)
            self.assertEqual(stranger.stdout.readline(), "\n")
            refused = daedalus("run", "--attach", path, "--", "true")
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("another user's", refused.stderr)
            self.assertEqual(stranger.stdout.readline(), "0\n")


class Remains(unittest.TestCase):
    """What a `run` that was killed has left behind."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="daedalus-test-")
        self.addCleanup(folder.cleanup)
        self.place = pathlib.Path(folder.name)
        self.environment = environment() | {"XDG_RUNTIME_DIR": folder.name}

    def run_command(self, *words):
        return subprocess.run([DAEDALUS, "--log", "error", "run", "--", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, env=self.environment, check=False)

    def folders(self):
        return sorted(self.place.glob("daedalus-run-*"))

    def test_the_next_run_sweeps_it(self):
        # The daemon, the run and their folder: all die as they stand.
        # Children of the run, which is ours: this and the daemon.
        kill = (
            'for status in /proc/[0-9]*/status; do\n'
            '    pid=${status#/proc/}; pid=${pid%/status}\n'
            '    grep -qs "^PPid:[[:space:]]*$PPID$" $status && [ $pid != $$ ] && kill -9 $pid\n'
            'done\nkill -9 $PPID'
        )
        killed = self.run_command("sh", "-c", kill)
        self.assertNotEqual(killed.returncode, 0)
        self.assertEqual(len(self.folders()), 1)
        self.assertEqual(self.run_command("true").returncode, 0)
        self.assertEqual(self.folders(), [])

    def test_what_is_used_or_somebody_elses_stays(self):
        (self.place / "daedalus-run-others").mkdir()
        inner = self.run_command(DAEDALUS, "--log", "error", "run", "--", "sh", "-c", f"ls -d {self.place}/daedalus-run-*")
        self.assertEqual(inner.returncode, 0, inner.stderr)
        self.assertEqual(len(inner.stdout.split()), 3, inner.stdout)
        self.assertEqual([path.name for path in self.folders()], ["daedalus-run-others"])


if __name__ == "__main__":
    cases.main()
