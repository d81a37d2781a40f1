"""Translate our Pine script for PyneCore, line by line, so that changed lines change results.

Pine's own compiler runs on TradingView only. This module reads the part of Pine v6 that
``pine/perp_imbalance.pine`` uses and refuses everything else; it computes nothing itself.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)
    |(?P<color>\#[0-9a-fA-F]{6})
    |(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    |(?P<operator>==|!=|>=|<=|[-+*/%<>?:()\[\],=]))""",
    re.VERBOSE,
)
_TYPE = r"(?:int|float|bool|string|color|table|array<float>)"
_DECLARATION = re.compile(
    rf"(?P<kind>const |var )?(?:(?P<type>{_TYPE}) )?(?P<name>[a-z_A-Z]\w*) = "
)
_FUNCTION = re.compile(r"(?P<name>\w+)\((?P<arguments>[\w, ]*)\) =>$")
_BINARY = (("or",), ("and",), ("==", "!="), ("<", ">", "<=", ">="), ("+", "-"), ("*", "/", "%"))
_PYTHON_NAMES = {"true": "True", "false": "False"}
_NAMESPACES = {"str": "string"}
# PyneCore's ticker includes the exchange as a prefix, TradingView's does not.
_VARIABLES = {"syminfo.ticker": "syminfo.root"}
_PYNE_TYPES = ("Color", "Persistent", "PersistentSeries", "Series", "Table")
_TYPES = {"string": "str", "color": "Color", "table": "Table", "array<float>": "list"}


class UnknownPineError(Exception):
    """The script uses a part of Pine that this module does not read."""


@dataclass
class _Expression:
    """A parser of one expression; it writes parentheses around every operation."""

    text: str
    tokens: list[tuple[str, str]] = field(default_factory=list)
    at: int = 0

    def __post_init__(self) -> None:
        position = 0
        while position < len(self.text.rstrip()):
            found = _TOKEN.match(self.text, position)
            if not found:
                raise UnknownPineError(self.text[position:])
            self.tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            position = found.end()

    def python(self) -> str:
        """Return the whole expression."""
        result = self.ternary()
        if self.at < len(self.tokens):
            raise UnknownPineError(self.text)
        return result

    def next_is(self, *values: str) -> bool:
        return self.at < len(self.tokens) and (
            self.tokens[self.at][1] in values and self.tokens[self.at][0] != "string"
        )

    def take(self, *wanted: str) -> str:
        if self.at >= len(self.tokens) or (wanted and not self.next_is(*wanted)):
            raise UnknownPineError(self.text)
        self.at += 1
        return self.tokens[self.at - 1][1]

    def ternary(self) -> str:
        condition = self.binary(0)
        if not self.next_is("?"):
            return condition
        self.take("?")
        yes = self.ternary()
        self.take(":")
        return f"({yes} if {condition} else {self.ternary()})"

    def binary(self, level: int) -> str:
        if level == len(_BINARY):
            return self.unary()
        left = self.binary(level + 1)
        while self.next_is(*_BINARY[level]):
            left = f"({left} {self.take()} {self.binary(level + 1)})"
        return left

    def unary(self) -> str:
        if self.next_is("-", "not"):
            operator = self.take()
            return f"({operator} {self.unary()})"
        return self.postfix()

    def postfix(self) -> str:
        kind = self.tokens[self.at][0] if self.at < len(self.tokens) else ""
        value = self.take()
        if kind == "operator":
            if value == "[":
                return f"[{self.arguments(']')}]"
            if value != "(":
                raise UnknownPineError(self.text)
            value = f"({self.ternary()})"
            self.take(")")
        elif kind == "color":
            value = f'Color("{value}")'
        elif kind == "name":
            root, dot, rest = value.partition(".")
            root = _NAMESPACES.get(root, root) if dot else _PYTHON_NAMES.get(root, root)
            value = _VARIABLES.get(value, root + dot + rest)
        while self.next_is("(", "["):
            opening = self.take()
            closing = ")" if opening == "(" else "]"
            arguments = self.arguments(closing)
            value = f"{value}{opening}{arguments}{closing}"
        return value

    def arguments(self, closing: str) -> str:
        found = []
        while not self.next_is(closing):
            name = ""
            if self.at + 1 < len(self.tokens) and self.tokens[self.at + 1] == ("operator", "="):
                name = f"{self.take()}="
                self.take("=")
            found.append(name + self.ternary())
            if not self.next_is(closing):
                self.take(",")
        self.take(closing)
        return ", ".join(found)


