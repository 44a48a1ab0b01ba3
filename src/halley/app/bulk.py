"""Builds the parts that act on many predictions."""

from functools import partial

from halley.app.foundation import Foundation
from halley.app.roles import Node
from halley.bulk.executor import BulkExecutor
from halley.bulk.item_actions import ItemActions
from halley.bulk.permissions import may_act
from halley.bulk.service import BulkActions
from halley.predictions.running_again import Reruns
from halley.predictions.service import Predictions
from halley.retention.service import RetentionService


def build_bulk(
    base: Foundation, node: Node, predictions: Predictions, reruns: Reruns, retention: RetentionService
) -> BulkActions:
    """Bulk actions, which this process carries out with others that answer requests."""
    store = base.data.store
    executor = BulkExecutor(
        store=store,
        item_actions=ItemActions(predictions=predictions, reruns=reruns, remove_data=retention.remove_now, store=store),
        may_act=partial(may_act, store),
        clock=base.clock,
        holder_id=base.new_id(),
        is_alone=not node.is_shared,
    )
    return BulkActions(
        store=store,
        search=store,
        clock=base.clock,
        new_id=base.new_id,
        most=base.settings.limits.bulk_predictions,
        executor=executor,
    )
