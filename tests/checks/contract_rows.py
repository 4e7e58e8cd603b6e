#!/usr/bin/env python3
"""Fails where a row of a contract (docs/contract/) has no contract test whose name begins with it, and where a test names a row that
no document has."""

import re
import sys

import tree

ROW = re.compile(r"^\| ([SL]\d+|known fault: [^|]*?) \|", re.MULTILINE)
NAME = re.compile(r'^TEST_CASE(?:_METHOD)?\(\s*(?:\w+,\s*)?"(?:((?:[SLF]\d+ )*[SLF]\d+):|(known fault: [^"]*)")', re.MULTILINE)


def rows_of(text):
    """The rows that the names of a file's test cases begin with."""
    found = {row for rows, fault in NAME.findall(text) for row in ([fault] if fault else rows.split())}
    # F: a fault of another driver, which stands beside the row that it breaks.
    return {row for row in found if not re.fullmatch(r"F\d+", row)}


def self_test():
    cases = {
        'TEST_CASE("S1: x") {': {"S1"},
        'TEST_CASE_METHOD(Decoding,\n                 "S9 S13: x") {': {"S9", "S13"},
        'TEST_CASE("L63 F1: x") {': {"L63"},
        'TEST_CASE("known fault: x y") {': {"known fault: x y"},
        'TEST_CASE("about S3: x") {': set(),
        '// TEST_CASE("S4: x")': set(),
    }
    return [f"{text!r} gives {rows_of(text)}" for text, rows in cases.items() if rows_of(text) != rows]


def main():
    documents = sorted((tree.ROOT / "docs/contract").glob("*.md"))
    rows = [row for document in documents for row in ROW.findall(document.read_text(encoding="utf-8"))]
    found = set()
    for path in tree.cpp_files("tests/integration/contract"):
        found |= rows_of(path.read_text())
    complaints = self_test()
    complaints += [f"{row}: no test in tests/integration/contract has a name that begins with it" for row in rows if row not in found]
    complaints += [f"{row}: a test is named after it, but no document in docs/contract has such a row" for row in sorted(found - set(rows))]
    complaints += [] if rows else ["docs/contract has no rows"]
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
