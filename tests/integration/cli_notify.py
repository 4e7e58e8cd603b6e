#!/usr/bin/env python3
"""`daedalus run --reach notify`: programs that no preload library reaches.

Usage: cli_notify.py DAEDALUS PRELOAD STATIC_CLIENT [32_BIT_CLIENT]
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import cases  # noqa: E402
from daedalus_tests.left_over import gone, processes  # noqa: E402

DAEDALUS = pathlib.Path(sys.argv[1]).resolve()
PRELOAD = pathlib.Path(sys.argv[2]).resolve()
STATIC_CLIENT = pathlib.Path(sys.argv[3]).resolve()
NARROW_CLIENT = pathlib.Path(sys.argv[4]).resolve() if len(sys.argv) > 4 else None
FRAMES = 30

# Opens the node by system calls of its own, says so, and asks it once more when stdin ends.
HOLD = """
import ctypes, os, sys
libc = ctypes.CDLL("libc.so.6", use_errno=True)
node = libc.open(os.environ["DAEDALUS_NODE"].encode(), os.O_RDWR)
print("open" if node >= 0 else "not there", flush=True)
sys.stdin.read()
capability = ctypes.create_string_buffer(104)
failed = libc.ioctl(node, ctypes.c_ulong(0x80685600), capability)
print("failed" if failed else capability.raw[:8].decode(), os.open("/dev/null", os.O_RDWR) > 0, flush=True)
"""


class Notify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="daedalus-test-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.stream = os.path.join(cls.folder.name, "vp8.ivf")
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=s=320x240:r=25:d={FRAMES / 25}", "-c:v", "libvpx",
                        cls.stream], check=True)
        cls.expected = subprocess.run(["ffmpeg", "-v", "error", "-i", cls.stream, "-f", "rawvideo", "-"], check=True,
                                      capture_output=True).stdout
        assert len(cls.expected) == FRAMES * 320 * 240 * 3 // 2

    def setUp(self):
        runtime = tempfile.TemporaryDirectory(prefix="daedalus-test-")
        self.addCleanup(runtime.cleanup)
        self.runtime = pathlib.Path(runtime.name)
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("DAEDALUS_")}
        self.environment.update(DAEDALUS_PRELOAD=str(PRELOAD), XDG_RUNTIME_DIR=str(self.runtime),
                                DAEDALUS_TEST_RUN=str(os.getpid()))

    def run_program(self, *words, reach="notify", **keywords):
        return subprocess.run([DAEDALUS, "run", "--reach", reach, "--", *words], capture_output=True, text=True, timeout=60,
                              env=self.environment, check=False, **keywords)

    def start(self, *words):
        child = subprocess.Popen([DAEDALUS, "run", "--reach", "notify", "--", *words], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True, env=self.environment)
        for stream in (child.stdin, child.stdout):
            self.addCleanup(stream.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def look_for_no_leaks(self):
        """LeakSanitizer stops its process by ptrace, which is taken or refused here."""
        self.environment["ASAN_OPTIONS"] = self.environment.get("ASAN_OPTIONS", "") + ":detect_leaks=0"

    def test_static_client(self):
        frames = self.runtime / "frames.yuv"
        done = self.run_program("sh", "-c", f'exec {STATIC_CLIENT} "$DAEDALUS_NODE" {self.stream} {frames}')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(frames.read_bytes(), self.expected)
        # The library does not reach it.
        done = self.run_program("sh", "-c", f'exec {STATIC_CLIENT} "$DAEDALUS_NODE" {self.stream} {frames}', reach="preload")
        self.assertEqual(done.returncode, 1)
        # By itself run takes the way that does.
        frames.unlink()
        done = subprocess.run([DAEDALUS, "run", "--node", "/dev/video201", "--", STATIC_CLIENT, "/dev/video201", self.stream, frames],
                              capture_output=True, text=True, timeout=60, env=self.environment, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(frames.read_bytes(), self.expected)
        self.assertIn("its system calls are served", done.stderr)

    @unittest.skipUnless(NARROW_CLIENT, "there are no 32-bit programs on this machine")
    def test_32_bit_client(self):
        for ways in ([], ["--reach", "notify"]):
            done = subprocess.run([DAEDALUS, "run", "--node", "/dev/video202", *ways, "--", NARROW_CLIENT, "/dev/video202"],
                                  capture_output=True, text=True, timeout=60, env=self.environment, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_decode(self):
        sums = []
        for way in (["run", "--reach", "notify", "--", DAEDALUS, "decode", "--device", "/dev/video200"], ["decode", "--in-process"]):
            if way[0] == "run":
                way[1:1] = ["--node", "/dev/video200"]
            done = subprocess.run([DAEDALUS, *way, "--framemd5", "-", self.stream], capture_output=True, text=True, timeout=60,
                                  env=self.environment, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            sums.append(done.stdout)
        self.assertEqual(sums[0], sums[1])

    def test_paths(self):
        # Other spellings, a symbolic link, a folder's descriptor, and the file of a descriptor.
        script = """
