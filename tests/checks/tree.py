"""The project's own files: what the checks look at."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = {".git", ".cache", "__pycache__", "corpus", "packagecache"}


def _walk(folder):
    for path in sorted(folder.iterdir()):
        if path.name in SKIPPED or path.name.startswith("build"):
            continue
        if path.is_dir():
            yield from _walk(path)
        elif path.is_file():
            yield path


def files(*folders):
    """All files of the project, or of some of its folders."""
    for folder in folders or (".",):
        start = ROOT / folder
        if start.is_dir():
            yield from _walk(start)


def cpp_files(*folders):
    """All C++ sources and headers; the kernel module under subprojects/ has the kernel's style."""
    for path in files(*(folders or ("src", "include", "proto", "tests"))):
        if path.suffix in (".cpp", ".h"):
            yield path
