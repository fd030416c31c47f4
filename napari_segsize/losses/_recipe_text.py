"""The grammar of recipes: from text to the parts of its terms, before anything is looked up."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import NamedTuple

Value = bool | int | float | str | None | tuple["Value", ...]
"""What an option may be."""

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_WORD = r"[A-Za-z_][A-Za-z0-9_]*(?:-[A-Za-z_][A-Za-z0-9_]*)*"
_TOKEN = re.compile(rf"""\s*(?:(?P<number>{_NUMBER})|(?P<word>{_WORD})|"(?P<quoted>[^"]*)"|(?P<mark>\S))""")
_WORDS: dict[str, Value] = {"true": True, "false": False, "none": None}


class RawTerm(NamedTuple):
    """What stands in one term."""

    name: str
    weight: object
    options: tuple[tuple[str, Value], ...]
    kind: str
    """Of its schedule."""
    schedule: tuple[tuple[str, Value], ...]


class _Token(NamedTuple):
    kind: str
    text: str


def parsed(text: str) -> list[RawTerm]:
    """Cut a recipe into the parts of its terms; a ValueError says what was expected where."""
    reader = _Reader(text)
    if not reader.tokens:
        raise ValueError('Expected a recipe such as "dice + 0.01*boundary", got nothing.')
    terms = [reader.term()]
    while reader.ahead:
        reader.plus()
        terms.append(reader.term())
    return terms


def number_text(value: float) -> str:
    """Write as few digits as tell the number."""
    return repr(value).removesuffix(".0")


def value_text(value: Value) -> str:
    """Write the value of an option as `parsed` reads it."""
    if isinstance(value, tuple):
        return f"({', '.join(value_text(each) for each in value)})"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else number_text(value)


class _Reader:
    """Goes through the tokens of a text."""

    def __init__(self, text: str) -> None:
        self.tokens = [
            _Token(str(found.lastgroup), found[str(found.lastgroup)]) for found in _TOKEN.finditer(text)
        ]
        self.place = 0

    @property
    def ahead(self) -> _Token | None:
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def term(self) -> RawTerm:
        weight = self._weight()
        name = self._word("a loss")
        options = self._options(name) if self._next_is("(") else ()
        kind, schedule = self._schedule(name) if self._take("@") else ("constant", ())
        return RawTerm(name, weight, options, kind, schedule)

    def plus(self) -> None:
        if self._take("+"):
            return
        if self._next_is("-"):
            raise ValueError(f'A term cannot be taken away {self._after()}: join terms by "+".')
        raise ValueError(f'Expected "+" {self._after()}, got {self._seen()}.')

    def _weight(self) -> object:
        """1.0 where none is written; what is no number is judged by the term, which has a name."""
        sign = "-" if self._take("-") else ""
        token = self.ahead
        following = self.tokens[self.place + 1] if self.place + 1 < len(self.tokens) else None
        times = following == _Token("mark", "*")
        if token is None or (token.kind != "number" and not times):
            if sign:
                raise ValueError(f'A term cannot be taken away {self._after()}: join terms by "+".')
            return 1.0
        if not times:
            raise ValueError(
                f'Expected "*" and a loss after the weight {sign}{token.text}, as in "0.5*dice".'
            )
        self.place += 2
        if self.ahead is not None and self.ahead.kind == "number" and token.kind == "word":
            raise ValueError(f'Expected the weight before its loss, "{self.ahead.text}*{token.text}".')
        return float(sign + token.text) if token.kind == "number" else sign + token.text

    def _options(self, name: str) -> tuple[tuple[str, Value], ...]:
        """``(option=value, …)``; the same option twice is refused."""
        self._need("(", f"after {name}")
        found: list[tuple[str, Value]] = []
        while not self._take(")"):
            if found:
                self._need(",", f'between the options of {name}, or ")" behind them')
            option = self._word(f"an option of {name}")
            self._need("=", f"and a value after {option}")
            if option in dict(found):
                raise ValueError(f"{name}: {option} is given twice.")
            found.append((option, self._value(option)))
        return tuple(found)

    def _schedule(self, name: str) -> tuple[str, tuple[tuple[str, Value], ...]]:
        kind = self._word(f"a schedule of {name}").lower()
        if kind == "delay":
            self._need("=", "and a number of epochs after @delay")
            return "constant", (("delay", self._value("delay")),)
        if self._next_is("="):
            near = get_close_matches(kind, ("delay",), 1)
            hint = "did you mean @delay=5?" if near else "options stand in brackets, @increase(step=0.01)."
            raise ValueError(f"{name}: only @delay is followed by a number, not @{kind}; {hint}")
        return kind, self._options(f"@{kind}") if self._next_is("(") else ()

    def _value(self, option: str) -> Value:
        if self._take("("):
            values: list[Value] = []
            while not self._take(")"):
                if values:
                    self._need(",", f'between the values of {option}, or ")" behind them')
                    if self._take(")"):
                        break
                values.append(self._value(option))
            return tuple(values)
        sign = -1 if self._take("-") else 1
        token = self.ahead
        if token is None or token.kind == "mark" or (sign < 0 and token.kind != "number"):
            raise ValueError(f"{option}: expected a value, got {self._seen()}.")
        self.place += 1
        if token.kind == "number":
            return sign * (int(token.text) if token.text.isdigit() else float(token.text))
        return _WORDS.get(token.text.lower(), token.text) if token.kind == "word" else token.text

    def _word(self, what: str) -> str:
        token = self.ahead
        if token is None or token.kind not in ("word", "quoted"):
            raise ValueError(f"Expected {what} {self._after()}, got {self._seen()}.")
        self.place += 1
        return token.text

    def _need(self, mark: str, where: str) -> None:
        if not self._take(mark):
            raise ValueError(f'Expected "{mark}" {where}, got {self._seen()}.')

    def _take(self, mark: str) -> bool:
        if not self._next_is(mark):
            return False
        self.place += 1
        return True

    def _next_is(self, mark: str) -> bool:
        return self.ahead == _Token("mark", mark)

    def _seen(self) -> str:
        return f'"{self.ahead.text}"' if self.ahead is not None else "the end"

    def _after(self) -> str:
        return f'after "{self.tokens[self.place - 1].text}"' if self.place else "at the start"
