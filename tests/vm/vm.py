#!/usr/bin/env python3
"""Runs a command as root in a small VM with Debian's stock kernel, on the host's own programs.

    vm.py [OPTIONS] -- COMMAND [ARGUMENT...]    its output and exit status become vm.py's
    vm.py --shell                               a shell in it, by hand

The guest sees the host's root (what it writes there it keeps to itself), the work tree read-only at $VM_SOURCE and the
build folder at $VM_BUILD, both under their own paths. vm.py fails as well when the kernel warned (status 90), when the
time limit passed (91), when the VM ended before the command did (92), and when it could not start (93).
tests/vm/README.md says more.
"""

import argparse
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

import cpio
import kernel

HERE = pathlib.Path(__file__).resolve().parent
KERNEL_WARNED, TIME_LIMIT, ENDED_EARLY, NOT_STARTED = 90, 91, 92, 93
LOG_LINES = 60
# What a kernel prints when it finds a bug in itself or in a module.
WARNING = re.compile(
    r"WARNING: |BUG: |kernel BUG at|Oops|general protection fault|Call Trace:|Kernel panic|refcount_t: |UBSAN: |"
    r"blocked for more than \d+ seconds|scheduling while atomic|Bad page|list_(add|del) corruption|sleeping function called")

# vivid's threads ask to wait for a negative time when they come late, as they do in a VM: vivid's own fault, and harmless.
REPORT_OF_TIMEOUT = re.compile(r"[^\n]*schedule_timeout: wrong timeout value.*?</TASK>", re.DOTALL)


def initramfs(unpacked):
    archive = cpio.Archive()
    for folder in ("bin", "dev", "modules"):
        archive.folder(folder)
    archive.console()
    archive.file("bin/busybox", unpacked.busybox.read_bytes())
    archive.file("init", (HERE / "init.sh").read_bytes())
    modules = unpacked.boot_modules()
    archive.file("modules/order", "".join(f"{m.name}\n" for m in modules).encode(), 0o644)
    for module in modules:
        archive.file(f"modules/{module.name}", module.read_bytes(), 0o644)
    return archive.bytes()


