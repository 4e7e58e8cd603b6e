#!/usr/bin/env python3
"""Clients that no preloaded library reaches decode by `daedalus run --reach notify`, each frame as FFmpeg does.

Usage: notify_clients.py DAEDALUS PRELOAD [NAME CLIENT]...
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import cases  # noqa: E402

DAEDALUS = pathlib.Path(sys.argv[1]).resolve()
PRELOAD = pathlib.Path(sys.argv[2]).resolve()
CLIENTS = {name: pathlib.Path(path).resolve() for name, path in zip(sys.argv[3::2], sys.argv[4::2])}
CTYPES = pathlib.Path(__file__).resolve().parents[1] / "support" / "ctypes_client.py"
NODE = "/dev/video210"
FRAMES = 75

# What Node.js does with files: calls of libuv's own, statx() among them.
NODE_JS = """
const fs = require("fs");
const status = fs.statSync(process.argv[1]);
const file = fs.openSync(process.argv[1], "r+");
console.log(status.isCharacterDevice(), fs.existsSync(process.argv[1]), fs.readdirSync("/dev").includes("video210"),
            fs.realpathSync(process.argv[1]), fs.accessSync(process.argv[1], fs.constants.R_OK) === undefined, file > 2);
"""


def framemd5(frames, size):
    """The MD5 of each frame of a file, as FFmpeg counts them."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size, "-i", frames, "-f", "framemd5", "-"],
                          capture_output=True, text=True, check=True)
    return [line.rsplit(",", 1)[1] for line in done.stdout.splitlines() if not line.startswith("#")]


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="daedalus-test-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.work = pathlib.Path(cls.folder.name)
        cls.stream = cls.work / "vp8.ivf"
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=s=352x288:r=25:d={FRAMES / 25}", "-vf", "noise=alls=20",
                        "-c:v", "libvpx", "-b:v", "1M", "-auto-alt-ref", "1", "-lag-in-frames", "10", cls.stream], check=True)
        done = subprocess.run(["ffmpeg", "-v", "error", "-i", cls.stream, "-f", "framemd5", "-"], capture_output=True, text=True, check=True)
        cls.expected = [line.rsplit(",", 1)[1] for line in done.stdout.splitlines() if not line.startswith("#")]
        assert len(set(cls.expected)) == FRAMES
        cls.environment = {key: value for key, value in os.environ.items() if not key.startswith("DAEDALUS_")}
        cls.environment.update(DAEDALUS_PRELOAD=str(PRELOAD), XDG_RUNTIME_DIR=str(cls.work))

    def run_program(self, *words, reach="notify"):
        return subprocess.run([DAEDALUS, "--log", "warning", "run", "--node", NODE, "--reach", reach, "--", *words], capture_output=True,
                              text=True, timeout=100, env=self.environment, check=False)

    def decodes(self, *words, reached=False):
        """Nothing but its served system calls brings the node to this client, unless it is `reached`."""
        frames = self.work / "frames.yuv"
        frames.unlink(missing_ok=True)
        done = self.run_program(*words, NODE, self.stream, frames)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(framemd5(frames, "352x288"), self.expected)
        if not reached:
            self.assertNotEqual(self.run_program(*words, NODE, self.stream, frames, reach="preload").returncode, 0)

    def test_static(self):
        self.decodes(CLIENTS["static"])

    @unittest.skipUnless("musl" in CLIENTS, "there is no musl-gcc on this machine")
    def test_musl(self):
        self.decodes(CLIENTS["musl"])

    @unittest.skipUnless("raw" in CLIENTS, "there are no 32-bit programs on this machine")
    def test_system_calls_of_its_own(self):
        self.decodes(CLIENTS["raw"])
        self.decodes(CLIENTS["raw32"])

    @unittest.skipUnless("loader" in CLIENTS, "there are no 32-bit programs on this machine")
    def test_another_libc(self):
        for way in ("deepbind", "namespace"):
            with self.subTest(way):
                self.decodes(CLIENTS["loader"], way, CLIENTS["library"])

    def test_ctypes(self):
        self.decodes(sys.executable, CTYPES)

    def test_node_js(self):
        node = shutil.which("node") or shutil.which("nodejs")
        if not node:
            self.skipTest("there is no Node.js on this machine")
        done = self.run_program(node, "-e", NODE_JS, NODE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, f"true true true {NODE} true true\n", done.stderr)

    def test_go(self):
        go = shutil.which("go")
        if not go:
            self.skipTest("there is no Go on this machine")
        source = self.work / "query.go"
        source.write_text(GO, encoding="utf-8")
        program = self.work / "query"
        subprocess.run([go, "build", "-o", program, source], check=True, env={**os.environ, "CGO_ENABLED": "0", "HOME": str(self.work)})
        done = self.run_program(program, NODE)
        self.assertEqual((done.returncode, done.stdout), (0, "daedalus true\n"), done.stderr)


# A pure Go program: no libc, and signals that its runtime sends itself all the time.
GO = """package main

import ("fmt"; "os"; "syscall"; "unsafe")

func main() {
    file, err := os.OpenFile(os.Args[1], os.O_RDWR, 0)
    if err != nil { fmt.Println(err); os.Exit(1) }
    var capability [104]byte
    good := true
    for i := 0; i < 10000; i++ {
        _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), 0x80685600, uintptr(unsafe.Pointer(&capability[0])))
        good = good && errno == 0
    }
    fmt.Println(string(capability[:8]), good)
}
"""

if __name__ == "__main__":
    cases.main_where_calls_are_served(DAEDALUS)
