"""What all runs of a worker use: built once, shared by all of them."""

from dataclasses import dataclass, field

from halley.clock import Clock
from halley.dispatch.ports import InputStager, OutputKeeper, Workspace
from halley.dispatch.rules import DispatchRules
from halley.models.catalog import Catalog
from halley.predictions.hints import Bus
from halley.predictions.inputs import InputCheck
from halley.predictions.queue import WorkQueue


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFiles:
    """Files of a run: how those of its input come, where the run keeps its own, how those of its output stay."""

    stager: InputStager
    workspace: Workspace
    keeper: OutputKeeper


@dataclass(frozen=True, kw_only=True, slots=True)
class RunParts:
    """What a run reads, writes and obeys, apart from its provider."""

    queue: WorkQueue
    bus: Bus
    clock: Clock
    catalog: Catalog
    files: RunFiles
    rules: DispatchRules
    inputs: InputCheck = field(default_factory=InputCheck)
