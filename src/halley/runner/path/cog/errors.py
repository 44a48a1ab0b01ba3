"""Names of Cog's own tools, for models that import them; nothing raises them here."""


class CogError(Exception):
    """What the others are."""


class ConfigDoesNotExist(CogError):
    """There is no cog.yaml."""


class PredictorNotSet(CogError):
    """The cog.yaml names no predictor."""
