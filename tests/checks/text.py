#!/usr/bin/env python3
"""Fails on tabs, trailing blanks, other line ends, missing last newlines, and on long rows in docs/deviations.md; warns of files
that want to be two."""

import sys

import tree

# The kernel's style, and make's, want tabs.
TABBED = tree.ROOT / "subprojects/daedalus-shim"
MAKEFILES = {tree.ROOT / "debian/rules"}

TEXT = {".c", ".cpp", ".h", ".py", ".md", ".build", ".txt", ".sh", ".yml", ".supp", ""}
LONG = {".c", ".cpp", ".h", ".py"}
MANY_LINES = 400
# What differs and why: three lines. Longer reasons have a section of their own there.
ROWS = "deviations.md"
LONG_ROW = 390


def complaints_about(text, tabbed):
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if "\t" in line and not tabbed:
            yield number, "a tab"
        if line.endswith((" ", "\r")):
            yield number, "trailing blanks or a carriage return"
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"


def long_rows(text):
    """Rows of a table whose columns before the last, which names tests, are too long."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("| ") and len(line.rpartition(" | ")[0]) > LONG_ROW:
            yield number, f"more than {LONG_ROW} characters of prose: give the reason a section of its own"


def main():
    failed = 0
    for path in tree.files():
        if path.suffix not in TEXT:
            continue
        name = path.relative_to(tree.ROOT)
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            if path.suffix:
                failed += 1
                print(f"{name}: not UTF-8")
            continue
        for number, complaint in complaints_about(text, path in MAKEFILES or (path.parent == TABBED and path.suffix != ".md")):
            failed += 1
            print(f"{name}:{number}: {complaint}")
        for number, complaint in long_rows(text) if path.name == ROWS else ():
            failed += 1
            print(f"{name}:{number}: {complaint}")
        length = text.count("\n")
        if path.suffix in LONG and length > MANY_LINES:
            print(f"{name}: warning: {length} lines; a file of more than about {MANY_LINES} wants to be two")
    print(f"{failed} complaints")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