import os
os.symlink(os.environ["DAEDALUS_NODE"], "link")
node = os.path.basename(os.environ["DAEDALUS_NODE"])
folder = os.open("/dev", os.O_RDONLY)
first = os.open("/dev/../dev//./" + node, os.O_RDWR)
files = [first, os.open("link", os.O_RDWR), os.open(node, os.O_RDWR, dir_fd=folder), os.open(f"/proc/self/fd/{first}", os.O_RDWR)]
os.chdir("/dev")
files.append(os.open(node, os.O_RDWR | os.O_NONBLOCK))
print([os.get_blocking(file) for file in files], len({os.fstat(file).st_ino for file in files}))
for missing in ("video", node + "0", "/" + node):
    try:
        os.open(missing, os.O_RDWR)
        print(missing)
    except FileNotFoundError:
        pass
"""
        done = self.run_program(sys.executable, "-c", script, cwd=self.runtime)
        self.assertEqual(done.stdout, "[True, True, True, True, False] 5\n", done.stderr)

    def test_paths_are_seen(self):
        # By whatever looks at a path, and opens nothing: as root in a mount namespace, without privileges in one of a user's own.
        script = """
import ctypes, fcntl, glob, os, stat, struct, subprocess, sys
node = os.environ["DAEDALUS_NODE"]
name = os.path.basename(node)
status = os.stat(node)
print(stat.S_ISCHR(status.st_mode), oct(status.st_mode & 0o777), os.access(node, os.R_OK | os.W_OK))
print(name in os.listdir("/dev"), node in glob.glob("/dev/video*"), os.path.realpath("/dev/../dev//" + name) == node)
os.symlink(node, "link")
print(os.stat("link").st_rdev == status.st_rdev, os.path.realpath("link") == node)
for words in (["find", "/dev", "-name", name], ["ls", "-l", node], ["sh", "-c", "echo /dev/vide[o]*"]):
    done = subprocess.run(words, capture_output=True, text=True)
    print(done.returncode, node in done.stdout, done.stderr, end=" ")
print()
# All else is as it was, and works.
for entry in os.listdir("/dev"):
    os.lstat("/dev/" + entry)
print(os.write(os.open("/dev/null", os.O_WRONLY), b"x"), len(os.read(os.open("/dev/zero", os.O_RDONLY), 5)), os.getuid())
# A file that was opened another way becomes the node's by its first call: flags and number stay.
QUERYCAP = 0x80685600
for flags in (os.O_RDONLY, os.O_RDONLY | os.O_NONBLOCK, os.O_RDWR):
    file = os.open(node, flags)
    os.set_inheritable(file, True)
    print(fcntl.ioctl(file, QUERYCAP, bytes(104))[:8], os.get_blocking(file), os.get_inheritable(file), end=" ")
