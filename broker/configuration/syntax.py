"""The configuration language of nats-server: text in, values with their places out. Pure.

Relaxed JSON: keys without quotes, `=` `:` or a blank before a value, comments, sizes, variables, includes.
Where the language has an odd corner (a `]` right behind a digit does not end the array) the corner is kept:
the same file must mean the same to both servers.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, NoReturn

from broker.configuration.values import UNREADABLE, Data, Place, SyntaxFault, Table, Value, unreadable

MAX_DEPTH: Final = 100  # of values within values; ours, the real server goes on until its stack ends

# What Go takes for a blank; Python's own set differs by four control characters.
_SPACE: Final = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_NO_TEXT: Final = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")  # bytes that are no UTF-8 stand between these
_SPACES: Final = re.compile(f"[{_SPACE}]*")
_BLANKS: Final = re.compile(r"[ \t]*")
_KEY: Final = re.compile(f"[^{_SPACE}=:]*")
_LINE: Final = re.compile(r"[^\n\r]*")
_BARE: Final = re.compile(r"[^\n\r;,\]}\t '\\]*")
_BARE_QUOTED: Final = re.compile(r'[^"\\]*')
_FILE_NAME: Final = re.compile(r"[^\n\r;}\t ']*")
_DIGITS: Final = re.compile(r"[0-9]+")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_ADDRESS: Final = re.compile(r"[0-9.:-]*")
_SUFFIX: Final = re.compile(r"[kKmMgGtTpPeE][bBiI]*")
_BLOCK_END: Final = re.compile(r"\n\)(?:\n|\Z)")
_BEHIND_NUMBER: Final = frozenset("\n\r};,\t ")

_BOOLEANS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_ESCAPES: Final = {"t": "\t", "n": "\n", "r": "\r", '"': '"', "\\": "\\"}
_STEPS: Final = {letter: step for step, letter in enumerate("kmgtpe", 1)}
_BCRYPT: Final = "2a$"
_INT64: Final = range(-(2**63), 2**63)


Read = Callable[[str], str]


def parse(text: str, *, file: str = "", environment: Mapping[str, str], read: Read) -> Table:
    """The values of a configuration, in the order they stand.

    `read` gives the text of an included file (OSError if it cannot); names are relative
    to the including file.

    Raises:
        SyntaxFault: it cannot be read, an included file cannot, or a variable is not set.
    """
    return _Parser(text, file, _Surroundings(environment, read, (file,))).document()


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What a parser needs besides the text; `files` and `variables` are those being read, to see a circle."""

    environment: Mapping[str, str]
    read: Read
    files: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


