"""Shared by all runs of a worker: built once."""

from dataclasses import dataclass, field

from halley.clock import Clock
from halley.dispatch.open_submits import OpenSubmits
from halley.dispatch.ports import InputStager, OutputKeeper, Workspace
from halley.dispatch.rules import DispatchRules
from halley.models.catalog import Catalog
from halley.predictions.hints import Bus
from halley.predictions.inputs import InputCheck
from halley.predictions.queue import WorkQueue


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFiles:
    """The files of a run: staging of its input, its run folder, storing of its output."""

    stager: InputStager
    workspace: Workspace
    keeper: OutputKeeper


@dataclass(frozen=True, kw_only=True, slots=True)
class RunParts:
    """The dependencies of a run, apart from its provider."""

    queue: WorkQueue
    bus: Bus
    clock: Clock
    catalog: Catalog
    files: RunFiles
    rules: DispatchRules
    inputs: InputCheck = field(default_factory=InputCheck)
    open_submits: OpenSubmits = field(default_factory=OpenSubmits)
