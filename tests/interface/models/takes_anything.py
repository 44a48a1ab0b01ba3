def run(text: str = "a", **more) -> dict:
    return {"text": text, **more}
