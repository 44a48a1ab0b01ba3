import pickle

from cog import BaseModel, Input, Path


class TrainingOutput(BaseModel):
    weights: Path


def train(slope: float = Input(default=2), offset: float = Input(default=1)) -> TrainingOutput:
    with open("model.pkl", "wb") as file:
        pickle.dump({"slope": slope, "offset": offset}, file)
    return TrainingOutput(weights=Path("model.pkl"))
