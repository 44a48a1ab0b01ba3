"""The stages of a replica: say hello, load, describe, set up, serve."""

from __future__ import annotations

import atexit
import inspect
import os
import socket
import sys
import threading
from typing import Any, Optional, Tuple

import cog.scope

from . import descriptors, faults, streams
from .allowed import Bounds
from .control import Control
from .faults import one_line, user_traceback
from .finding import load, load_trainer
from .frames import Frame, Inbox, to_json
from .guard import Guard
from .health import Health
from .inputs import Inputs
from .journal import Journal
from .layer import NotKept, publish
from .leftovers import Leftovers
from .library import load_asyncio
from .metrics import report
from .outcome import ResultSender
from .output_journal import OutputJournalWriter
from .path_conflicts import PathConflicts
from .places import Place
from .prediction import Prediction, current
from .predictor import CannotLoad, Predictor
from .schema import describe
from .serve_sync import SyncServer

PROTOCOL_VERSION = 1

EXIT_OK = 0
EXIT_REFUSED = 2
EXIT_SETUP_FAILED = 3


class Replica:
    """One process, from its first frame to its exit status."""

    def __init__(
        self,
        *,
        data: socket.socket,
        control: socket.socket,
        pipe: int,
        output_memory: Optional[int],
        config: Frame,
        place: Place,
    ) -> None:
        self._data = data
        self._config = config
        self._place = place
        self._bounds = _bounds(config, place)
        self._journal = Journal(data, pipe, OutputJournalWriter(output_memory))
        self._guard = Guard()
        self._control = Control(control, data, self._guard.request)
        self._loop: Any = None
        self.has_served = False

    def start(self) -> None:
        """Say hello. From here on pings are answered and everything printed is captured."""
        journal = self._journal
        journal.send_replica_frame(
            to_json(
                {
                    "t": "hello",
                    "v": PROTOCOL_VERSION,
                    "python": "%d.%d.%d" % sys.version_info[:3],
                    "pid": os.getpid(),
                    "way": self._place.way,
                    "why": self._place.why,
                }
            )
        )
        streams.install(self._log)
        cog.scope.find_scope = self._find_scope
        atexit.register(journal.flush)
        os.register_at_fork(after_in_child=self._detach_from_parent)
        for watch in (journal.watch, self._control.watch):
            threading.Thread(target=watch, daemon=True, name="halley").start()

    def run(self, mode: str) -> int:
        """Load and describe; in the modes `serve` and `train` also set up and work. Returns the exit status of the
        process.
        """
        try:
            predictor = self._load(mode)
            trainer = self._trainer(predictor) if mode == "inspect" else None
            described = _described(predictor, trainer)
        except BaseException as error:  # SystemExit at import time refuses the model, as any exception does
            self._tell_failure("refused", error)
            return EXIT_REFUSED
        self._journal.send_replica_frame(described)
        if mode == "inspect":
            return EXIT_OK
        try:
            handler = self._set_up(predictor)
            self._keep_setup(mode)
        except BaseException as error:
            self._tell_failure("setup_failed", error)
            return EXIT_SETUP_FAILED
        # logged after setup, so that they do not hide the output of a failing setup
        notices = ["; ".join(predictor.notices)] if predictor.notices and self._config.get("notices", True) else []
        for text in [*notices, *predictor.warnings]:
            self._journal.log("warning: %s\n" % text)
        self._serve(predictor, handler)
        return EXIT_OK

    def _load(self, mode: str) -> Predictor:
        if mode != "train":
            return load(self._config)
        trainer = load_trainer(self._config)
        if trainer is None:
            raise CannotLoad("the model has nothing to train with; name it in cog.yaml, as in train: train.py:train")
        return trainer

    def _trainer(self, predictor: Predictor) -> Optional[Predictor]:
        """Load the training function, to be described beside the predictor. If it cannot be imported, its description
        is left out.
        """
        try:
            return load_trainer(self._config)
        except Exception as error:
            fault = str(error) if isinstance(error, CannotLoad) else one_line(error, self._config["folder"])
            predictor.warnings.append("train %s cannot be used: %s" % (self._config["train_ref"], fault))
            return None

    def _tell_failure(self, kind: str, error: BaseException) -> None:
        is_ours = isinstance(error, CannotLoad)
        self._journal.send_replica_frame(
            to_json(
                {
                    "t": kind,
                    "error": str(error) if is_ours else one_line(error, self._config["folder"]),
                    "traceback": "" if is_ours else user_traceback(error),
                }
            )
        )

    def _set_up(self, predictor: Predictor) -> Any:
        if predictor.is_async:
            self._loop = _new_loop()
        handler, setup, healthcheck = predictor.make()
        if setup is not None:
            self._await(setup(**_setup_arguments(setup, self._config["folder"])))
        self._bounds.setup_ended()
        self._control.health = Health(healthcheck, self._loop, self._config["folder"])
        return handler

    def _keep_setup(self, mode: str) -> None:
        if mode != "serve":
            return
        place = self._config.get("place") or {}
        try:
            publish(self._place, place)
            if place.get("publish"):  # its large files are in the layer now
                self._bounds.add_own(place["publish"])
        except NotKept as error:
            self._journal.log("warning: what setup() wrote is not kept for other processes: %s\n" % error)

    def _await(self, result: Any) -> None:
        if not hasattr(result, "__await__"):
            return
        if self._loop is None:  # async setup, sync predict
            self._loop = _new_loop()
        self._loop.run_until_complete(result)

    def _serve(self, predictor: Predictor, handler: Any) -> None:
        own = self._place.own
        results = ResultSender(
            self._journal,
            self._config["folder"],
            returns_nothing=predictor.returns_nothing,
            leftovers=Leftovers(self._place) if own else None,
            path_conflicts=PathConflicts(self._place, self._config["place"].get("path_conflicts")) if own else None,
        )
        inbox, inputs = Inbox(self._data), Inputs(predictor, self._bounds)
        self._control.serving = self.has_served = True
        if predictor.is_async:
            from .serve_async import AsyncServer

            busy = AsyncServer(
                loop=self._loop,
                handler=handler,
                inputs=inputs,
                results=results,
                journal=self._journal,
                streams=predictor.streams,
            )
            self._control.cancel, self._control.beat = busy.cancel, self._loop.call_soon_threadsafe
            self._tell_ready(predictor)
            busy.serve(inbox, self._data.fileno())
        else:
            calm = SyncServer(
                handler=handler,
                inputs=inputs,
                results=results,
                journal=self._journal,
                guard=self._guard,
                streams=predictor.streams,
            )
            self._tell_ready(predictor)
            calm.serve(inbox)

    def _tell_ready(self, predictor: Predictor) -> None:
        self._journal.send_replica_frame(to_json({"t": "ready", "slots": predictor.max_concurrency}))

    def _log(self, text: str) -> None:
        self._guard.shielded(self._journal.log, text)

    def _find_scope(self) -> Optional[cog.scope.Scope]:
        prediction = current.get()
        if prediction is None:
            prediction = self._journal.likely_owner()
        if prediction.id is None:
            return None
        return cog.scope.Scope(prediction.context, self._recorder(prediction))

    def _recorder(self, prediction: Prediction) -> cog.scope.Recorder:
        def record(name: str, value: Any, mode: Optional[str]) -> None:
            self._guard.shielded(report, self._journal, prediction, name, value, mode)

        return record

    def _detach_from_parent(self) -> None:
        """Close the sockets in a forked child: otherwise the server would not notice the replica's death."""
        self._journal.detach_from_parent()
        self._control.close()


