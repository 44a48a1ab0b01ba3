"""How much memory there is, as the files of the kernel say it."""

from pathlib import Path

import pytest

from halley.replicas.machine import free_bytes, total_bytes

MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    9000000 kB\n"
UNLIMITED_V1 = "9223372036854771712"


@pytest.mark.parametrize(
    ("group", "files", "total", "free"),
    [
        ("0::/", {}, 16_384_000_000, 9_216_000_000),
        ("0::/a/b", {"a/memory.max": "max", "a/b/memory.max": "max"}, 16_384_000_000, 9_216_000_000),
        (
            "0::/a/b",
            {"a/memory.max": "4000000000", "a/memory.current": "3000000000", "a/b/memory.max": "max"},
            4_000_000_000,
            1_000_000_000,
        ),
        (
            "0::/only/outside",  # in a container: the limit is at the root that we see
            {"memory.max": "2000000000", "memory.current": "500000000"},
            2_000_000_000,
            1_500_000_000,
        ),
        (
            "4:memory:/",
            {"memory/memory.limit_in_bytes": UNLIMITED_V1, "memory/memory.usage_in_bytes": "1"},
            16_384_000_000,
            9_216_000_000,
        ),
        (
            "4:cpu,memory:/job",
            {"memory/job/memory.limit_in_bytes": "1000000000", "memory/job/memory.usage_in_bytes": "900000000"},
            1_000_000_000,
            100_000_000,
        ),
    ],
)
def test_the_smallest_limit_counts(tmp_path: Path, group: str, files: dict[str, str], total: int, free: int) -> None:
    for name, text in {"proc/meminfo": MEMINFO, "proc/self/cgroup": group + "\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert (total_bytes(tmp_path), free_bytes(tmp_path)) == (total, free)


def test_a_machine_that_does_not_say_has_no_limit(tmp_path: Path) -> None:
    assert total_bytes(tmp_path) == 0
