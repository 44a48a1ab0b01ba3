import logging
import sys

from cog import BasePredictor

logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        logging.info("working on %s", text)
        logging.getLogger("other").warning("careful")
        logging.debug("not seen")
        return text
