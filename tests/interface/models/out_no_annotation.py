def run(text: str):
    return {"text": text}