os.execvp("sh", ["sh", "-c", "echo; cd /dev && test -c " + name + " && ls " + name])
"""
        for user in ([], ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]):
            if user and os.geteuid() != 0:
                continue
            python = sys.executable
            with self.subTest(user=user), tempfile.TemporaryDirectory(prefix="daedalus-test-") as place:
                if user:
                    os.chown(place, 65534, 65534)
                    python = "/usr/bin/python3"
                    if subprocess.run([*user, "test", "-x", DAEDALUS, "-a", "-x", python], check=False).returncode != 0:
                        continue
                done = subprocess.run([*user, DAEDALUS, "run", "--node", "/dev/video200", "--reach", "notify", "--", python, "-c",
                                       script], capture_output=True, text=True, timeout=60, check=False, cwd=place,
                                      env={**self.environment, "XDG_RUNTIME_DIR": place})
                if "but not seen" in done.stderr:
                    self.assertRegex(done.stderr, r"/dev/video200 can be opened, but not seen by stat\(\) and readdir\(\): .* is refused")
                    continue
                self.assertIn("/dev/video200 can be seen in a /dev that the program has for itself", done.stderr)
                self.assertEqual("other users and groups are nobody there" in done.stderr, bool(user) or os.geteuid() != 0)
                self.assertEqual(done.stdout, "True 0o666 True\nTrue True True\nTrue True\n" + "0 True  " * 3 + "\n" +
                                 f"1 5 {65534 if user else os.geteuid()}\n" +
                                 "b'daedalus' True True b'daedalus' False True b'daedalus' True True \nvideo200\n", done.stderr)
                # Nothing of it is seen outside.
                self.assertFalse(os.path.exists("/dev/video200"))

    def test_v4l2_ctl(self):
        done = self.run_program("sh", "-c", 'v4l2-ctl -d "$DAEDALUS_NODE" --info; v4l2-ctl --list-devices')
        if "but not seen" in done.stderr:
            self.skipTest("this host lets nobody have a /dev of his own")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Driver name      : daedalus", done.stdout)
        self.assertIn("\t/dev/video", done.stdout)

    def test_other_programs_are_not_looked_at(self):
        source = self.runtime / "hello.c"
        source.write_text('#include <stdio.h>\nint main(void) { return printf("%zu", sizeof(FILE)) < 0; }\n', encoding="utf-8")
        compiled = self.runtime / "hello"
        programs = [["find", "/usr/lib", "-name", "*.so*"],
                    [shutil.which("cc") or "gcc", "-O1", "-o", compiled, source]]
        if shutil.which("git"):
            subprocess.run(["git", "init", "-q", self.runtime / "tree"], check=True)
            (self.runtime / "tree" / "file").write_text("text", encoding="utf-8")
            programs.append(["git", "-C", self.runtime / "tree", "status", "--short"])
        for words in programs:
            done = subprocess.run([DAEDALUS, "--log", "debug", "run", "--reach", "notify", "--", *words], capture_output=True, text=True,
                                  timeout=100, env=self.environment, check=False)
            told = re.search(r"(\d+) system calls of .* were looked at", done.stderr)
            self.assertTrue(told, done.stderr)
            # git opens /dev/null to read and write, once.
            self.assertLessEqual(int(told[1]), 1 if words[0] == "git" else 0, (words, done.stderr))

    def test_automatic_reach_changes_nothing_for_the_program(self):
        # No namespace, though its calls are served.
        done = self.run_program(STATIC_CLIENT, "/nonexistent", self.stream, self.runtime / "none", reach="auto")
        self.assertRegex(done.stderr, r"its system calls are served; stat\(\) and readdir\(\) do not show it /dev/video\d+")

    def test_tracers(self):
        """What traces the program has the right to stop it; what needs no stop works, and the rest is told."""
        self.look_for_no_leaks()
        query = ["v4l2-ctl", "-d", "/dev/video204", "--info"]
        userptr = [DAEDALUS, "decode", "--device", "/dev/video204", "--memory", "userptr", "--framemd5", "-", self.stream]
        mapping = [STATIC_CLIENT, "/dev/video204", self.stream, self.runtime / "frames.yuv"]
        tracers = {"strace": ["strace", "-f", "-o", "/dev/null"], "gdb": ["gdb", "-q", "-batch", "-return-child-result", "-ex", "run", "--args"]}
        exact = subprocess.run([DAEDALUS, "decode", "--in-process", "--framemd5", "-", self.stream], capture_output=True, text=True,
                               check=True, env=self.environment).stdout
        for name, tracer in tracers.items():
            if not shutil.which(name):
                continue
            with self.subTest(name):
                run = [DAEDALUS, "run", "--node", "/dev/video204", "--reach", "notify", "--", *tracer]
                done = [subprocess.run([*run, *words], capture_output=True, text=True, timeout=100, env=self.environment, check=False)
                        for words in (query, userptr, mapping)]
                self.assertEqual([each.returncode for each in done], [0, 0, 1], [each.stderr for each in done])
                self.assertIn("daedalus", done[0].stdout)
                self.assertTrue(set(line for line in exact.splitlines() if not line.startswith("#")) <= set(done[1].stdout.splitlines()))
                self.assertRegex(done[2].stderr, r"cannot be mapped into process \d+ \(ptrace: Operation not permitted\)")
        if shutil.which("valgrind"):
            done = subprocess.run([DAEDALUS, "run", "--node", "/dev/video204", "--reach", "notify", "--", "valgrind", "-q", *mapping],
                                  capture_output=True, text=True, timeout=200, env=self.environment, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual((self.runtime / "frames.yuv").read_bytes(), self.expected)

    def test_under_a_filter_like_dockers(self):
        self.look_for_no_leaks()
        filtered = [os.environ["DAEDALUS_TEST_SECCOMP_RUN"], DAEDALUS, "run", "--node", "/dev/video205"]
        done = subprocess.run([*filtered, "--reach", "notify", "--", "true"], capture_output=True, text=True, timeout=60,
                              env=self.environment, check=False)
        self.assertEqual(done.returncode, 125)
        self.assertRegex(done.stderr, "--reach notify: pidfd_getfd is refused .*, as in Docker's default profile; use --reach preload")
        # Nothing that runs without it fails.
        done = subprocess.run([*filtered, "--", STATIC_CLIENT], capture_output=True, text=True, timeout=60, env=self.environment,
                              check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("cannot be served: pidfd_getfd is refused", done.stderr)

    def test_status_is_the_programs(self):
        for status in (0, 1, 255):
            self.assertEqual(self.run_program("sh", "-c", f"exit {status}").returncode, status)
        for signo in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
            self.assertEqual(self.run_program("sh", "-c", f"kill -{int(signo)} $$").returncode, -signo)
        self.assertEqual(self.run_program("/nonexistent").returncode, 127)

    def test_signals_are_passed_on(self):
        for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            child = self.start("sh", "-c", f"trap 'exit 42' {int(signo)}; echo ready; while :; do sleep 0.05; done")
            self.assertEqual(child.stdout.readline(), "ready\n")
            child.send_signal(signo)
            self.assertEqual(child.wait(20), 42)

    def test_killed_supervisor(self):
        child = self.start(sys.executable, "-c", HOLD)
        self.assertEqual(child.stdout.readline(), "open\n")
        supervisors = processes("daedalus-calls")
        self.assertEqual(len(supervisors), 1)
        os.kill(supervisors[0], signal.SIGKILL)
        # Its calls fail, others do not, and its end is still run's.
        self.assertEqual(child.communicate("", timeout=30)[0], "failed True\n")
        self.assertEqual(child.returncode, 0)
        self.assertTrue(gone())

    def test_killed_run(self):
        child = self.start(sys.executable, "-c", HOLD)
        self.assertEqual(child.stdout.readline(), "open\n")
        child.kill()
        child.wait()
        self.assertEqual(child.communicate("", timeout=30)[0], "daedalus True\n")
        self.assertTrue(gone())

    def test_background_child_keeps_the_decoder(self):
        read_end, write_end = os.pipe()
        report = self.runtime / "report"
        held = HOLD.replace('"', "'")
        script = f'{sys.executable} -c "{held}" <&{read_end} >{report} 2>&1 & while ! grep -q open {report}; do sleep 0.05; done'
        done = self.run_program("sh", "-c", script, stdin=subprocess.DEVNULL, pass_fds=[read_end])
        self.assertEqual(done.returncode, 0, done.stderr)
        os.close(read_end)
        os.close(write_end)
        self.assertTrue(gone())
        self.assertEqual(report.read_text(), "open\ndaedalus True\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    cases.main_where_calls_are_served(DAEDALUS)
