"""Formulas of columns, as a user writes them and a bundle keeps them: arithmetic, a few functions, nothing else.

Python's parser reads the text, and only nodes that are listed here are understood: no attribute, no index, no name
but those of columns. Nothing is executed. A column whose name is no identifier stands in quotes:
``'Ambient Temperature' + 273.15``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce

import torch
from torch import Tensor

from understudy.errors import ConfigError, did_you_mean

LONGEST = 1000  # letters; Python's parser is not made for hostile text of any length

_OPERATORS: dict[type[ast.AST], Callable[..., Tensor]] = {
    ast.Add: torch.add,
    ast.Sub: torch.sub,
    ast.Mult: torch.mul,
    ast.Div: torch.div,
    ast.Pow: torch.pow,
    ast.USub: torch.neg,
    ast.UAdd: torch.positive,
}
_OF_ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "cos": torch.cos,
    "exp": torch.exp,
    "log": torch.log,
    "sin": torch.sin,
    "sqrt": torch.sqrt,
    "tanh": torch.tanh,
}
_OF_MANY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"max": torch.maximum, "min": torch.minimum}
FUNCTIONS = sorted([*_OF_ONE, *_OF_MANY])


@dataclass(frozen=True)
class Formula:
    """What :func:`parse` understood; ``names`` are the columns it needs, in order of appearance."""

    text: str
    names: tuple[str, ...]
    tree: ast.expr = field(repr=False, compare=False)

    def __call__(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Columns of one shape, in physical units, to a column of that shape and type."""
        like = columns[self.names[0]]
        return _value(self.tree, columns, like).expand(like.shape)


def parse(text: str) -> Formula:
    """
    Raises:
        ConfigError: this is no formula, or none of any column.
    """
    if len(text) > LONGEST:
        raise ConfigError(f"a formula of {len(text)} letters; {LONGEST} are the most")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigError(f"{text!r} is not a formula") from None
    names: dict[str, None] = {}
    _check(tree, text, names)
    if not names:
        raise ConfigError(f"{text!r} names no column")
    return Formula(text, tuple(names), tree)


def _check(node: ast.expr, text: str, names: dict[str, None]) -> None:
    """Refuse what is no arithmetic, and collect the names of columns."""
    match node:
        case ast.Name(id=name) | ast.Constant(value=str(name)):
            names[name] = None
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            _number(number, text)
        case ast.UnaryOp(op=op, operand=inner) if type(op) in _OPERATORS:
            _check(inner, text, names)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            _check(left, text, names)
            _check(right, text, names)
        case ast.Call(func=ast.Name(id=function), args=inputs, keywords=[]):
            _check_call(function, len(inputs), text)
            for part in inputs:
                _check(part, text, names)
        case _:
            raise ConfigError(
                f"{ast.unparse(node)!r} in the formula {text!r} is not understood: there are numbers, columns, "
                f"+ - * / ** and {', '.join(FUNCTIONS)}"
            )


def _check_call(function: str, n_inputs: int, text: str) -> None:
    if function not in FUNCTIONS:
        raise ConfigError(
            f"no function is called {function!r}{did_you_mean(function, FUNCTIONS)} in the formula {text!r}; there "
            f"are {', '.join(FUNCTIONS)}"
        )
    if n_inputs != 1 if function in _OF_ONE else n_inputs < 2:
        needed = "one value" if function in _OF_ONE else "two values or more"
        raise ConfigError(f"{function} takes {needed}, not {n_inputs}, in the formula {text!r}")


def _number(number: float, text: str) -> float:
    try:
        return float(number)
    except OverflowError:
        raise ConfigError(f"a number in the formula {text[:40]!r} is too large") from None


def _value(node: ast.expr, columns: Mapping[str, Tensor], like: Tensor) -> Tensor:
    match node:
        case ast.Name(id=name) | ast.Constant(value=str(name)):
            return columns[name]
        case ast.Constant(value=int() | float() as number):
            return torch.full((), float(number), dtype=like.dtype, device=like.device)
        case ast.UnaryOp(op=op, operand=inner):
            return _OPERATORS[type(op)](_value(inner, columns, like))
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, columns, like), _value(right, columns, like))
        case ast.Call(func=ast.Name(id=function), args=inputs):
            values = [_value(part, columns, like) for part in inputs]
            return _OF_ONE[function](values[0]) if function in _OF_ONE else reduce(_OF_MANY[function], values)
    raise AssertionError("parse lets nothing else through")
