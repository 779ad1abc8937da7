"""What holds a stream back costs in proportion to its length, however small its pieces are."""

from __future__ import annotations

import pytest

from guard.stream import Tail, settled


@pytest.mark.parametrize("unit", ["%31 ", "1 ", "&#52;%41\\n ", "\\N{LATIN ", "a。", "a\U000e0041 "], ids=ascii)
def test_a_text_that_is_held_back_is_not_read_anew_with_every_piece(monkeypatch: pytest.MonkeyPatch, unit: str) -> None:
    """Groups that go on for ever, names that never end, characters that show nothing: what is looked at for a cut is
    within a bounded multiple of what came."""
    looked = 0

    def counting(text: str, start: int) -> int:
        nonlocal looked
        looked += len(text) - start
        return settled(text, start)

    monkeypatch.setattr("guard.stream.tail.settled", counting)
    held = Tail()
    for _ in range(4000):
        held.feed(unit)
        window = held.window()
        if window is not None:
            held.pass_on(window, window.ready)
    assert looked < 200 * 4000 * len(unit)


def test_values_that_left_are_not_found_again() -> None:
    """The digits of a value that was hidden are no digits in the context any more; its words and places stay."""
    held = Tail()
    held.feed("call 030 901820 or write to jane2@corp.com and so on, my dear")
    window = held.window()
    assert window is not None
    held.pass_on(window, window.ready, [(5, 15, "<PHONE_NUMBER>"), (28, 42, "<EMAIL_ADDRESS>")])
    held.feed(" friend ")
    window = held.window()
    assert window is not None
    assert window.text == "call zzz zzzzzz or write to janez@corp.com and so on, my dear friend "
