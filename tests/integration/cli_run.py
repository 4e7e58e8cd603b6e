#!/usr/bin/env python3
"""What `daedalus run` is to its program, to its caller and to the terminal. Usage: cli_run.py DAEDALUS PRELOAD_LIBRARY"""

import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import cases  # noqa: E402

DAEDALUS = pathlib.Path(sys.argv[1]).resolve()
PRELOAD = pathlib.Path(sys.argv[2]).resolve()

# Opens the node, says so, and closes it when stdin ends.
HOLD = """
import fcntl, os, sys
node = os.open(os.environ["DAEDALUS_NODE"], os.O_RDWR)
print("open", flush=True)
sys.stdin.read()
fcntl.ioctl(node, 0x80685600, bytearray(104))
print("still open", flush=True)
"""

# VIDIOC_TRY_FMT of a coded format; prints the one that the node makes of it.
TRY_MJPEG = """
import fcntl, os, struct
node = os.open(os.environ["DAEDALUS_NODE"], os.O_RDWR)
format = bytearray(208)
struct.pack_into("<I", format, 0, 10)
format[16:20] = b"MJPG"
format[188] = 1
fcntl.ioctl(node, 0xC0D05640, format)
print(format[16:20].decode())
"""


def eventually(condition, seconds=20):
    """True as soon as the condition holds, False if it does not in that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


class Run(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="daedalus-test-")
        self.addCleanup(folder.cleanup)
        self.runtime = pathlib.Path(folder.name)
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("DAEDALUS_")}
        self.environment.update(DAEDALUS_PRELOAD=str(PRELOAD), XDG_RUNTIME_DIR=str(self.runtime))

    def leftovers(self):
        return list(self.runtime.iterdir())

    @staticmethod
    def preloaded(socket):
        """What LD_PRELOAD begins with: a place for each class of programs, in the folder of the run."""
        return f"{os.path.dirname(socket)}/preload/$LIB/{PRELOAD.name}"

    def run_program(self, *words, options=(), **keywords):
        done = subprocess.run([DAEDALUS, "run", *options, "--", *words], capture_output=True, text=True, timeout=60,
                              env=self.environment, check=False, **keywords)
        self.assertEqual(self.leftovers(), [])
        return done

    def start(self, *words, **keywords):
        child = subprocess.Popen([DAEDALUS, "run", "--", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, env=self.environment, **keywords)
        for stream in (child.stdin, child.stdout, child.stderr):
            self.addCleanup(stream.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def test_codecs_are_what_the_node_offers(self):
        done = subprocess.run([DAEDALUS, "codecs"], capture_output=True, text=True, timeout=60, check=True)
        rows = [line.split() for line in done.stdout.splitlines()[1:]]
        self.assertIn(["H264", "h264"], [row[:2] for row in rows])
        listed = self.run_program("sh", "-c", 'v4l2-ctl -d "$DAEDALUS_NODE" --list-formats-out').stdout
        offered = re.findall(r"\[\d+\]: '(.{4})'", listed)
        self.assertEqual(offered, [row[0] for row in rows if "not" not in row and "(not" not in row])
        # What is not listed can be had by its name.
        self.assertNotIn("MJPG", offered)
        self.assertEqual(self.run_program(sys.executable, "-c", TRY_MJPEG).stdout, "MJPG\n")

    def test_a_node_of_each_kind(self):
        tell = """
import fcntl, os, struct
nodes = sorted(name for name in os.listdir("/sys/class/video4linux") if os.path.exists("/dev/" + name))
ours = []
for name in nodes:
    file = os.open("/dev/" + name, os.O_RDWR)
    told = bytearray(104)
    fcntl.ioctl(file, 0x80685600, told)
    driver, card, bus = (told[at:end].split(b"\\0")[0].decode() for at, end in ((0, 16), (16, 48), (48, 80)))
    if driver == "daedalus":
        number = os.fstat(file).st_rdev
        assert number == os.stat("/dev/" + name).st_rdev and f"/dev/video{os.minor(number)}" == "/dev/" + name
        assert open(f"/sys/class/video4linux/{name}/name").read() == card + "\\n"
        ours.append((name, card, bus))
