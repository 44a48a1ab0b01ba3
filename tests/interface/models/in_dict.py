from typing import Dict


def run(table: dict, counts: Dict[str, int] = None) -> dict:
    return {**table, **(counts or {})}
