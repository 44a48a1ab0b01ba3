"""Names of Cog's own tools, for models that import them; nothing raises them here."""


class CogError(Exception):
    """The base class of the others."""


class ConfigDoesNotExist(CogError):
    """There is no cog.yaml."""


class PredictorNotSet(CogError):
    """The cog.yaml does not name a predictor."""