assert len({bus for _, _, bus in ours}) == len(ours), ours
assert os.environ["DAEDALUS_NODE"] == "/dev/" + ours[0][0]
print(*(card for _, card, _ in ours), sep=", ")
"""
        done = self.run_program(sys.executable, "-c", tell, options=["--nodes", "stateful,jpeg"])
        self.assertEqual((done.returncode, done.stdout), (0, "Daedalus decoder, Daedalus JPEG decoder\n"), done.stderr)
        self.assertRegex(done.stderr, r"serving /dev/video\d+ \(stateful\), /dev/video\d+ \(jpeg\)")

    def test_single_planar(self):
        told = 'v4l2-ctl -d "$DAEDALUS_NODE" -D'
        for options, is_single in (([], False), (["--planes", "multi"], False), (["--planes", "single"], True)):
            shown = self.run_program("sh", "-c", told, options=options).stdout
            self.assertEqual("Video Memory-to-Memory\n" in shown, is_single, shown)
            self.assertEqual("Video Memory-to-Memory Multiplanar\n" in shown, not is_single, shown)

    def test_status_is_the_programs(self):
        for status in (0, 1, 77, 255):
            self.assertEqual(self.run_program("sh", "-c", f"exit {status}").returncode, status)

    def test_death_is_the_programs(self):
        for signo in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT):
            self.assertEqual(self.run_program("sh", "-c", f"kill -{int(signo)} $$").returncode, -signo)

    def test_arguments_and_streams_are_the_programs(self):
        script = 'import sys; print(sys.argv[1:]); print(sys.stdin.read())'
        words = ["--log", "x", "--", "", "a b", "-h", "run", "--"]
        done = self.run_program(sys.executable, "-c", script, *words, input="from stdin")
        self.assertEqual(done.stdout, f"{words}\nfrom stdin\n")
        self.assertRegex(done.stderr, r"^daedalus: info: serving /dev/video\d+\n$")

    def test_without_dashes(self):
        done = subprocess.run([DAEDALUS, "run", "--log", "error", "echo", "--log", "x"], capture_output=True, text=True, timeout=60,
                              env=self.environment, check=False)
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("--log x\n", "", 0))

    def test_environment(self):
        self.environment.update(LD_PRELOAD="libm.so.6", ASAN_OPTIONS="detect_leaks=0")
        done = self.run_program("env")
        seen = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        self.assertEqual(seen["LD_PRELOAD"], self.preloaded(seen["DAEDALUS_SOCKET"]) + ":libm.so.6")
        self.assertEqual(seen["ASAN_OPTIONS"], "verify_asan_link_order=0:detect_leaks=0")
        self.assertTrue(seen["DAEDALUS_SOCKET"].startswith(str(self.runtime)))
        self.assertTrue(seen["GST_REGISTRY"].startswith(str(self.runtime)))
        self.assertRegex(seen["DAEDALUS_NODE"], r"^/dev/video\d+$")

    def test_as_another_user(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become another user")
        # Where others may read.
        self.runtime.chmod(0o755)
        library = shutil.copy(PRELOAD, self.runtime)
        self.environment.update(DAEDALUS_PRELOAD=library, XDG_RUNTIME_DIR="/tmp")
        script = 'test -c "$DAEDALUS_NODE" && exec 3<>"$DAEDALUS_NODE" && id -u'
        done = subprocess.run([DAEDALUS, "run", "--", "setpriv", "--reuid=65534", "--clear-groups", "bash", "-c", script],
                              capture_output=True, text=True, timeout=60, env=self.environment, check=False, cwd="/")
        self.assertEqual((done.stdout, done.returncode), ("65534\n", 0), done.stderr)

    def test_library_with_a_blank_in_its_path(self):
        folder = self.runtime / "a b:c"
        folder.mkdir()
        library = folder / PRELOAD.name
        library.symlink_to(PRELOAD)
        self.environment.update(DAEDALUS_PRELOAD=str(library), XDG_RUNTIME_DIR="/tmp")
        done = subprocess.run([DAEDALUS, "run", "--", "sh", "-c", "test -c $DAEDALUS_NODE"], capture_output=True, text=True,
                              timeout=60, env=self.environment, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_node_is_there_and_can_be_forced(self):
        self.assertEqual(self.run_program("sh", "-c", "test -c $DAEDALUS_NODE").returncode, 0)
        done = self.run_program("ls", "-d", "/dev/video77", options=["--node", "/dev/video77"])
        self.assertEqual(done.stdout, "/dev/video77\n")
        self.assertIn("serving /dev/video77", done.stderr)

    def test_run_within_run(self):
        script = "test -c $DAEDALUS_NODE && echo $LD_PRELOAD $DAEDALUS_SOCKET && readlink -f $(dirname $DAEDALUS_SOCKET)/preload/*.so"
        done = self.run_program(DAEDALUS, "run", "--", "sh", "-c", script)
        self.assertEqual(done.returncode, 0, done.stderr)
        library, socket, target = done.stdout.split()
        self.assertEqual(library, self.preloaded(socket))
        self.assertEqual(target, str(PRELOAD))

    def test_two_at_once(self):
        first = self.start(sys.executable, "-c", HOLD)
        second = self.start(sys.executable, "-c", HOLD)
        self.assertEqual(first.stdout.readline() + second.stdout.readline(), "open\nopen\n")
        first.kill()
        first.wait()
        self.assertEqual(second.communicate("", timeout=20)[0], "still open\n")
        self.assertEqual(second.returncode, 0)

    def test_signals_are_passed_on(self):
        for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
            script = f"trap 'exit 42' {int(signo)}; echo ready; while :; do sleep 0.05; done"
            child = self.start("sh", "-c", script)
            self.assertEqual(child.stdout.readline(), "ready\n")
            child.send_signal(signo)
            self.assertEqual(child.wait(20), 42)
        self.assertEqual(self.leftovers(), [])

    def test_terminal_interrupts_the_program_only(self):
        # The program catches Ctrl-C once, and its decoder is still there.
        script = HOLD.replace("sys.stdin.read()", """
