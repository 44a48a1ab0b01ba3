"""For older models, which import `BasePredictor` from here."""

from .predictor import BasePredictor, BaseRunner

__all__ = ["BasePredictor", "BaseRunner"]
