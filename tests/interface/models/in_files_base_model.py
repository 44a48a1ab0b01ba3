from cog import BaseModel, Path


class Layer(BaseModel):
    image: Path
    opacity: float = 1.0


class Scene(BaseModel):
    layers: list[Layer]
    masks: dict[str, Path] = {}
    note: str = ""


def run(scene: Scene) -> str:
    layers = [f"{type(layer.image).__name__} {layer.image.suffix} {layer.image.read_text()}" for layer in scene.layers]
    masks = [f"{name} {path.read_text()}" for name, path in scene.masks.items()]
    return "; ".join([*layers, *masks, scene.note])