def expression(text: str) -> str:
    """Return a Pine expression in Python.

    >>> expression('a ? -b[1] : not c == 2')
    '((- b[1]) if a else ((not c) == 2))'
    """
    return _Expression(text).python()


def _logical_lines(pine: str) -> Iterator[tuple[int, str]]:
    """Yield depth and text of every statement, without comments."""
    for line in pine.splitlines():
        code = re.sub(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|//.*""", r"\1", line).rstrip()
        if code:
            indent = len(code) - len(code.lstrip())
            if indent % 4:
                raise UnknownPineError(line)
            yield indent // 4, code.strip()


@dataclass
class PyneScript:
    """The parts of a Pyne script, each a list of Python lines."""

    decorator: str = ""
    constants: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)

    def text(self, more: str = "") -> str:
        """Return the script.

        :param more: lines to append, such as additional plots.
        """
        code = "\n".join(
            (
                *self.constants,
                f"@script.{self.decorator}",
                "def main(",
                *(f"    {line}," for line in self.inputs),
                "):",
                *(f"    {line}" for line in self.body),
                *(f"    {line}" for line in more.splitlines()),
                "",
            )
        )
        library = ", ".join(sorted(_unknown_names(code)))
        return f'''"""\n@pyne\n"""
from pynecore.types import {", ".join(_PYNE_TYPES)}
from pynecore.lib import {library}
{code}'''


def _unknown_names(code: str) -> set[str]:
    """Return the names that a script uses but does not define: Pine's own."""
    nodes = list(ast.walk(ast.parse(code)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    stored = {
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    arguments = {node.arg for node in nodes if isinstance(node, ast.arg)}
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    return (
        names
        - stored
        - arguments
        - functions
        - {*_PYNE_TYPES, "int", "float", "bool", "str", "list"}
    )


def translate(pine: str) -> PyneScript:
    """Return a Pine script as a Pyne script.

    :raises UnknownPineError: if it uses a part of Pine that this module does not read.
    """
    if not pine.startswith("//@version=6\n"):
        raise UnknownPineError("not version 6")
    script = PyneScript()
    lines = list(_logical_lines(pine))
    indexed = set(re.findall(r"(\w+)\[", pine))
    assigned = set(re.findall(r"(\w+) :=", pine))
    in_function = False
    for number, (depth, code) in enumerate(lines):
        is_function = _FUNCTION.match(code)
        if depth == 0:
            in_function = bool(is_function)
        is_last = number + 1 == len(lines) or lines[number + 1][0] == 0
        if code.startswith("indicator("):
            script.decorator = expression(code)
        elif is_function:
            script.body.append(f"def {is_function['name']}({is_function['arguments']}):")
        else:
            _statement(script, depth, code, indexed, assigned, returns=in_function and is_last)
    return script


def _statement(
    script: PyneScript,
    depth: int,
    code: str,
    indexed: set[str],
    assigned: set[str],
    *,
    returns: bool,
) -> None:
    indent = "    " * depth
    declared = _DECLARATION.match(code)
    if declared:
        value = code[declared.end() :]
        name, kind = declared["name"], declared["kind"]
        python = expression(value)
        if value.startswith("input."):
            script.inputs.append(f"{name}={python}")
        elif kind == "const " or (
            re.fullmatch(r'"[^"]*"', value) and depth == 0 and name not in assigned
        ):
            script.constants.append(f"{name} = {python}")
        elif kind == "var ":
            persistent = "PersistentSeries" if name in indexed else "Persistent"
            type_ = _TYPES.get(declared["type"], declared["type"])
            script.body.append(f"{indent}{name}: {persistent}[{type_}] = {python}")
        else:
            annotation = f": Series[{declared['type']}]" if name in indexed else ""
            script.body.append(f"{indent}{name}{annotation} = {python}")
        return
    block = re.match(r"(if|else if|else)\b ?(.*)", code)
    if block:
        keyword = {"else if": "elif"}.get(block[1], block[1])
        condition = f" {expression(block[2])}" if block[2] else ""
        script.body.append(f"{indent}{keyword}{condition}:")
        return
    target, assigns, value = code.partition(" := ")
    python = f"{target} = {expression(value)}" if assigns else expression(code)
    script.body.append(indent + ("return " if returns else "") + python)
