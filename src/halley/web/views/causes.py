"""What to do about a prediction that did not succeed, by its termination reason.

Halley does not serve its manual, so pages say what to do, and name the page of the manual.
"""

from typing import Final

import msgspec

MANUAL: Final = "docs/how-to/troubleshoot.md, “A prediction that failed”"


class Cause(msgspec.Struct, frozen=True):
    """What happened in general, and what to do."""

    title: str
    advice: str


CAUSES: Final = {
    "deadline_before_start": Cause(
        "Its deadline passed before it ran.", "Give it more time with Cancel-After, or look at what runs before it."
    ),
    "deadline": Cause("Its deadline passed while it ran.", "Give it more time with Cancel-After."),
    "queue_time": Cause(
        "It waited longer than runs.max_queue_seconds allows.", "The page of its model shows what takes its slots."
    ),
    "run_timeout": Cause(
        "It ran longer than its model allows.", "Raise run_timeout_seconds of the model, or give it a smaller input."
    ),
    "model_error": Cause("The model's code raised an error.", "The traceback is in the logs."),
    "abandoned": Cause(
        "No client waited for it any more.", "Its request or its key asks for this (cancel-abandoned). Run it again."
    ),
    "canceled_by_model": Cause("The model stopped by itself.", "The logs may say why."),
    "replica_died": Cause(
        "The model's process ended while it ran.", "The error names the signal; the next run gets a new process."
    ),
    "out_of_memory": Cause(
        "The model needed more memory than its limit.", "A smaller input, or a larger memory_limit_bytes of the model."
    ),
    "setup_failed": Cause(
        "The model could not be loaded.", "`halley check FOLDER` tries it; `halley models logs MODEL` has its output."
    ),
    "setup_timeout": Cause(
        "Loading the model took too long.", "Raise runs.setup_timeout_seconds, or let setup() do less."
    ),
    "environment_failed": Cause(
        "The model's environment could not be built.", "The error has the last lines; `halley check FOLDER --build`."
    ),
    "input_invalid": Cause("The input breaks the model's schema.", "Edit the input and run it again."),
    "input_unusable": Cause(
        "An input file could not be fetched.", "The link is dead, its file is too large, or its address is not allowed."
    ),
    "submit_refused": Cause("The provider refused it.", "The error has the provider's reason."),
    "upstream_output_gone": Cause("The service had removed the output before it was copied.", "Run it again."),
    "upstream_output_unreadable": Cause("The service's answer is too large to be read.", "Ask for less output."),
    "upstream_outcome_unknown": Cause(
        "The service may have run it, and cannot tell.",
        "Look at the service first: if you run it again, you may pay twice. `halley upstreams unknown` lists it.",
    ),
    "output_unusable": Cause(
        "The output could not be stored.", "The model named a file that is not there, or gave out too many items."
    ),
    "worker_lost": Cause("The server ended while it ran.", "Run it again."),
    "server_stopped": Cause("The server was stopped while it ran.", "Run it again."),
    "version_unavailable": Cause(
        "The model was changed or removed while it waited.", "Run it again, with the present version."
    ),
    "internal": Cause("A fault inside Halley.", "The server's log has the details."),
}
