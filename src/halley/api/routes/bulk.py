"""Routes: actions on many predictions."""

from typing import Final

from halley.api.http.routing import Param, Route
from halley.api.presentation.wire.bulk import (
    BulkActionBody,
    BulkActionPage,
    BulkItemPage,
    BulkPreview,
    CreateBulkAction,
)
from halley.api.resources import bulk
from halley.api.routes.paging import PAGE
from halley.keys.records import Scope

ROUTES: Final = (
    Route(
        name="bulk_actions.create",
        method="POST",
        pattern="/bulk-actions",
        handler=bulk.create,
        scope=Scope.WRITE,
        rate="write",
        body="json",
        request=CreateBulkAction,
        response=BulkActionBody,
        success=(201,),
        summary="Cancel many predictions, run them again or remove their data; needs the scope `read` as well",
        params=(
            Param(
                name="Idempotency-Key",
                place="header",
                description="Requests with the same key make one action.",
                pattern="^[!-~]{1,255}$",
            ),
        ),
    ),
    Route(
        name="bulk_actions.preview",
        method="POST",
        pattern="/bulk-actions/preview",
        handler=bulk.preview,
        scope=Scope.WRITE,
        body="json",
        request=CreateBulkAction,
        response=BulkPreview,
        summary="Count the predictions that an action would have if it were made now; nothing is done",
    ),
    Route(
        name="bulk_actions.list",
        method="GET",
        pattern="/bulk-actions",
        handler=bulk.list_all,
        scope=Scope.READ,
        response=BulkActionPage,
        summary="List actions on many predictions, newest first",
        params=PAGE,
    ),
    Route(
        name="bulk_actions.get",
        method="GET",
        pattern="/bulk-actions/{bulk_action_id}",
        handler=bulk.get,
        scope=Scope.READ,
        response=BulkActionBody,
        summary="Get how far an action is, and why predictions were skipped or failed",
    ),
    Route(
        name="bulk_actions.items",
        method="GET",
        pattern="/bulk-actions/{bulk_action_id}/items",
        handler=bulk.list_items,
        scope=Scope.READ,
        response=BulkItemPage,
        summary="List the predictions of an action, in the order in which they are taken",
        params=(
            *PAGE,
            Param(
                name="outcome",
                description="Only those with this outcome.",
                values=("done", "skipped", "failed"),
            ),
        ),
    ),
    Route(
        name="bulk_actions.stop",
        method="POST",
        pattern="/bulk-actions/{bulk_action_id}/stop",
        handler=bulk.stop,
        scope=Scope.WRITE,
        rate="write",
        response=BulkActionBody,
        summary="Stop an action: it begins no further prediction; needs the scope `read` as well",
    ),
)