def main(own: str, data: int, control: int, output: Tuple[int, ...], mode: str, config: Frame, place: Place) -> int:
    """Run the replica. `own` is the folder of `start.py`; the numbers are descriptors.

    `output` are both ends of a pipe for descriptors 1 and 2, and memory that outlives this process; it may be empty.

    Returns the exit status: 0, 2 (the model was refused) or 3 (its setup failed).
    """
    data, control = descriptors.move_high(data), descriptors.move_high(control)
    reading, writing, output_memory = output or (-1, -1, None)
    pipe, _kept_open = descriptors.capture_output((reading, writing) if output else None)
    replica = Replica(
        data=socket.socket(fileno=data),
        control=socket.socket(fileno=control),
        pipe=pipe,
        output_memory=output_memory,
        config=config,
        place=place,
    )
    if place.folder != config.get("source", place.folder):
        faults.show_paths_as(place.folder, config["source"])
    replica.start()
    os.environ.update(config.get("environment") or {})
    _prepare_imports(os.path.join(own, "path"), config["folder"])
    status = replica.run(mode)
    if not replica.has_served:
        # everything has been reported; threads of a model that failed to start must not delay the exit
        os._exit(status)
    return status


def _prepare_imports(cog_folder: str, folder: str) -> None:
    """Make the model, and the Python processes that it starts, find its own modules first, then our `cog`."""
    sys.path.insert(0, folder)
    inherited = os.environ.get("PYTHONPATH")
    os.environ.setdefault("PYTHONUNBUFFERED", "1")  # otherwise a killed pool worker would lose its last prints
    os.environ["PYTHONPATH"] = cog_folder + (os.pathsep + inherited if inherited else "")


def _bounds(config: Frame, place: Place) -> Bounds:
    wanted = config.get("place") or {}
    private = wanted.get("private") or () if place.way == "isolated" else ()
    packages = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    # the author's path, where we run in a copy
    source = config.get("origin") or config.get("source") or config["folder"]
    return Bounds(
        source=source,
        own=(place.folder, place.own, os.getcwd(), os.environ.get("TMPDIR"), wanted.get("layer"), *private, *packages),
        shared=wanted.get("keep") or (),
        data=config.get("data"),
        secrets=tuple(config.get("secrets") or ()),
        input_folders=tuple(config.get("input_folders") or ()),
    )


def _described(predictor: Predictor, trainer: Optional[Predictor]) -> str:
    return to_json(
        {
            "t": "described",
            "schema": describe(predictor, trainer),
            "async": predictor.is_async,
            "streams": predictor.streams,
            "max_concurrency": predictor.max_concurrency,
            "file_inputs": predictor.takes_files,
            "healthcheck": predictor.has_healthcheck,
            "trains": predictor.trains or trainer is not None,
            "warnings": predictor.warnings + (trainer.warnings if trainer else []),
        }
    )


def _setup_arguments(setup: Any, folder: str) -> Frame:
    """The argument `weights`, if setup has it: what COG_WEIGHTS names, otherwise the folder `weights`, otherwise its
    default.
    """
    parameter = inspect.signature(setup).parameters.get("weights")
    if parameter is None:
        return {}
    named = os.environ.get("COG_WEIGHTS")
    beside = os.path.join(folder, "weights")
    if named:
        is_local = os.path.exists(os.path.join(folder, named))
        return {"weights": cog.Path(named) if is_local else named}
    if os.path.exists(beside):
        return {"weights": cog.Path(beside)}
    return {"weights": None} if parameter.default is inspect.Parameter.empty else {}


def _new_loop() -> Any:
    asyncio = load_asyncio()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop
