"""The daedalus under test: where it is, how clients are run against it, and as whom."""

import argparse
import atexit
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

NOBODY = 65534


@dataclasses.dataclass
class Outcome:
    status: int
    output: bytes
    errors: str
    timed_out: bool = False

    def excerpt(self):
        """The end of what the program complained of."""
        return f"status {self.status}: " + " / ".join(self.errors.strip().splitlines()[-4:])


def arguments(description):
    """A parser of what every script that runs a daedalus is told: which one, its preload library, where streams are kept."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--daedalus", required=True)
    parser.add_argument("--preload", default="")
    parser.add_argument("--cache", required=True, type=pathlib.Path)
    add_planes(parser)
    return parser


def add_planes(parser):
    parser.add_argument("--planes", default="multi", choices=["multi", "single"], help="the API of the nodes under test")
    parser.add_argument("--nodes", default="", help="the kinds of the nodes under test")


class Scratch:
    """A folder under /tmp that every user can read, gone at exit. Other users may not reach the build folder."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="daedalus-test-"))
        self.path.chmod(0o755)
        atexit.register(shutil.rmtree, self.path, ignore_errors=True)

    def copy(self, source, mode=0o755):
        """A copy of `source` that every user can read."""
        target = self.path / pathlib.Path(source).name
        if not target.exists():
            shutil.copyfile(source, target)
            target.chmod(mode)
        return target


class Decoder:
    """`daedalus` of a build folder, run as the caller or as nobody, with or without a seccomp filter."""

    def __init__(self, program, preload="", nobody=False, seccomp="", planes="multi", nodes=""):
        self.scratch = Scratch()
        # Of what serves a node: `run` without --attach, and `serve`.
        self.node_options = [] if planes == "multi" else ["--planes", planes]
        self.node_options += ["--nodes", nodes] if nodes else []
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("DAEDALUS_")}
        self.wrapper = []
        self.program = pathlib.Path(program).resolve()
        # Only root can become somebody else; whoever is not root already is what is wanted.
        self.nobody = nobody and os.geteuid() == 0
        if self.nobody:
            self.program = self.scratch.copy(self.program)
            if preload:
                preload = self.scratch.copy(preload)
            home = self.scratch.path / "home"
            home.mkdir(mode=0o700)
            os.chown(home, NOBODY, NOBODY)
            self.environment.update(HOME=str(home), XDG_RUNTIME_DIR=str(home), XDG_CACHE_HOME=str(home))
            self.wrapper += ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
        if preload:
            # Absolute: the programs run in folders of their own.
            self.environment["DAEDALUS_PRELOAD"] = str(pathlib.Path(preload).resolve())
        if seccomp:
            self.wrapper.append(str(self.scratch.copy(seccomp)))

    def readable(self, path):
        """`path`, or a copy of it where the client's user may not read the original."""
        return self.scratch.copy(path, 0o644) if self.nobody else path

    def writable(self, name):
        """A path that the client may create."""
        folder = self.scratch.path / ("home" if self.nobody else "")
        return folder / name

    def execute(self, command, timeout=300):
        """Runs a command in the client's surroundings; a hang becomes status -SIGKILL, and timed_out."""
        timed_out = False
        with subprocess.Popen(
            [*self.wrapper, *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.environment, cwd="/", start_new_session=True,
        ) as child:
            try:
                output, errors = child.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                output, errors = child.communicate()
                errors += f"\nkilled after {timeout} s".encode()
                timed_out = True
        return Outcome(child.returncode, output, errors.decode(errors="replace"), timed_out)

    def run(self, *command, timeout=300, options=()):
        """`daedalus run -- COMMAND`."""
        own = [] if "--attach" in options else self.node_options
        return self.execute([self.program, "run", *own, *options, "--", *command], timeout)

    def decode_command(self, path, *options):
        return [self.program, "decode", *options, "--framemd5", "-", path]


class Within(Decoder):
    """Clients run as they are, since this process itself runs under `daedalus run`."""

    def __init__(self):
        super().__init__("daedalus")
        self.environment = dict(os.environ)

    def run(self, *command, timeout=300, options=()):
        return self.execute(command, timeout)


class Server:
    """`daedalus serve`, and clients attached to it: a context."""

    def __init__(self, decoder, *options):
        self.decoder = decoder
        self.socket = decoder.writable("daedalus.sock")
        self.options = [*decoder.node_options, *options]
        self.process = None

    def __enter__(self):
        command = [*self.decoder.wrapper, self.decoder.program, "serve", "--socket", self.socket, *self.options]
        self.process = subprocess.Popen([str(word) for word in command], env=self.decoder.environment, cwd="/")
        deadline = time.monotonic() + 20
        while not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError("daedalus serve did not start")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise RuntimeError("daedalus serve did not end on SIGTERM") from None
        if status != 0:
            raise RuntimeError(f"daedalus serve ended with status {status}")

    def run(self, *command, timeout=300):
        return self.decoder.run(*command, timeout=timeout, options=["--attach", str(self.socket)])


class Device(Server):
    """`daedalus serve --cuse NAME`, and clients that open the device $DAEDALUS_NODE themselves: a context."""

    def __init__(self, decoder, name, *options):
        super().__init__(decoder, "--cuse", name, *options)
        self.node = "/dev/" + name
        decoder.environment["DAEDALUS_NODE"] = self.node

    def run(self, *command, timeout=300):
        return self.decoder.execute(command, timeout)
