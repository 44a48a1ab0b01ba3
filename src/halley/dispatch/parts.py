"""Shared by all runs of a worker: built once."""

import msgspec

from halley.clock import Clock
from halley.dispatch.open_submits import OpenSubmits
from halley.dispatch.ports import InputStager, OutputKeeper, Workspace
from halley.dispatch.rules import DispatchRules
from halley.models.catalog import Catalog
from halley.predictions.hints import Bus
from halley.predictions.inputs import InputCheck
from halley.predictions.queue import WorkQueue


class RunFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a run: staging of its input, its run folder, storing of its output."""

    stager: InputStager
    workspace: Workspace
    keeper: OutputKeeper


class RunParts(msgspec.Struct, frozen=True, kw_only=True):
    """The dependencies of a run, apart from its provider."""

    queue: WorkQueue
    bus: Bus
    clock: Clock
    catalog: Catalog
    files: RunFiles
    rules: DispatchRules
    inputs: InputCheck = msgspec.field(default_factory=InputCheck)
    open_submits: OpenSubmits = msgspec.field(default_factory=OpenSubmits)