def share(tag, folder, read_only):
    path = str(folder).replace(",", ",,")
    access = ",readonly=on" if read_only else ""
    return ["-fsdev", f"local,id={tag},path={path},security_model=none,multidevs=remap{access}",
            "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]


def settings(options, unpacked):
    size = shutil.get_terminal_size()
    values = {
        "VM_SOURCE": kernel.SOURCE, "VM_BUILD": options.build, "vm_unpacked": unpacked.root,
        "vm_systemd": int(options.systemd), "vm_shell": int(options.shell), "vm_rows": size.lines, "vm_columns": size.columns,
        "vm_term": os.environ.get("TERM", "linux"),
    }
    lines = [f"export {name}={shlex.quote(str(value))}\n" for name, value in values.items()]
    for pair in options.env:
        name, _, value = pair.partition("=")
        lines.append(f"export {name}={shlex.quote(value)}\n")
    return "".join(lines)


def command_line(qemu, options, unpacked, exchange):
    append = "console=ttyS0 panic=-1 loglevel=5 nowatchdog rcupdate.rcu_cpu_stall_suppress=1 " + options.append
    return [
        # However vm.py ends, the VM does not stay behind.
        "setpriv", "--pdeathsig", "KILL", "--",
        # No AVX: with it libdav1d crashes now and then, in QEMU 7.2 at least.
        qemu, "-M", "pc", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,avx=off,avx2=off",
        "-smp", "1", "-m", str(options.memory),
        "-nodefaults", "-display", "none", "-no-reboot",
        "-kernel", str(unpacked.image), "-initrd", str(exchange / "initramfs"), "-append", append,
        "-serial", "file:" + str(exchange / "console"),
        "-chardev", "stdio,id=job,signal=off", "-device", "isa-serial,chardev=job",
        *share("hostroot", "/", True), *share("source", kernel.SOURCE, True),
        *share("build", options.build, False), *share("exchange", exchange, False),
    ]


def text_of(path):
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def complain(reason, log=""):
    """The reason, after the last lines of a log that tell more."""
    lines = [line.rstrip() for line in log.splitlines()]
    if lines:
        print(f"vm.py: the kernel's log, last {min(len(lines), LOG_LINES)} of {len(lines)} lines:", file=sys.stderr)
        for line in lines[-LOG_LINES:]:
            print("  |", line, file=sys.stderr)
    print(f"vm.py: {reason}", file=sys.stderr, flush=True)


def warnings_in(log):
    log = REPORT_OF_TIMEOUT.sub(lambda report: "" if "vivid_thread" in report[0] else report[0], log)
    return [line for line in log.splitlines() if WARNING.search(line)]


def verdict(options, exchange, ended):
    """The exit status for a VM that has ended, or was ended by the time limit."""
    log = text_of(exchange / "dmesg") or text_of(exchange / "console")
    warnings = warnings_in(log)
    status = text_of(exchange / "status").strip()
    if not ended:
        complain(f"time limit: the VM was ended after {options.limit} s; --limit SECONDS gives it more", log)
        return TIME_LIMIT
    if not status:
        complain("the VM ended before the command did: its kernel died, or it could not mount a share", log)
        return ENDED_EARLY
    if warnings and not options.allow_warnings:
        complain(f"the kernel warned {len(warnings)} times, first: {warnings[0].strip()}", log)
        return KERNEL_WARNED
    return int(status)


def run(options):
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        raise kernel.Missing("qemu-system-x86_64 is not installed: apt-get install qemu-system-x86")
    if options.systemd and not os.access("/lib/systemd/systemd", os.X_OK):
        raise kernel.Missing("--systemd: /lib/systemd/systemd is not installed: apt-get install systemd")
    unpacked = kernel.provide(options.kernel)
    options.build.mkdir(parents=True, exist_ok=True)
    options.build = options.build.resolve()
    with tempfile.TemporaryDirectory(prefix="daedalus-vm-") as name:
        exchange = pathlib.Path(name)
        (exchange / "initramfs").write_bytes(initramfs(unpacked))
        (exchange / "settings").write_text(settings(options, unpacked), encoding="utf-8")
        (exchange / "job").write_text("exec " + shlex.join(options.command) + "\n", encoding="utf-8")
        for script in ("guest.sh", "systemd.sh"):
            shutil.copy(HERE / script, exchange)
        sys.stdout.flush()
        with subprocess.Popen(command_line(qemu, options, unpacked, exchange),
                              stdin=None if options.shell else subprocess.DEVNULL) as process:
            # Meson ends a test by SIGTERM, a terminal that closes by SIGHUP: the temporary folder goes too.
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda signum, _: (process.kill(), sys.exit(128 + signum)))
            try:
                process.wait(None if options.shell else options.limit)
                ended = True
            except subprocess.TimeoutExpired:
                ended = False
            except KeyboardInterrupt:
                process.kill()
                raise
            if not ended:
                process.kill()
        return verdict(options, exchange, ended)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shell", action="store_true", help="a shell by hand instead of a command")
    parser.add_argument("--systemd", action="store_true", help="boot systemd, which runs the command as a service")
    parser.add_argument("--limit", type=float, default=120, metavar="SECONDS", help="end the VM after so long (120)")
    parser.add_argument("--build", type=pathlib.Path, default=kernel.SOURCE / "build", help="the build folder to share")
    parser.add_argument("--kernel", type=pathlib.Path, help="kernel.py's folder ($DAEDALUS_VM_CACHE or build/vm)")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="a variable for the command")
    parser.add_argument("--memory", type=int, default=1024, metavar="MIB", help="the VM's memory (1024)")
    parser.add_argument("--append", default="", metavar="WORDS", help="more words for the kernel's command line")
    parser.add_argument("--allow-warnings", action="store_true", help="do not fail when the kernel warns")
    parser.add_argument("command", nargs="*", metavar="COMMAND")
    options = parser.parse_args()
    if options.shell == bool(options.command):
        parser.error("give a command after --, or --shell")
    try:
        return run(options)
    except (kernel.Missing, OSError) as error:
        complain(error)
        return NOT_STARTED
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
