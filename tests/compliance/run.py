#!/usr/bin/env python3
"""Runs v4l2-compliance, or v4l2-ctl, against the node of `daedalus run`.

    run.py --daedalus PROGRAM --cache FOLDER --deviations docs/deviations.md {plain|stream|ctl}

0 failures and 0 warnings are asked for, except those that the table under `## v4l2-compliance` in docs/deviations.md
excuses: its first column has, in backquotes, a part of the tool's line. With `--reach notify` the table under `## Served system
calls` does, too.

The tool asks for answers within 100 ms to 2 s of real time, and its own threads trip over each other when they start late. A
finding counts only if the machine kept its own appointments while the tool ran; else the tool runs again.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "conformance"))
import ctl as ctl_streams  # noqa: E402
from daedalus_tests import compliance, decoder, measured, streams, units  # noqa: E402
from daedalus_tests.punctuality import Punctuality  # noqa: E402

RUNS = 6
# Where docs/deviations.md excuses lines of the tool.
SECTIONS = {"auto": ["v4l2-compliance"], "notify": ["v4l2-compliance", "Served system calls"]}


CAPABILITY = {"multi": "Video Memory-to-Memory Multiplanar", "single": "Video Memory-to-Memory\n"}


def ctl(run, planes):
    """v4l2-ctl finds the node by name and in the list of devices, and prints all of it."""
    good = True
    for command, wanted in (
        ('v4l2-ctl -d "$DAEDALUS_NODE" --all', [CAPABILITY[planes], "Streaming", "Extended Pix Format"]),
        ("v4l2-ctl --list-devices", ["/dev/video"]),
        ('v4l2-ctl -d "$DAEDALUS_NODE" --list-formats-out', ["H264", "HEVC", "VP80", "VP90", "AV01", "MPG2"]),
        ('v4l2-ctl -d "$DAEDALUS_NODE" --list-ctrls-menus', ["min_number_of_capture_buffers"]),
    ):
        outcome = run("sh", "-c", command)
        text = outcome.output.decode(errors="replace")
        missing = [word for word in wanted if word not in text]
        print(f"{'FAIL' if missing or outcome.status else 'ok  '} {command}")
        if missing or outcome.status:
            print(f"missing {missing}; {outcome.excerpt()}\n{text}")
            good = False
    return good


def main():
    parser = decoder.arguments(__doc__)
    parser.add_argument("kind", choices=["plain", "stream", "ctl"])
    parser.add_argument("--deviations", required=True, type=pathlib.Path)
    parser.add_argument("--cuse", default="", metavar="videoN", help="a character device of that name; in a VM")
    parser.add_argument("--codecs", default="", help="what the node offers")
    parser.add_argument("--reach", default="auto", help="how `run` brings the node into the tool")
    parser.add_argument("--nobody", action="store_true")
    parser.add_argument("--seccomp", default="")
    options = parser.parse_args()
    under_test = decoder.Decoder(options.daedalus, options.preload, options.nobody, options.seccomp, options.planes, options.nodes)
    under_test.node_options += ["--codecs", options.codecs] if options.codecs else []
    under_test.node_options += ["--reach", options.reach] if options.reach != "auto" else []
    if not options.cuse:
        return examine(under_test, under_test.run, options)
    with decoder.Device(under_test, options.cuse) as device:
        return examine(under_test, device.run, options)


def examine(under_test, run, options):
    if options.kind == "ctl":
        good = ctl(run, options.planes)
        memory = "user" if options.cuse else "mmap"
        wrong = ctl_streams.check(under_test, run, options.cache, "vp8.ivf", "VP80", memory, framed=True)
        print(f"{'FAIL' if wrong else 'ok  '} v4l2-ctl decodes vp8.ivf{': ' + wrong if wrong else ''}")
        key = ("vp8", "v4l2-ctl", "userptr" if options.cuse else "mmap", "C" if options.cuse else "R")
        measured.note({key: wrong is None})
        return 0 if good and not wrong else 1

    # Without a kernel module a character device has no mmap, which -s needs.
    command = 'exec v4l2-compliance -d "$DAEDALUS_NODE"' + ("" if options.cuse else " -s")
    if options.kind == "stream":
        # A real stream of the format and the size that a fresh file has. Version 1.22.1 does not know AV1 and so takes the
        # node for a mem2mem device without a codec: it sets CAPTURE up before the headers, and looks at no source change.
        path = under_test.scratch.path / "h264.hdr"
        path.write_bytes(units.with_headers(streams.provide(streams.BY_NAME["h264_delimited.h264"], options.cache)))
        command += f" --stream-from-hdr {path}"
    good = False
    for _ in range(RUNS):
        with Punctuality() as machine:
            outcome = run("sh", "-c", command, timeout=120)
        good = compliance.judge(outcome, compliance.excuses(options.deviations, SECTIONS.get(options.reach, SECTIONS["auto"])))
        if good or machine.is_punctual() or outcome.timed_out:
            break
        print(f"this machine woke a sleeping thread {machine.latest * 1000:.0f} ms too late meanwhile: nothing is proven; again")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
