from cog import BaseModel, Path


class TrainingOutput(BaseModel):
    weights: Path


def run(steps: int = 3) -> TrainingOutput:
    with open("weights.bin", "wb") as weights:
        weights.write(bytes(steps))
    return TrainingOutput(weights=Path("weights.bin"))