import signal, time
caught = []
signal.signal(signal.SIGINT, lambda *_: caught.append(1))
print("ready", flush=True)
for _ in range(50):
    time.sleep(0.02)
assert caught == [1], caught
""")
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(DAEDALUS, [str(DAEDALUS), "run", "--", sys.executable, "-c", script], self.environment)
        output = b""
        while b"ready" not in output:
            output += os.read(terminal, 1000)
        os.write(terminal, b"\x03")
        try:
            while chunk := os.read(terminal, 1000):
                output += chunk
        except OSError:
            pass  # the terminal's last user has gone
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, output)
        self.assertIn(b"still open", output)
        os.close(terminal)

    def test_killed_run_leaves_the_program_its_decoder(self):
        child = self.start(sys.executable, "-c", HOLD)
        self.assertEqual(child.stdout.readline(), "open\n")
        child.kill()
        child.wait()
        time.sleep(0.5)
        self.assertEqual(len(self.leftovers()), 1)
        self.assertEqual(child.communicate("", timeout=20)[0], "still open\n")
        self.assertTrue(eventually(lambda: not self.leftovers()))

    def test_many_begin_at_once(self):
        # Each looks for folders that were left behind, and finds those of the others while they are being made.
        for _ in range(4):
            children = [self.start("true") for _ in range(12)]
            for child in children:
                self.assertEqual(child.wait(60), 0, child.stderr.read())
        self.assertEqual(self.leftovers(), [])

    def test_background_child_keeps_the_decoder(self):
        # The child is in the background of a shell that ends at once; a pipe of ours ends it.
        read_end, write_end = os.pipe()
        report = self.runtime.parent / (self.runtime.name + ".report")
        self.addCleanup(report.unlink)
        script = f'{sys.executable} -c \'{HOLD.replace(chr(39), chr(34))}\' <&{read_end} >{report} 2>&1 & ' \
                 f'while ! grep -q open {report}; do sleep 0.05; done'
        started = time.monotonic()
        child = subprocess.run([DAEDALUS, "run", "--", "sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, timeout=30, env=self.environment, pass_fds=[read_end], check=False)
        self.assertEqual(child.returncode, 0, child.stderr)
        self.assertLess(time.monotonic() - started, 20)
        os.close(read_end)
        self.assertEqual(len(self.leftovers()), 1)
        os.close(write_end)
        self.assertTrue(eventually(lambda: "still open" in report.read_text()), report.read_text())
        self.assertTrue(eventually(lambda: not self.leftovers()))

    def test_doctor(self):
        done = subprocess.run([DAEDALUS, "doctor"], capture_output=True, text=True, timeout=60, env=self.environment, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in (r"preload library +ok", r"daedalus run +ok", r"system calls ", r"CUSE ", r"kernel shim ", r"udmabuf ", r"codec h264 +ok"):
            self.assertRegex(done.stdout, line)
        self.environment["DAEDALUS_PRELOAD"] = "/nonexistent.so"
        done = subprocess.run([DAEDALUS, "doctor"], capture_output=True, text=True, timeout=60, env=self.environment, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"preload library +missing")


if __name__ == "__main__":
    # Whoever started us in the background may have them ignored, and a shell cannot trap those.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    cases.main()
