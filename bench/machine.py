"""Processes under measurement: start on one core, read their CPU seconds and memory, load from the other core."""

import os
import re
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil

SERVER_CORE, LOAD_CORE = "0", "1"
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(command, port, *, env=None, cwd=None, ready=None, log=subprocess.DEVNULL):
    """A server pinned to core 0; yields it once its port answers. It and its children end with the block."""
    process = subprocess.Popen(
        ["taskset", "-c", SERVER_CORE, *map(str, command)], env=env, cwd=cwd, stdout=log, stderr=log
    )
    try:
        wait_port(process, port)
        if ready is not None:
            ready()
        yield process
    finally:
        children = family(process)[1:]
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in children:
            with_child(child.kill)


def with_child(call):
    try:
        return call()
    except psutil.Error:
        return None


def wait_port(process, port, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nothing listens on its port after {seconds} s")


def family(process):
    try:
        top = psutil.Process(process.pid)
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []


def cpu_seconds(processes):
    times = [with_child(process.cpu_times) for process in processes]
    return sum(t.user + t.system for t in times if t is not None)


def tree_cpu_seconds(process):
    """CPU of the process and all below it; children that ended and were waited for count, too.

    It sees the tree from now on only: a process whose parent ended before it belongs to nobody here.
    """
    times = [with_child(each.cpu_times) for each in family(process)]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times if t is not None)


def exact_cpu_seconds(process):
    """CPU of the process and all below it that still run, to the nanosecond: the other counts are in steps of 10 ms."""
    return sum(_process_clock(each.pid) for each in family(process))


def _process_clock(pid):
    """Linux gives the CPU clock of each process a number: man 3 clock_getcpuclockid."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def pss_mb(process):
    """Memory of the process and its children: the sum of PSS."""
    infos = [with_child(each.memory_full_info) for each in family(process)]
    return sum(info.pss for info in infos if info is not None) / 2**20


def wrk(process, url, *, connections, seconds, headers=(), body=None, content_type="application/json", settle=None):
    """One stretch of wrk on the other core; with a body, text or bytes, it posts. Rates count good answers only.

    `settle` waits until what was asked for is done: CPU time that is spent after the answers counts, too.
    """
    script = None
    if body is not None:
        with tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False) as file:
            file.write(f'wrk.method="POST"\nwrk.headers["Content-Type"]="{content_type}"\nwrk.body={_lua(body)}\n')
            script = file.name
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += ["--timeout", "10s", *[part for header in headers for part in ("-H", header)]]
    command += ["-s", script] if script else []
    cpu, began = tree_cpu_seconds(process), time.monotonic()
    out = subprocess.run([*command, url], capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    if script:
        Path(script).unlink()
    if settle is not None:
        settle()
    used = max(tree_cpu_seconds(process) - cpu, 0.01)
    took = time.monotonic() - began
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    total = int(re.search(r"(\d+) requests in", out)[1])
    refused = int(bad[1]) if bad else 0
    share = 1 - refused / total if total else 1.0
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]) * share
    return {
        "good": total - refused,
        "refused": refused,
        "rate": rate,
        "p50": _latency(out, "50"),
        "p99": _latency(out, "99"),
        "cpu": used / took,
        "per_cpu": (total - refused) / used,
        "bad": 1 - share,
    }


def _lua(body):
    """A literal of these bytes: Lua's long brackets would turn CR LF into LF."""
    data = body.encode() if isinstance(body, str) else body
    return '"' + "".join(f"\\{byte:03}" for byte in data) + '"'


def _latency(out, percent):
    found = re.search(percent + r"%\s+([\d.]+)(us|ms|s|m)", out)
    return float(found[1]) * _UNITS[found[2]] if found else float("nan")


def fdatasyncs_per_second(folder, seconds=1.0):
    """What this disk allows: append 4 KB and fdatasync, one after the other."""
    path = Path(folder) / "fsync.probe"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    block, count, end = b"x" * 4096, 0, time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            os.write(handle, block)
            os.fdatasync(handle)
            count += 1
    finally:
        os.close(handle)
        path.unlink()
    return count / seconds
