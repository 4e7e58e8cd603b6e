#!/usr/bin/env python3
"""The table in README.md of what was measured: codec x client x memory x transport.

    table.py README.md MEASURED_FOLDER [--write]

The tests leave in MEASURED_FOLDER what they found. A cell that was measured now must be what the table says; one that was not
measured (its test did not run) is left alone, so that a part of the tests can run. --write makes the table anew.
"""

import argparse
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import measured, streams  # noqa: E402

# (client, memory) of each column, and its title.
COLUMNS = {
    ("daedalus decode", ""): "decode in process", ("daedalus decode", "mmap"): "decode mmap",
    ("daedalus decode", "userptr"): "decode userptr", ("daedalus decode", "dmabuf"): "decode dmabuf",
    ("ffmpeg", "mmap"): "ffmpeg mmap", ("gstreamer", "mmap"): "GStreamer mmap", ("gstreamer", "dmabuf"): "GStreamer dmabuf",
    ("v4l2-ctl", "mmap"): "v4l2-ctl mmap", ("v4l2-ctl", "userptr"): "v4l2-ctl userptr",
}
# The codecs of the stateful node, and the node of `--nodes jpeg`.
ROWS = (*streams.CODECS, "jpeg")
BEGIN, END = "<!-- measured -->\n", "<!-- end -->\n"


def letters(cells, codec, column):
    """The transports by which this cell is good."""
    return "".join(letter for letter in measured.TRANSPORTS if cells.get((codec, *column, letter)))


def table(cells):
    lines = ["| | " + " | ".join(COLUMNS.values()) + " |", "|---|" + "---|" * len(COLUMNS)]
    for codec in ROWS:
        lines.append(f"| {codec} | " + " | ".join(letters(cells, codec, column) for column in COLUMNS) + " |")
    return "\n".join(lines) + "\n"


def told(text):
    """The good cells of a table."""
    cells = {}
    for line in text.splitlines()[2:]:
        codec, *columns = [part.strip() for part in line.strip("|").split("|")]
        for column, found in zip(COLUMNS, columns):
            cells.update({(codec, *column, letter): True for letter in found})
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readme", type=pathlib.Path)
    parser.add_argument("measured", type=pathlib.Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    text = options.readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    current, after = rest.split(END, 1)
    found = measured.read(options.measured)
    if options.write:
        options.readme.write_text(before + BEGIN + table(found) + END + after, encoding="utf-8")
        return 0
    if not found:
        print("skipped: nothing was measured: run the suites conformance, clients and vm before")
        return streams.SKIP
    claims = told(current)
    wrong = [key for key, good in found.items() if good != claims.get(key, False) and key[1:3] in COLUMNS]
    for codec, client, memory, transport in wrong:
        good = found[(codec, client, memory, transport)]
        print(f"{codec}, {client} {memory}, {measured.TRANSPORTS[transport]}: measured {'equal' if good else 'not equal'}")
    if wrong:
        print(f"The table in {options.readme.name} says otherwise. If that is meant: {re.sub('.*/', '', sys.argv[0])} --write")
    print(f"{len(found)} cells measured, {len(wrong)} unlike the table")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
