"""What makes weights: described beside the predictor, run in a process of its own."""

import pytest

TEXT = """
import cog

class Weights(cog.BaseModel):
    weights: cog.Path
    steps: int = 0

class Runner:
    def setup(self): raise ValueError("not for training")
    def run(self, prompt: str) -> str: return prompt

def train(data: cog.Path, steps: int = cog.Input(default=2, ge=1)) -> Weights:
    for step in range(steps):
        print("step", step)
    cog.current_scope().record_metric("steps", steps)
    with open("weights.bin", "w") as file:
        file.write(data.read_text() * steps)
    return Weights(weights=cog.Path("weights.bin"), steps=steps)

async def slowly(steps: int) -> int:
    return steps

class Trainer:
    def train(self) -> dict: return {"weights": None}
"""


@pytest.fixture
def folder(write_model):
    return write_model(TEXT)


def test_it_is_described_beside_the_predictor(describe, folder):
    described = describe("predict.py", folder=folder, train_ref="predict.py:train")
    schema = described["schema"]
    components = schema["components"]["schemas"]
    assert described["trains"] is True
    assert components["Input"]["properties"]["prompt"]["type"] == "string"
    assert components["TrainingInput"]["required"] == ["data"]
    assert components["TrainingInput"]["properties"]["steps"]["minimum"] == 1
    assert components["TrainingOutput"]["title"] == "TrainingOutput"
    assert components["TrainingOutput"]["properties"]["weights"]["format"] == "uri"
    assert schema["paths"]["/trainings"]["post"]["operationId"] == "train_trainings_post"
    assert "/trainings/{training_id}/cancel" in schema["paths"]
    assert components["TrainingRequest"]["properties"]["input"] == {"$ref": "#/components/schemas/TrainingInput"}


def test_one_that_cannot_be_imported_costs_only_its_description(describe, folder):
    (folder / "train.py").write_text("import nowhere_to_be_found\n")
    for ref, says in (("train.py", "No module named 'nowhere"), ("predict.py:absent", "defines no absent")):
        described = describe("predict.py", folder=folder, train_ref=ref)
        assert described["trains"] is False
        assert "TrainingInput" not in described["schema"]["components"]["schemas"]
        assert says in described["warnings"][0]


def test_it_runs_without_the_predictors_setup(start, folder, tmp_path):
    data = tmp_path / "data.txt"
    data.write_text("ab")
    child = start("predict.py", mode="train", folder=folder, train_ref="predict.py:train")
    prediction = child.send({"data": str(data)}, paths=[["data"]], t="train")
    story = child.story(prediction)
    assert story.value["steps"] == 2
    assert story.done["paths"] == [["weights"]]
    with open(story.value["weights"]) as weights:
        assert weights.read() == "abab"
    assert story.logs == "step 0\nstep 1\n"
    assert story.of("metric")[0]["value"] == 2


def test_async_functions_and_classes_train_as_well(start, folder):
    child = start("predict.py", mode="train", folder=folder, train_ref="predict.py:slowly")
    assert child.story(child.send({"steps": 3}, t="train")).value == 3
    child = start("predict.py", mode="train", folder=folder, train_ref="predict.py:Trainer")
    assert child.story(child.send({}, t="train")).value == {"weights": None}


def test_a_model_without_one_says_so(start, folder):
    refused = start("predict.py", mode="train", folder=folder, ready=False).read_until("refused")
    assert "nothing to train with" in refused["error"]
