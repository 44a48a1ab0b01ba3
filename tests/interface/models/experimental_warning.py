import warnings

from cog import ExperimentalFeatureWarning

warnings.filterwarnings("ignore", category=ExperimentalFeatureWarning)


def run() -> bool:
    return issubclass(ExperimentalFeatureWarning, FutureWarning)
