import io
import os
import wave
from typing import Any, Optional

from cog import BaseModel, BasePredictor, Input, Path

LANGUAGES = {"en": "english", "de": "german", "es": "spanish"}
HERE = os.path.dirname(os.path.abspath(__file__))


class Output(BaseModel):
    detected_language: str
    transcription: str
    segments: Any
    translation: Optional[str]
    txt_file: Optional[Path]


class Predictor(BasePredictor):
    def setup(self):
        self.models = {}
        for name in ["tiny", "base"]:
            with open(f"{HERE}/weights/{name}.pt", "rb") as fp:
                self.models[name] = io.BytesIO(fp.read()).getvalue()

    def predict(
        self,
        audio: Path = Input(description="Audio file"),
        model: str = Input(default="base", choices=["tiny", "base"], description="Choose a model."),
        transcription: str = Input(choices=["plain text", "srt", "vtt"], default="plain text"),
        language: str = Input(
            choices=sorted(LANGUAGES.keys()) + sorted([k.title() for k in LANGUAGES.values()]),
            default=None,
            description="language spoken in the audio, specify None to perform language detection",
        ),
        temperature: float = Input(default=0, description="temperature to use for sampling"),
        patience: float = Input(default=None, description="optional patience value"),
        suppress_tokens: str = Input(default="-1"),
        condition_on_previous_text: bool = Input(default=True),
    ) -> Output:
        print(f"Transcribe with {model} model")
        with wave.open(str(audio)) as sound:
            seconds = sound.getnframes() / sound.getframerate()
        text = self.models[model].decode().strip() + f" for {seconds:.1f} seconds"
        out = "/tmp/transcription.txt"
        with open(out, "w") as file:
            file.write(text)
        return Output(
            detected_language=language or "en",
            transcription=text,
            segments=[{"start": 0.0, "end": seconds, "text": text}],
            translation=None,
            txt_file=Path(out),
        )
