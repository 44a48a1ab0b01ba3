"""The content of `GET /v1/upstreams` and `GET /v1/routes`."""

from collections.abc import Sequence
from datetime import datetime

from halley.api.dependencies import UpstreamViews
from halley.api.presentation.wire.upstreams import (
    AddressBody,
    Balance,
    Bucket,
    Latency,
    ProviderVerdict,
    RouteBody,
    RouteTest,
    UnknownOutcome,
    UpstreamBody,
    UpstreamError,
)
from halley.api.resources.upstreams import settlement_body
from halley.app.upstreams import Upstreams
from halley.clock import Clock, rfc3339
from halley.dispatch.durations import Durations
from halley.dispatch.upstreams import SubmitBucket, UpstreamBalance
from halley.models.records import Version
from halley.models.validation import UNCHECKED
from halley.predictions.queue import SubmitLedger
from halley.predictions.submits import SubmitCount
from halley.predictions.unknown_outcomes import UnknownOutcomes
from halley.settings import LOCAL
from halley.store.ports import Store


def upstream_views(upstreams: Upstreams, outcomes: UnknownOutcomes, store: Store, clock: Clock) -> UpstreamViews:
    """The API's view of the services elsewhere."""
    return UpstreamViews(
        upstreams=lambda: _upstreams(upstreams, store, clock.now()),
        unknown=lambda most, with_settled: _unknown(store, most, with_settled=with_settled),
        adopt=outcomes.adopt,
        retry=outcomes.retry,
        routes=lambda: _routes(upstreams),
        test_route=lambda version: _test(upstreams, version),
        receive_hint=upstreams.hooks.receive,
        passes_links=upstreams.table.passes_links,
    )


async def _upstreams(upstreams: Upstreams, ledger: SubmitLedger, at: datetime) -> Sequence[UpstreamBody]:
    unknown, submits = await ledger.count_unknown(), await ledger.count_submits(at)
    rows = []
    for name, settings in sorted(upstreams.configured().items()):
        place = upstreams.routed.places[name]
        report = place.upstream.report()
        most = settings.max_submits_per_day
        if place.quota is not None and most is not None:  # a worker may not have seen yet that the limit is reached
            place.quota.learn(await ledger.seconds_until_submit(name, SubmitCount(at, most)))
        verdict = upstreams.routed.elsewhere(name)
        rows.append(
            UpstreamBody(
                name=name,
                kind=settings.kind,
                profile=settings.dialect(),
                url=next(url for _, url in settings.addresses()),
                addresses=[
                    AddressBody(url=one.url, reason=one.why or None, in_flight=one.in_flight, slots=one.slots)
                    for one in report.addresses
                ],
                state=place.breaker.state,
                opened=place.breaker.opened,
                open_seconds=round(place.breaker.pause_seconds, 3),
                reason=report.waits_for or None if verdict.takes else verdict.why,
                in_flight=report.in_flight,
                slots=report.slots,
                submits=submits.get(name, 0),
                max_submits_per_day=most,
                unknown=unknown.get(name, 0),
                paused_seconds=round(report.paused_seconds, 3),
                bucket=_bucket(report.bucket),
                submit_seconds=None if place.record is None else _latency(place.record.submits),
                run_seconds=None if place.record is None else _latency(place.record.runs),
                webhooks=report.webhooks,
                balance=_balance(report.balance),
                last_errors=[UpstreamError(at=rfc3339(fault.at), text=fault.text) for fault in report.faults],
            )
        )
    return rows


def _bucket(known: SubmitBucket | None) -> Bucket | None:
    if known is None:
        return None
    ends = None if known.reset_seconds is None else round(known.reset_seconds, 3)
    return Bucket(left=known.left, limit=known.limit, reset_seconds=ends, at_once=known.at_once)


def _balance(known: UpstreamBalance | None) -> Balance | None:
    return None if known is None else Balance(left=known.left, unit=known.unit, at=rfc3339(known.at))


def _latency(durations: Durations) -> Latency | None:
    summary = durations.summary()
    if summary is None:
        return None
    return Latency(count=summary.of, p50=round(summary.median, 3), p95=round(summary.p95, 3))


async def _unknown(store: Store, most: int, *, with_settled: bool) -> Sequence[UnknownOutcome]:
    rows = await store.list_unknown(most, with_settled=with_settled)
    accounts = {one: await store.get_account(one) for one in {row.account_id for row in rows}}
    settlements = await store.settlements([row.id for row in rows]) if with_settled else {}
    return [
        UnknownOutcome(
            id=row.id,
            account=row.account_id if (account := accounts[row.account_id]) is None else account.username,
            model=row.model,
            provider=row.provider,
            upstream_id=row.handle,
            created_at=rfc3339(row.created_at),
            completed_at=None if row.completed_at is None else rfc3339(row.completed_at),
            error=row.error,
            settlement=None if (found := settlements.get(row.id)) is None else settlement_body(found),
        )
        for row in rows
    ]


def _routes(upstreams: Upstreams) -> Sequence[RouteBody]:
    return [
        RouteBody(
            name=route.pattern,
            providers=list(route.settings.places),
            weights=route.settings.weights,
            model=route.settings.model,
            has_schema=route.settings.schema is not None,
            spill_over_queue=route.settings.spill_over_queue,
            spill_over_unloaded=route.settings.spill_over_unloaded,
            vault=route.settings.vault,
        )
        for route in upstreams.table.all()
    ]


def _test(upstreams: Upstreams, version: Version) -> RouteTest:
    route = upstreams.table.find(version.model)
    verdicts = [] if route is None else list(upstreams.routed.verdicts(version.id))
    return RouteTest(
        model=version.model,
        version=version.id,
        is_checked=version.openapi_schema != UNCHECKED,
        route=None if route is None else route.pattern,
        provider=LOCAL if route is None else upstreams.routed.next_place(version.id),
        providers=[
            ProviderVerdict(
                provider=verdict.provider,
                model=version.model if route is None or verdict.provider == LOCAL else route.there(version.model),
                weight=verdict.weight,
                takes=verdict.takes,
                reason=f"{verdict.why}: {verdict.detail}" if verdict.detail else verdict.why,
            )
            for verdict in verdicts
        ],
    )
