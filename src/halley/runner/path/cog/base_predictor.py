"""Where older models take `BasePredictor` from."""

from .predictor import BasePredictor, BaseRunner

__all__ = ["BasePredictor", "BaseRunner"]
