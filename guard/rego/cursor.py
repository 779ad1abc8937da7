"""A position in the tokens of one file: looking, taking, and the error where something else stands."""

from __future__ import annotations

from .errors import CompileError
from .lexer import Token, fail


class Cursor:
    """Walks a list of tokens, the last of which is ``eof``."""

    def __init__(self, tokens: list[Token], source: str) -> None:
        self.tokens = tokens
        self.source = source
        self.pos = 0

    @property
    def token(self) -> Token:
        """The current token."""
        return self.tokens[self.pos]

    def peek(self) -> Token:
        """The token after the current one."""
        return self.tokens[min(self.pos + 1, len(self.tokens) - 1)]

    def at(self, *texts: str) -> bool:
        """Whether the current token is one of these operators or keywords."""
        token = self.tokens[self.pos]
        return token.text in texts and token.kind in {"op", "keyword"}

    def take(self) -> Token:
        """The current token; moves on."""
        token = self.tokens[self.pos]
        if token.kind != "eof":
            self.pos += 1
        return token

    def expect(self, text: str) -> Token:
        """The current token, which must be this operator or keyword."""
        if not self.at(text):
            raise self.unexpected(f"expected {text}")
        return self.take()

    def unexpected(self, hint: str = "") -> CompileError:
        """The error for the current token."""
        token = self.token
        if token.kind == "eof":
            what = "unexpected eof token" if not token.text else "unexpected } token"
        else:
            shown = {"op": token.text, "keyword": f"{token.text} keyword"}.get(token.kind, token.kind)
            what = f"unexpected {shown}" if token.kind == "keyword" else f"unexpected {shown} token"
        return fail(token.loc, f"{what}: {hint}" if hint else what)

    def keyword_as_name(self) -> bool:
        """Whether a keyword stands where it begins a reference: ``if.x``, ``in[0]``."""
        following = self.peek()
        return self.token.kind == "keyword" and following.text in {".", "["} and not following.space

    def text_from(self, start: int) -> str:
        """The source from an offset to the end of the last token taken."""
        return self.source[start : self.tokens[self.pos - 1].end]
