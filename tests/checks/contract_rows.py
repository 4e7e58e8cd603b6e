#!/usr/bin/env python3
"""Fails where a row of the stateful decoder's contract, S1 to S22, has no contract test whose name begins with it."""

import re
import sys

import tree

ROWS = [f"S{number}" for number in range(1, 23)]
NAME = re.compile(r'^TEST_CASE(?:_METHOD)?\(\s*(?:\w+,\s*)?"((?:S\d+ )*S\d+):', re.MULTILINE)


def rows_of(text):
    """The rows that the names of a file's test cases begin with."""
    return {row for names in NAME.findall(text) for row in names.split()}


def self_test():
    cases = {
        'TEST_CASE("S1: x") {': {"S1"},
        'TEST_CASE_METHOD(Decoding,\n                 "S9 S13: x") {': {"S9", "S13"},
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
