import logging
import logging.config
import warnings

from cog import BasePredictor

logging.config.fileConfig("logging.ini", disable_existing_loggers=False)
logging.captureWarnings(True)
logger = logging.getLogger("segmenter")


class Predictor(BasePredictor):
    def setup(self):
        logger.info("ready")

    def predict(self, text: str) -> int:
        logger.info("cutting %r", text)
        if not text.isascii():
            warnings.warn("only ASCII was seen in training")
        return len(text.split())
