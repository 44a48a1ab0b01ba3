"""Learn digits from the 1,797 small pictures that scikit-learn brings along."""

import numpy as np
from cog import BaseModel, Input, Path, current_scope
from features import INK
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits


class TrainingOutput(BaseModel):
    weights: Path
    accuracy: float


def train(
    test_share: float = Input(
        description="The share of pictures kept aside to measure with", default=0.2, ge=0.05, le=0.5
    ),
    strength: float = Input(description="Smaller holds the weights closer to zero", default=1.0, ge=0.0001, le=100),
    seed: int = Input(description="Which pictures are kept aside", default=0),
) -> TrainingOutput:
    """Train, measure, and give the weights as a file."""
    weights, accuracy = fit(test_share, strength, seed)
    np.savez("weights.npz", **weights)
    current_scope().record_metric("accuracy", accuracy)
    return TrainingOutput(weights=Path("weights.npz"), accuracy=accuracy)


def fit(test_share: float = 0.2, strength: float = 1.0, seed: int = 0) -> tuple[dict[str, np.ndarray], float]:
    """Coefficients and offsets of the ten digits, and the share of the pictures kept aside that they read right."""
    pictures, digits = load_digits(return_X_y=True)
    known, unseen, answers, wanted = train_test_split(pictures, digits, test_size=test_share, random_state=seed)
    with threadpool_limits(1):  # the matrices are small: threads would only wait for each other
        model = LogisticRegression(C=strength, max_iter=2_000).fit(known / INK, answers)
    accuracy = float(model.score(unseen / INK, wanted))
    print(f"trained on {len(known):,} pictures; {accuracy:.1%} of {len(unseen):,} others are read right")
    return {"coefficients": model.coef_, "offsets": model.intercept_}, accuracy