class _Parser:
    def __init__(self, text: str, file: str, around: _Surroundings) -> None:
        self._text = text
        self._end = len(text)
        self._at = 0
        self._file = file
        self._around = around
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._tables: list[dict[str, Value]] = []
        self._depth = 0

    # ---- the document: keys and values, perhaps within braces as JSON has them

    def document(self) -> Table:
        table: dict[str, Value] = {}
        no_text = _NO_TEXT.search(self._text)
        if no_text is not None:
            self._fail(f"unexpected character {no_text[0]!r}", no_text.start())
        self._tables.append(table)
        braces = 0
        while True:
            self._skip(_SPACES)
            if self._comment():
                continue
            here = self._peek()
            if not here:
                return table
            if here == "{":
                self._at += 1
                braces += 1
            elif here == "}" and braces:
                self._at += 1
                braces -= 1
                self._behind_brace(braces)
            elif here in "/=:":
                self._fail(f"unexpected {here!r}")
            else:
                if self._entry(table, within_braces=braces > 0):
                    return table
                self._behind_entry(braces)

    def _entry(self, table: dict[str, Value], *, within_braces: bool) -> bool:
        """One key with its value; true when it is the lone `}` a JSON-like file may end with."""
        place = self._place()
        key, quoted = self._key()
        if not quoted and key.lower() == "include" and self._peek() and self._peek() not in "=:":
            self._include(table, place)
            return False
        self._skip(_SPACES)
        if not self._peek():
            if key == "}" and not quoted and not within_braces:
                return True
            self._fail(f"{key!r} has no value", place=place)
        if self._peek() in "=:":
            self._at += 1
            self._skip(_BLANKS)
            if self._peek() and self._peek() in "\n\r":
                self._fail("expected value but found new line")
        self._set(table, key, place)
        return False

    def _behind_entry(self, braces: int) -> None:
        self._skip(_BLANKS)
        here = self._peek()
        if here and here in "\n\r;,":
            self._at += 1
        elif (here == "}" and braces) or self._comment() or (not here and not braces):
            return
        elif here == "}":
            self._at += 1
        else:
            self._fail(f"expected the end of the line after a value, but got {self._shown()}")

    def _behind_brace(self, braces: int) -> None:
        if not braces:
            return
        self._skip(_SPACES)
        if self._peek() and self._peek() in ";,":
            self._at += 1
        elif self._peek() != "}" and not self._comment():
            self._fail(f"expected '}}', but got {self._shown()}")

    # ---- keys and includes

    def _key(self) -> tuple[str, bool]:
        quote = self._peek()
        if quote in {"'", '"'}:
            return self._until(quote), True
        start = self._at
        # Whatever it is, the first character belongs to the key.
        self._at += 1
        self._skip(_KEY)
        return self._text[start : self._at], False

    def _include(self, table: dict[str, Value], place: Place) -> None:
        name = self._file_name()
        # An absolute name is taken below the folder as well: so does the real server.
        folder = self._file.rpartition("/")[0]
        path = f"{folder}/{name}" if folder or self._file.startswith("/") else name.lstrip("/")
        if path in self._around.files:
            self._fail(f"{name!r} includes itself", place=place)
        try:
            text = self._around.read(path)
        except UNREADABLE as error:
            self._fail(f"error parsing include file {name!r}: {unreadable(error)}", place=place)
        around = replace(self._around, files=(*self._around.files, path))
        table.update(_Parser(text, path, around).document())

    def _file_name(self) -> str:
        self._skip(_BLANKS)
        here = self._peek()
        if here in {"'", '"'}:
            return self._until(here)
        if here and (here in "[{(-\\\n\r" or here.isdigit()):
            self._fail(f"expected the name of a file to include, but got {self._shown()}")
        start = self._at
        self._skip(_FILE_NAME)
        name = self._text[start : self._at]
        if self._peek() == "'":
            self._at += 1
        return name

    # ---- values

    def _set(self, table: dict[str, Value], key: str, place: Place) -> None:
        table[key] = replace(self._value(), place=place, referenced=False)

    def _value(self) -> Value:
        self._skip(_BLANKS)
        place = self._place()
        here = self._peek()
        data: Data
        if here and here in "[{":
            data = self._nested(here)
        elif here == "'":
            data = self._until("'")
        elif here == '"':
            data = self._double_quoted()
        elif here == "(":
            data = self._block()
        elif here == "-" or ("0" <= here <= "9"):
            data = self._number()
        elif here == ".":
            self._fail("floats must start with a digit")
        else:
            start = self._at
            data, surely = self._bare(start)
            if not surely and data.lower() in _BOOLEANS:
                data = _BOOLEANS[data.lower()]
            elif not surely and data.startswith("$"):
                data = self._variable(data[1:], place)
        return Value(data, place)

    def _nested(self, opening: str) -> Data:
        if self._depth == MAX_DEPTH:
            self._fail(f"values within values, more than {MAX_DEPTH} deep")
        self._depth += 1
        self._at += 1
        data: Data = self._array() if opening == "[" else self._table()
        self._depth -= 1
        return data

    def _array(self) -> tuple[Value, ...]:
        values: list[Value] = []
        while True:
            self._skip(_SPACES)
            if self._comment():
                continue
            here = self._peek()
            if here == "]":
                self._at += 1
                return tuple(values)
            if not here or here in ",/":
                self._fail(f"expected a value of the array, but got {self._shown()}")
            values.append(self._value())
            self._behind_value("]", "array")

    def _table(self) -> Table:
        table: dict[str, Value] = {}
        self._tables.append(table)
        while True:
            self._skip(_SPACES)
            if self._comment():
                continue
            here = self._peek()
            if here == "}":
                self._at += 1
                self._tables.pop()
                return table
            if not here or here in "=:]/":
                self._fail(f"expected a key of the map, but got {self._shown()}")
            self._member(table)
            self._behind_value("}", "map")

    def _member(self, table: dict[str, Value]) -> None:
        place = self._place()
        key, quoted = self._key()
        if not quoted and key.lower() == "include" and self._peek() and self._peek() not in "=:":
            self._include(table, place)
            return
        self._skip(_SPACES)
        if self._peek() and self._peek() in "=:":
            self._at += 1
            self._skip(_SPACES)
        here = self._peek()
        if not here or here in ",}":
            self._fail(f"{key!r} has no value", place=place)
        self._set(table, key, place)

    def _behind_value(self, closing: str, what: str) -> None:
        """A separator, or the closing bracket, which is left where it is."""
        while True:
            self._skip(_BLANKS)
            if not self._comment():
                break
        here = self._peek()
        if here and here in ("\n\r," if closing == "]" else "\n\r,;"):
            self._at += 1
        elif here != closing:
            self._fail(f"expected ',' or {closing!r} after a value of the {what}, but got {self._shown()}")

    # ---- texts

    def _until(self, quote: str) -> str:
        start = self._at + 1
        end = self._text.find(quote, start)
        if end < 0:
            self._fail(f"no closing {quote}")
        self._at = end + 1
        return self._text[start:end]

    def _double_quoted(self) -> str:
        opened = self._at
        self._at += 1
        pieces = []
        while True:
            start = self._at
            self._skip(_BARE_QUOTED)
            pieces.append(self._text[start : self._at])
            here = self._peek()
            if not here:
                self._fail('no closing "', opened)
            self._at += 1
            if here == '"':
                return _joined(pieces)
            pieces.append(self._escape())

    def _bare(self, start: int) -> tuple[str, bool]:
        """A text without an opening quote, and whether an escape or a quote makes it surely a text."""
        pieces: list[str] = []
        while True:
            self._skip(_BARE)
            pieces.append(self._text[start : self._at])
            here = self._peek()
            if here == "\\":
                self._at += 1
                pieces.append(self._escape())
                start = self._at
                continue
            quoted = here == "'"
            self._at += quoted
            return _joined(pieces), quoted or len(pieces) > 1

    def _escape(self) -> str:
        letter = self._peek()
        self._at += 1
        if letter == "x":
            digits = self._text[self._at : self._at + 2]
            if not re.fullmatch("[0-9a-fA-F]{2}", digits):
                self._fail(f"expected two hexadecimal digits after '\\x', but got {digits!r}")
            self._at += 2
            return bytes.fromhex(digits).decode("utf-8", "surrogateescape")
        if letter not in _ESCAPES:
            self._fail(
                f'invalid escape character {letter!r}; there are \\xXX, \\t, \\n, \\r, \\" and \\\\',
                self._at - 2,
            )
        return _ESCAPES[letter]

    def _block(self) -> str:
        """From `(` to a `)` that has a line for itself; the line ends within belong to the text."""
        end = _BLOCK_END.search(self._text, self._at + 1)
        if end is None:
            self._fail("no closing ) on a line by itself")
        start, self._at = self._at + 1, end.start() + 2
        # At the very end of a file the bracket counts as text: so does the real server.
        return self._text[start : self._at if self._at == self._end else self._at - 1]

    # ---- numbers, and what begins like one

    def _number(self) -> Data:
        start = self._at
        negative = self._peek() == "-"
        self._at += negative
        digits = _DIGITS.match(self._text, self._at)
        if digits is None:
            self._fail(f"expected a digit, but got {self._shown()}")
        self._at = digits.end()
        here = self._peek()
        if here == ".":
            return self._fraction(start)
        suffix = _SUFFIX.match(self._text, self._at)
        if suffix is not None:
            self._at = suffix.end()
            here = self._peek()
            if not here or here in _BEHIND_NUMBER:
                return self._integer(start, suffix[0])
            return self._bare(start)[0]
        if negative or not here or here in _BEHIND_NUMBER:
            return self._integer(start)
        if here == "-":
            return self._date(start)
        # The character behind the digits belongs to the text, even one that would end it.
        self._at += 1
        return self._bare(start)[0]

    def _integer(self, start: int, suffix: str = "") -> int:
        text = self._text[start : self._at]
        value = int(text.removesuffix(suffix))
        if suffix:
            rest = suffix[1:].lower()
            if rest not in {"", "b", "i", "ib"}:
                self._fail(f"{text!r} has no known size", start, hint="k kb ki kib, and so on for m g t p e")
            value *= (1024 if rest else 1000) ** _STEPS[suffix[0].lower()]
        if value not in _INT64:
            self._fail(f"integer {text!r} is out of the range", start)
        return value

    def _fraction(self, start: int) -> float | str:
        digits = _DIGITS.match(self._text, self._at + 1)
        if digits is None:
            self._at += 1
            self._fail(f"floats must have a digit after the '.', but got {self._shown()}")
        self._at = digits.end()
        if self._peek() == ".":
            self._skip(_ADDRESS)
            return self._text[start : self._at]
        value = float(self._text[start : self._at])
        if value in {float("inf"), float("-inf")}:
            self._fail(f"float {self._text[start : self._at]!r} is out of the range", start)
        return value

    def _date(self, start: int) -> datetime:
        found = _DATE.match(self._text, start)
        if found is None:
            self._fail("dates must be in full Zulu form", start, hint="as 2026-12-31T23:59:59Z")
        self._at = found.end()
        try:
            return datetime.strptime(found[0], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            self._fail(f"{found[0]!r} is no date", start)

    # ---- variables

    def _variable(self, name: str, place: Place) -> Data:
        if name.startswith(_BCRYPT):
            return f"${name}"
        for table in reversed(self._tables):
            if name in table:
                table[name] = replace(table[name], referenced=True)
                return table[name].data
        if name in self._around.variables:
            self._fail(f"variable reference cycle for {name!r}", place=place)
        text = self._around.environment.get(name)
        if text is None:
            self._fail(f"variable reference for {name!r} can not be found", place=place)
        around = replace(self._around, variables=(*self._around.variables, name))
        # The environment holds text; it means what it would mean behind a key.
        found = _Parser(f"pk={text}", f"${name}", around).document()
        if "pk" not in found:
            self._fail(f"variable reference for {name!r} can not be found", place=place)
        return found["pk"].data

    # ---- moving about

    def _peek(self) -> str:
        return self._text[self._at] if self._at < self._end else ""

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()

    def _comment(self) -> bool:
        """Skip a comment, up to the end of its line, if here is one."""
        if self._peek() == "#" or self._text.startswith("//", self._at):
            self._skip(_LINE)
            return True
        return False

    def _place(self, at: int | None = None) -> Place:
        at = self._at if at is None else min(at, self._end)
        line = bisect_right(self._lines, at)
        return Place(self._file, line, at - self._lines[line - 1] + 1)

    def _shown(self) -> str:
        here = self._peek()
        return repr(here) if here else "the end of the file"

    def _fail(
        self, words: str, at: int | None = None, *, place: Place | None = None, hint: str | None = None
    ) -> NoReturn:
        raise SyntaxFault(words, at=str(place or self._place(at)), hint=hint)


def _joined(pieces: list[str]) -> str:
    """Bytes escaped one by one may be one character together."""
    return "".join(pieces).encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
