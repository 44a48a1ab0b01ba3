import os
import pickle

from cog import Input

MODEL = None


def predict(x: float = Input(description="where", ge=-10, le=10)) -> float:
    global MODEL
    if MODEL is None:
        with open(os.path.join(os.path.dirname(__file__), "model.pkl"), "rb") as file:
            MODEL = pickle.load(file, encoding="utf-8") if os.path.getsize(file.name) else {"slope": 2, "offset": 1}
    return MODEL["slope"] * x + MODEL["offset"]
