#!/usr/bin/env python3
"""Fails where a row of the stateful decoder's contract has no contract test whose name begins with it: S1 to S22, and the faults
that other drivers are known for."""

import re
import sys

import tree

ROWS = [f"S{number}" for number in range(1, 23)] + [
    "known fault: an empty buffer without LAST is an end of the stream",
    "known fault: the second drain loses frames",
    "known fault: a client cannot set CAPTURE up again after a change of size",
    "known fault: STREAMOFF does not come back",
    "known fault: POLLPRI never comes",
    "known fault: a client that waits for frames spins after LAST",
    "known fault: the delayed reference frame of MPEG-2 and MPEG-4 is lost where the size changes",
]
NAME = re.compile(r'^TEST_CASE(?:_METHOD)?\(\s*(?:\w+,\s*)?"(?:((?:S\d+ )*S\d+):|(known fault: [^"]*)")', re.MULTILINE)


def rows_of(text):
    """The rows that the names of a file's test cases begin with."""
    return {row for rows, fault in NAME.findall(text) for row in ([fault] if fault else rows.split())}


def self_test():
    cases = {
        'TEST_CASE("S1: x") {': {"S1"},
        'TEST_CASE_METHOD(Decoding,\n                 "S9 S13: x") {': {"S9", "S13"},
        'TEST_CASE("known fault: x y") {': {"known fault: x y"},
        'TEST_CASE("about S3: x") {': set(),
        '// TEST_CASE("S4: x")': set(),
    }
    return [f"{text!r} gives {rows_of(text)}" for text, rows in cases.items() if rows_of(text) != rows]


def main():
    found = set()
    for path in tree.cpp_files("tests/integration/contract"):
        found |= rows_of(path.read_text())
    complaints = self_test()
    complaints += [f"{row}: no test in tests/integration/contract has a name that begins with it" for row in ROWS if row not in found]
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
