#!/usr/bin/env python3
"""The cost of one ioctl by each way in, side by side: `daedalus run --reach preload` and `--reach notify`.

Usage: ways.py DAEDALUS PRELOAD CLIENT [ROUNDS]

A round is a batch of 2000 QUERYCAPs by each way, with as many ping-pongs between two processes over a socket of the same kind,
which shows what the machine makes of it just then. Prints medians in microseconds, and those of the rounds' ratios.
"""

import os
import pathlib
import statistics
import subprocess
import sys

DAEDALUS, PRELOAD, CLIENT = (pathlib.Path(path).resolve() for path in sys.argv[1:4])
ROUNDS = int(sys.argv[4]) if len(sys.argv) > 4 else 7
WAYS = ("preload", "notify")


def measure(way):
    """Microseconds of one QUERYCAP, and of one ping-pong."""
    environment = {**os.environ, "DAEDALUS_PRELOAD": str(PRELOAD)}
    done = subprocess.run([DAEDALUS, "--log", "error", "run", "--reach", way, "--", CLIENT, "--querycaps=5"], capture_output=True,
                          text=True, env=environment, timeout=120, check=False)
    if done.returncode != 0:
        sys.exit(f"--reach {way}: {done.stderr}")
    fields = dict(word.split("=", 1) for word in done.stdout.split())
    return float(fields["call_us"]), float(fields["pingpong_us"])


def main():
    rounds = [{way: measure(way) for way in WAYS} for _ in range(ROUNDS)]
    for way in WAYS:
        calls = [each[way][0] for each in rounds]
        pings = [each[way][1] for each in rounds]
        print(f"{way:8} {statistics.median(calls):6.1f} us a call ({min(calls):.1f} to {max(calls):.1f}), "
              f"{statistics.median(pings):6.1f} us a ping-pong, ratio {statistics.median(c / p for c, p in zip(calls, pings)):.2f}")
    print(f"notify / preload: {statistics.median(each['notify'][0] / each['preload'][0] for each in rounds):.2f}")


main()
