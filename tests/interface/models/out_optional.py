from typing import Optional


def run(text: Optional[str] = None) -> Optional[str]:
    return text
