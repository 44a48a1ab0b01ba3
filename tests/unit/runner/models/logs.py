"""Predictors that write in every way there is."""

import asyncio
import logging
import os
import subprocess
import sys
import threading

import cog
from cog import BaseRunner


class Ways(BaseRunner):
    def setup(self):
        print("setup says")
        os.write(1, b"setup writes\n")

    def run(self, way: str = "") -> str:
        print("print")
        sys.stderr.write("stderr\n")
        logging.getLogger("model").warning("logging")
        sys.stdout.buffer.write("bytes é".encode() + b"\n")
        os.write(1, b"fd 1\n")
        os.write(2, b"fd 2\n")
        subprocess.run(["echo", "subprocess"], check=True)
        thread = threading.Thread(target=print, args=("thread",))
        thread.start()
        thread.join()
        return "ok"


def progress() -> str:
    sys.stderr.write("  0%|          | 0/2\r 50%|#####     | 1/2\r100%|##########| 2/2\n")
    return "ok"


def flood(lines: int) -> str:
    for n in range(lines):
        print("line", n)
    return "ok"


def raw_flood(kilobytes: int) -> str:
    subprocess.run(["head", "-c", str(kilobytes * 1024), "/dev/zero"], check=True)
    return "ok"


def long_line(size: int) -> str:
    print("x" * size)
    return "ok"


def closes(how: str) -> str:
    if how == "stream":
        sys.stdout.close()
        sys.stderr.close()
    else:
        os.close(1)
        os.close(2)
    print("after closing")
    return "ok"


def surrogate() -> str:
    print("half \ud83d pair")
    return "ok"


def finaliser() -> str:
    class Noisy:
        def __del__(self):
            print("finalised")

    noisy = Noisy()
    print("before")
    del noisy
    return "ok"


def late(release: bool) -> str:
    if release:
        print("second")
    else:
        threading.Timer(0, lambda: None).start()
    return "ok"


def attributes() -> list:
    out = sys.stdout
    out.reconfigure(line_buffering=True)
    return [out.encoding, out.isatty(), out.fileno(), out.writable(), sys.stderr.fileno(), out.buffer.writable()]


class Together(BaseRunner):
    """Two at a time, each in step with the other."""

    def setup(self):
        self.gate = None
        self.waiting = 0

    @cog.concurrent(max=2)
    async def run(self, name: str) -> str:
        self.gate = self.gate or asyncio.Event()
        print("hello from", name)
        self.waiting += 1
        if self.waiting == 2:
            self.gate.set()
        await self.gate.wait()
        logging.getLogger("model").error("log of %s", name)
        cog.current_scope().record_metric("letters", len(name))
        await asyncio.get_running_loop().run_in_executor(None, os.write, 1, b"unsigned\n")
        await asyncio.create_task(self.inner(name))
        self.waiting -= 1
        while self.waiting:
            await asyncio.sleep(0)
        return name

    async def inner(self, name):
        print("inner of", name)


class Crowd(BaseRunner):
    """Four at a time; each writes past Python just before its end."""

    def setup(self):
        self.gate = None
        self.waiting = 0

    @cog.concurrent(max=4)
    async def run(self, name: str) -> str:
        self.gate = self.gate or asyncio.Event()
        self.waiting += 1
        if self.waiting == 4:
            self.gate.set()
        await self.gate.wait()
        os.write(1, b"unsigned %s\n" % name.encode())
        return name
