"""How many tokens a provider says it used: ``usage`` of OpenAI's chat completions and responses APIs and of Anthropic's
messages, in whole answers and in events. Read by type: whatever else an answer holds is passed over."""

from __future__ import annotations

from typing import Final

import msgspec

_LARGEST: Final = 10**12
_MARK_BYTES: Final = b'"usage"'
_MARK: Final = '"usage"'


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one call. ``output`` is ``None`` where only the prompt was counted yet (Anthropic's
    ``message_start``), ``input`` where only the answer was (its ``message_delta``)."""

    input: int | None
    output: int | None


class _Counts(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Holder(msgspec.Struct, gc=False):
    usage: _Counts | None = None


class _Answer(_Holder, gc=False):
    # Others put a text here.
    response: msgspec.Raw = msgspec.Raw()
    message: msgspec.Raw = msgspec.Raw()


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_HOLDER: Final = msgspec.json.Decoder(_Holder)


def usage_of(data: str | bytes) -> Usage | None:
    """What the JSON of an answer, or of one event of it, says was used; ``None`` if it says nothing, or nonsense.

    In Anthropic's counts cached tokens stand beside ``input_tokens``; in OpenAI's they are part of ``prompt_tokens``.
    """
    if (_MARK_BYTES if isinstance(data, bytes) else _MARK) not in data:  # type: ignore[operator]
        return None
    try:
        answer = _ANSWER.decode(data)
        counts, begun = answer.usage, False
        if counts is None:
            message, response = bytes(answer.message), bytes(answer.response)
            begun = message.startswith(b"{")
            held = message if begun else response
            counts = _HOLDER.decode(held).usage if held else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if counts is None:
        return None
    asked = _total(
        counts.prompt_tokens, counts.input_tokens, counts.cache_creation_input_tokens, counts.cache_read_input_tokens
    )
    said = None if begun else _total(counts.completion_tokens, counts.output_tokens)
    if not begun and (total := _total(counts.total_tokens)) is not None:
        # A total knows of what its parts do not name.
        said = max(said or 0, total - (asked or 0))
    return None if asked is None and said is None else Usage(asked, said)


def _total(*counts: int | None) -> int | None:
    given = [min(max(count, 0), _LARGEST) for count in counts if count is not None]
    return sum(given) if given else None
