"""The settings that this server uses; an extension, for operators."""

import shutil
from pathlib import Path

from anyio import to_thread

from halley import __version__
from halley.api.context import ApiContext
from halley.api.http.asgi import Call, Response, json_response
from halley.api.presentation.present import encode
from halley.api.presentation.wire.settings import DataDisk, SettingBody, SettingsBody
from halley.api.resources.health import verbose_health
from halley.clock import rfc3339
from halley.settings import shown


async def get_settings(call: Call, parts: ApiContext) -> Response:  # noqa: ARG001
    """All of them with their origins, without secrets."""
    rows = [SettingBody(name=name, value=value, origin=origin) for name, value, origin in shown(parts.shown_settings)]
    answer = SettingsBody(
        version=__version__,
        started_at=rfc3339(parts.started_at),
        data=await to_thread.run_sync(_data_folder, parts.shown_settings.data),
        health=await verbose_health(parts),
        settings=rows,
    )
    return json_response(encode(answer))


def _data_folder(folder: Path) -> DataDisk:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return DataDisk(folder=str(folder), free_bytes=None, total_bytes=None)
    return DataDisk(folder=str(folder), free_bytes=usage.free, total_bytes=usage.total)
