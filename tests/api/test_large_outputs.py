"""Links in a large output are put in without decoding it: the same as by decoding it."""

import msgspec

from halley.api.presentation.present import Presenter, with_links_in_text

REF = f"asset:{'0' * 26}/%d/%s"
LINKS = {REF % (number, name): f"http://h/{number}" for number, name in enumerate(["a.png", "é ü.txt", "b"])}


def test_links_are_put_in_as_by_decoding() -> None:
    presenter = Presenter.__new__(Presenter)
    refs = list(LINKS)
    values = [
        refs[0],
        refs,
        {"a": refs[1], refs[0]: refs[2], "b": [refs[0], {"c": refs[1]}]},
        [f'he said "{refs[0]}"', f'"{refs[0]}', f"{refs[0]}x", f"x{refs[0]}", "\\", refs[0], '\\"', refs[1]],
        [REF % (9, "unknown"), "asset:", 1, None, {"": ""}],
    ]
    for value in values:
        text = msgspec.json.encode(value)
        wanted = presenter.with_links(value, LINKS)
        assert msgspec.json.decode(with_links_in_text(text, LINKS)) == wanted
