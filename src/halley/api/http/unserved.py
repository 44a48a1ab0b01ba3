"""Operations of the contract that this server does not have, each with the reason that callers get.

Without a key the answer is 401, as everywhere; otherwise 405 if the path has other methods, else 404. Never 501:
several clients repeat every 5xx.
"""

from typing import Final

import msgspec


class Unserved(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that is not served."""

    method: str
    pattern: str
    why: str


_MODELS: Final = "The models of this server are folders that its configuration names; they cannot be changed over HTTP."
_README: Final = "This server does not store readme files of models."
_TRAININGS: Final = "This server does not run trainings."
_DEPLOYMENTS: Final = (
    "This server has no deployments; run the model itself with POST /v1/models/{owner}/{name}/predictions."
)

UNSERVED: Final = (
    Unserved(method="POST", pattern="/models", why=_MODELS),
    Unserved(method="PATCH", pattern="/models/{model_owner}/{model_name}", why=_MODELS),
    Unserved(method="DELETE", pattern="/models/{model_owner}/{model_name}", why=_MODELS),
    Unserved(method="GET", pattern="/models/{model_owner}/{model_name}/readme", why=_README),
    Unserved(method="DELETE", pattern="/models/{model_owner}/{model_name}/versions/{version_id}", why=_MODELS),
    Unserved(
        method="POST", pattern="/models/{model_owner}/{model_name}/versions/{version_id}/trainings", why=_TRAININGS
    ),
    Unserved(method="GET", pattern="/trainings/{training_id}", why=_TRAININGS),
    Unserved(method="POST", pattern="/trainings/{training_id}/cancel", why=_TRAININGS),
    Unserved(method="POST", pattern="/deployments", why=_DEPLOYMENTS),
    Unserved(method="GET", pattern="/deployments/{deployment_owner}/{deployment_name}", why=_DEPLOYMENTS),
    Unserved(method="PATCH", pattern="/deployments/{deployment_owner}/{deployment_name}", why=_DEPLOYMENTS),
    Unserved(method="DELETE", pattern="/deployments/{deployment_owner}/{deployment_name}", why=_DEPLOYMENTS),
    Unserved(method="POST", pattern="/deployments/{deployment_owner}/{deployment_name}/predictions", why=_DEPLOYMENTS),
)
