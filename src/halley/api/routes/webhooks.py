"""Routes: webhook secrets and deliveries."""

from typing import Final

from halley.api.http.routing import Param, Route
from halley.api.presentation.wire.webhooks import (
    DeliveryBody,
    DeliveryPage,
    NewWebhookSecret,
    RotateWebhookSecret,
    WebhookCopies,
    WebhookMessage,
    WebhookSecret,
)
from halley.api.resources import webhooks
from halley.api.routes.paging import PAGE
from halley.keys.records import Scope

ROUTES: Final = (
    Route(
        name="webhooks.default.secret.get",
        method="GET",
        pattern="/webhooks/default/secret",
        handler=webhooks.get_secret,
        scope=Scope.WRITE,  # its holder can forge messages: more than reading
        response=WebhookSecret,
        summary="Get the secret that webhooks are signed with",
    ),
    Route(
        name="webhooks.default.secret.rotate",
        method="POST",
        pattern="/webhooks/default/secret/rotate",
        handler=webhooks.rotate_secret,
        scope=Scope.WRITE,
        rate="write",
        body="json",
        request=RotateWebhookSecret,
        response=NewWebhookSecret,
        summary="Replace the secret; for some time both secrets sign",
    ),
    Route(
        name="webhooks.deliveries.list",
        method="GET",
        pattern="/webhooks/deliveries",
        handler=webhooks.list_deliveries,
        scope=Scope.READ,
        response=DeliveryPage,
        summary="List attempts to deliver webhooks, newest first",
        params=(*PAGE, Param(name="prediction", description="Only those about this prediction.")),
    ),
    Route(
        name="webhooks.deliveries.get",
        method="GET",
        pattern="/webhooks/deliveries/{delivery_id}",
        handler=webhooks.get_delivery,
        scope=Scope.READ,
        response=DeliveryBody,
        summary="Get one attempt, with the request that was sent",
    ),
    Route(
        name="webhooks.deliveries.resend",
        method="POST",
        pattern="/webhooks/deliveries/{delivery_id}/resend",
        handler=webhooks.resend,
        scope=Scope.WRITE,
        rate="write",
        response=WebhookMessage,
        success=(202,),
        summary="Send the message of a delivery again",
    ),
    Route(
        name="webhooks.listen",
        method="GET",
        pattern="/webhooks/listen",
        handler=webhooks.listen,
        scope=Scope.READ,
        response=WebhookCopies,
        streams=True,
        summary="Follow the webhook messages of the account as a stream, also those of predictions without a webhook",
        params=(
            Param(name="events", description="Some of `start`, `output`, `logs`, `completed`, with commas between."),
            Param(name="since", description="Start with predictions created at this time; without it, start now."),
            Param(name="key", description="Only predictions of the requesting key.", values=("own",)),
            Param(name="after", type="integer", description="Only messages after this position."),
            Param(name="Last-Event-ID", place="header", description="Continue after this event."),
        ),
    ),
)
