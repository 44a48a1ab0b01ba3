"""The GPUs of this machine, and which replica uses which: a whole one, or a declared part of its memory."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from halley.replicas.child import inherited
from halley.replicas.loading import ModelSource

QUERY_SECONDS: Final = 20.0  # a driver may need seconds to wake up


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU. `id` is its value in CUDA_VISIBLE_DEVICES."""

    id: str
    name: str
    memory_bytes: int


def on_device(source: ModelSource, device: Device) -> ModelSource:
    """The source as it is started on this device: its process sees no other one."""
    seen = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": device.id}
    return msgspec.structs.replace(source, environment=source.environment | seen)


FindDevices = Callable[[], Awaitable[Sequence[Device]]]
"""Lists the devices that replicas may use; empty where there are none. Never raises."""


class DeviceShare(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a device that a replica uses, in bytes; None is all of it."""

    device: Device
    memory_bytes: int | None


class Devices:
    """Assigns devices to replicas. Lists the devices once, when a model that needs one is first loaded."""

    def __init__(self, find: FindDevices) -> None:
        self._find = find
        self._found: tuple[Device, ...] | None = None

    @property
    def are_known(self) -> bool:
        """False until `look` has ended."""
        return self._found is not None

    async def look(self) -> None:
        """List the devices."""
        self._found = tuple(await self._find())

    def place(self, source: ModelSource, shares: Iterable[DeviceShare]) -> Device | None:
        """The device with the most free memory that fits; None if none fits now."""
        taken = list(shares)
        rooms = [(_room(device, taken), device) for device in self._found or ()]
        needed = source.gpu_memory_bytes
        fit = [(room, device) for room, device in rooms if room >= (needed or device.memory_bytes)]
        return max(fit, key=lambda pair: pair[0])[1] if fit else None

    def fault(self, source: ModelSource) -> str | None:
        """Why no device can ever hold the model; None if one can."""
        largest = max((device.memory_bytes for device in self._found or ()), default=0)
        if (source.gpu_memory_bytes or 0) <= largest:
            return None
        return (
            f"{source.name} needs {(source.gpu_memory_bytes or 0) / 1e6:,.0f} MB of GPU memory (gpu_memory); "
            f"the largest device has {largest / 1e6:,.0f} MB."
        )

    @property
    def has_any(self) -> bool:
        """Whether there are any devices; without, models that ask for one run without it."""
        return bool(self._found)


def _room(device: Device, shares: Sequence[DeviceShare]) -> int:
    room = device.memory_bytes
    for share in shares:
        if share.device.id == device.id:
            room -= device.memory_bytes if share.memory_bytes is None else share.memory_bytes
    return room


def nvidia_smi(environ: Mapping[str, str]) -> FindDevices:
    """Ask nvidia-smi. Devices that the server's CUDA_VISIBLE_DEVICES leaves out are not used."""

    async def find() -> Sequence[Device]:
        tool = shutil.which("nvidia-smi", path=environ.get("PATH"))
        if tool is None:
            return ()
        query = ("--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits")
        process = await asyncio.create_subprocess_exec(
            tool, *query, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env=inherited(environ),
        )  # fmt: skip
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return ()
        return _allowed(said.decode(errors="replace"), environ.get("CUDA_VISIBLE_DEVICES"))

    return find


def _allowed(table: str, visible: str | None) -> tuple[Device, ...]:
    """The rows of nvidia-smi's table whose index or UUID is in the list of visible devices."""
    import csv  # many machines have no such tool

    names = None if visible is None else [word.strip() for word in visible.split(",") if word.strip()]
    found = []
    for row in csv.reader(table.splitlines(), skipinitialspace=True):
        if len(row) != 4 or not row[3].strip().isdigit():
            continue  # a message, or a device that does not report its memory
        index, uuid, name, mebibytes = (cell.strip() for cell in row)
        if names is None or index in names or any(word and uuid.startswith(word) for word in names):
            found.append(Device(id=uuid, name=name, memory_bytes=int(mebibytes) * 2**20))
    return tuple(found)
