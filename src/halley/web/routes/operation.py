"""Rows: what an operator looks after, and the reader's own key."""

from typing import Final

from halley.keys.records import Scope
from halley.web.pages import files, keys, me, model_routes, replicas, settings, upstreams, webhooks
from halley.web.rows import Action, PageRow, Row, UploadAction

_REPLICA: Final = "/ui/replicas/{model_owner}/{model_name}"
_UNKNOWN: Final = "/ui/upstreams/unknown/{prediction_id}"
_ADMIN: Final = Scope.ADMIN

_PROCESSES: Final[tuple[Row, ...]] = (
    PageRow(name="ui.replicas", pattern="/ui/replicas", show=replicas.show, nav="Replicas", needs=_ADMIN),
    PageRow(name="ui.replicas.one", pattern=_REPLICA, show=replicas.show_one, needs=_ADMIN),
    PageRow(name="ui.replicas.clear", pattern=f"{_REPLICA}/clear-setup", show=replicas.ask_clear, needs=_ADMIN),
    Action(name="ui.replicas.clear.post", pattern=f"{_REPLICA}/clear-setup", act=replicas.clear),
    PageRow(name="ui.upstreams", pattern="/ui/upstreams", show=upstreams.show, nav="Upstreams", needs=_ADMIN),
    Action(name="ui.upstreams.adopt", pattern=f"{_UNKNOWN}/adopt", act=upstreams.adopt),
    PageRow(name="ui.upstreams.retry", pattern=f"{_UNKNOWN}/retry", show=upstreams.ask_retry, needs=_ADMIN),
    Action(name="ui.upstreams.retry.post", pattern=f"{_UNKNOWN}/retry", act=upstreams.retry),
    PageRow(name="ui.routes", pattern="/ui/routes", show=model_routes.show, nav="Routes", needs=_ADMIN),
)
_WEBHOOKS: Final[tuple[Row, ...]] = (
    PageRow(name="ui.webhooks", pattern="/ui/webhooks", show=webhooks.show, nav="Webhooks"),
    Action(name="ui.webhooks.secret", pattern="/ui/webhooks/secret", act=webhooks.reveal),
    PageRow(
        name="ui.webhooks.rotate", pattern="/ui/webhooks/secret/rotate", show=webhooks.ask_rotate, needs=Scope.WRITE
    ),
    Action(name="ui.webhooks.rotate.post", pattern="/ui/webhooks/secret/rotate", act=webhooks.rotate),
    PageRow(name="ui.webhooks.one", pattern="/ui/webhooks/{delivery_id}", show=webhooks.show_one),
    Action(name="ui.webhooks.resend", pattern="/ui/webhooks/{delivery_id}/resend", act=webhooks.resend),
)
_FILES: Final[tuple[Row, ...]] = (
    PageRow(name="ui.files", pattern="/ui/files", show=files.show, nav="Files"),
    UploadAction(name="ui.files.upload", pattern="/ui/files", act=files.upload),
    PageRow(name="ui.files.delete", pattern="/ui/files/{file_id}/delete", show=files.ask_delete, needs=Scope.WRITE),
    Action(name="ui.files.delete.post", pattern="/ui/files/{file_id}/delete", act=files.delete),
)
_KEYS: Final[tuple[Row, ...]] = (
    PageRow(name="ui.keys", pattern="/ui/keys", show=keys.show, nav="Keys", needs=_ADMIN),
    Action(name="ui.keys.create", pattern="/ui/keys", act=keys.create),
    PageRow(name="ui.keys.one", pattern="/ui/keys/{key_id}", show=keys.show_one, needs=_ADMIN),
    Action(name="ui.keys.change", pattern="/ui/keys/{key_id}", act=keys.change),
    PageRow(name="ui.keys.revoke", pattern="/ui/keys/{key_id}/revoke", show=keys.ask_revoke, needs=_ADMIN),
    Action(name="ui.keys.revoke.post", pattern="/ui/keys/{key_id}/revoke", act=keys.revoke),
)
ROWS: Final[tuple[Row, ...]] = (
    *_PROCESSES,
    *_WEBHOOKS,
    *_FILES,
    *_KEYS,
    PageRow(name="ui.settings", pattern="/ui/settings", show=settings.show, nav="Settings", needs=_ADMIN),
    PageRow(name="ui.me", pattern="/ui/me", show=me.show, nav="Your key"),
)
