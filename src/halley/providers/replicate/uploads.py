"""Uploads files of inputs to a service that speaks the Replicate HTTP API."""

import secrets

from halley.egress.errors import FetchFailed, TooLarge
from halley.errors import ProviderBusy, SubmitRefused
from halley.providers.replicate.api import UpstreamApi


async def upload(api: UpstreamApi, data: bytes, name: str, content_type: str) -> str:
    """See `services.inputs.Upload`."""
    api.pace.check()
    kind, body = _form(data, name, content_type)
    try:
        answer = await api.send("POST", "/files", body, headers=(("content-type", kind),))
    except (FetchFailed, TooLarge) as error:
        raise ProviderBusy(f"A file of the input could not be uploaded: {error}") from error
    urls = (answer.body or {}).get("urls")
    url = urls.get("get") if isinstance(urls, dict) else None
    if answer.status < 300 and isinstance(url, str) and url:
        return url
    if 400 <= answer.status < 500 and answer.status not in (408, 429):
        raise SubmitRefused(f"the service does not take the file. {answer.fault}")
    raise ProviderBusy(f"A file of the input could not be uploaded. {answer.fault}")


def _form(data: bytes, name: str, content_type: str) -> tuple[str, bytes]:
    """The type and body of a form with the file. Source: contract section 13.1."""
    boundary = secrets.token_hex(16)
    plain_name = name.replace("\\", "_").replace('"', "_").replace("\r", "_").replace("\n", "_")
    head = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="content"; filename="{plain_name}"\r\n'
        f"content-type: {content_type}\r\n\r\n"
    )
    return f"multipart/form-data; boundary={boundary}", head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
