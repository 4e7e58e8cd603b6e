"""What CUSE costs, in the guest, side by side in one run: single calls against vivid's, frames a second against decoding without
any transport, and how often a decoded frame crosses between kernel and daemon. Emulated: the ratios tell, not the figures.
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(os.environ["VM_BUILD"])
DAEDALUS = str(BUILD / "src/daedalus")
CALLS = str(BUILD / "tests/bench/bench-device-calls")
MODULE = BUILD / "daedalus-shim.ko"
STREAM = str(BUILD / "streams/h264_delimited.h264")
NODE, VIVID = "/dev/video10", "/dev/video0"
ROUNDS = 3


class Daemon:
    """`daedalus serve --cuse`: a context. Afterwards `round_trips` tells how many calls its device has answered."""

    def __enter__(self):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([DAEDALUS, "serve", "--socket", "/tmp/bench.socket", "--cuse", "video10", "--threads", "1"],
                                        stderr=self.log)
        deadline = time.monotonic() + 30
        while "use it with" not in self.said():
            if time.monotonic() > deadline or self.process.poll() is not None:
                sys.exit(f"the daemon did not start: {self.said()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.round_trips = int(re.search(r"removed after (\d+) round trips", self.said())[1])

    def said(self):
        self.log.seek(0)
        return self.log.read()


def calls(*command):
    """Microseconds of a QUERYCAP, and of a DQBUF with a QBUF."""
    done = subprocess.run([CALLS, *command], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def decode(*options):
    """Frames a second, and how many frames."""
    done = subprocess.run([DAEDALUS, "decode", "--threads", "1", "--framemd5", "/dev/null", *options, STREAM],
                          capture_output=True, text=True, check=True)
    frames, rate = re.search(r"(\d+) frames of .*, ([\d.]+) fps", done.stderr).groups()
    return float(rate), int(frames)


def over_cuse(memory):
    with Daemon() as daemon:
        rate, frames = decode("--device", NODE, "--memory", memory)
    return rate, daemon.round_trips / frames


def table(title, columns, rows):
    print(f"\n{title:34}" + "".join(f"{column:>18}" for column in columns))
    for name, values in rows.items():
        print(f"{name:34}" + "".join(f"{value:>18}" for value in values))


def print_calls(with_module):
    columns = ["vivid, MMAP", "CUSE, USERPTR"] + (["CUSE+shim, MMAP"] if with_module else [])
    measured = {column: [] for column in columns}
    with Daemon():
        for _ in range(ROUNDS):
            measured["vivid, MMAP"].append(calls(VIVID))
            measured["CUSE, USERPTR"].append(calls(NODE, "userptr"))
            if with_module:
                measured["CUSE+shim, MMAP"].append(calls(NODE))
    medians = [[statistics.median(one[i] for one in measured[column]) for column in columns] for i in (0, 1)]
    table("microseconds of", columns, {
        "QUERYCAP": [f"{value:.1f}" for value in medians[0]],
        "DQBUF and QBUF": [f"{value:.1f}" for value in medians[1]],
    })


def print_decoding(with_module):
    ways = {"in process": lambda: (decode("--in-process", "--memory", "userptr")[0], 0)}
    for memory in ("userptr", "dmabuf"):
        ways[f"CUSE, {memory.upper()}"] = lambda memory=memory: over_cuse(memory)
    if with_module:
        ways["CUSE+shim, MMAP"] = lambda: over_cuse("mmap")
    measured = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            measured[name].append(way())
    # The best round is the one in which the host had least else to do.
    rates = {name: max(rate for rate, _ in each) for name, each in measured.items()}
    trips = {name: statistics.median(trips for _, trips in each) for name, each in measured.items()}
    table("H.264 of 1280x720, 1 thread", list(ways), {
        "frames a second": [f"{rate:.2f}" for rate in rates.values()],
        "of those in process": [f"{rate / rates['in process']:.2f}" for rate in rates.values()],
        "round trips a frame, start and end": [f"{each:.1f}" if each else "-" for each in trips.values()],
    })


def main():
    subprocess.run(["modprobe", "cuse"], check=True)
    subprocess.run(["modprobe", "vivid", "n_devs=1", "node_types=0x1"], check=True)
    with_module = MODULE.exists()
    if with_module:
        subprocess.run(["insmod", str(MODULE)], check=True)
    else:
        print("daedalus-shim is not built (-Dshim=enabled -Dshim_kernel=...): no MMAP")
    print(f"single calls: medians of {ROUNDS} rounds; decoding: the best of them")
    print_calls(with_module)
    print_decoding(with_module)


if __name__ == "__main__":
    main()
