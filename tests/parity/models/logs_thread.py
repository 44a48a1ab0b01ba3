import threading

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        worker = threading.Thread(target=print, args=("from a thread",))
        worker.start()
        worker.join()
        return text
