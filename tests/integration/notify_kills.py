#!/usr/bin/env python3
"""The supervisor, the program or the daemon is killed at any moment: run ends, by the program's end, and leaves nothing.

Usage: notify_kills.py DAEDALUS PRELOAD STATIC_CLIENT; DAEDALUS_TEST_KILLS says how often (default 24)
"""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import cases  # noqa: E402
from daedalus_tests.left_over import gone, processes  # noqa: E402

DAEDALUS, PRELOAD, STATIC_CLIENT = (pathlib.Path(path).resolve() for path in sys.argv[1:4])
KILLS = int(os.environ.get("DAEDALUS_TEST_KILLS", "24"))
# What is killed, and how run may end then. 125: the program was not there yet; 1: its calls failed; 0: it was done before.
# A supervisor or program that is killed early still bears run's name, and is not found.
ENDS = {
    "daedalus-calls": (0, 1, 125, -signal.SIGKILL),
    "static_client": (0, -signal.SIGKILL),
    "daedalus-node": (0, 1, 125),
}


class Kills(unittest.TestCase):
    def test_kills(self):
        with tempfile.TemporaryDirectory(prefix="daedalus-test-") as name:
            folder = pathlib.Path(name)
            stream = folder / "vp8.ivf"
            subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=4", "-c:v", "libvpx", stream],
                           check=True)
            environment = {key: value for key, value in os.environ.items() if not key.startswith("DAEDALUS_")}
            environment.update(DAEDALUS_PRELOAD=str(PRELOAD), XDG_RUNTIME_DIR=name, DAEDALUS_TEST_RUN=str(os.getpid()))
            chance = random.Random(2)
            for number in range(KILLS):
                victim = list(ENDS)[number % len(ENDS)]
                with self.subTest(number=number, victim=victim):
                    child = subprocess.Popen([DAEDALUS, "--log", "error", "run", "--reach", "notify", "--node", "/dev/video203", "--",
                                              STATIC_CLIENT, "/dev/video203", stream, folder / "frames.yuv"],
                                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
                    self.addCleanup(child.kill)
                    while not (victims := processes(victim)) and child.poll() is None:
                        time.sleep(0.001)
                    time.sleep(chance.random() * 0.15)
                    for each in victims:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(each, signal.SIGKILL)
                    self.assertIn(child.wait(30), ENDS[victim])
                    self.assertTrue(gone())
                    self.assertEqual([path.name for path in folder.iterdir() if path.name.startswith("daedalus-run")], [])


if __name__ == "__main__":
    cases.main_where_calls_are_served(DAEDALUS)
