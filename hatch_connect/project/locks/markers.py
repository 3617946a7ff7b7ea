"""Markers that are kept: reduced by what is decided already, and put together."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

Chosen: TypeAlias = "Mapping[str, Collection[str]]"
"""What is chosen, by the variable of a marker that asks for it: `extras`, `dependency_groups`."""

Marker: TypeAlias = "str | None"
"""A marker; None holds always."""

# Markers are expressions of Python's syntax, but for these operators.
_FOREIGN = ((r"~=", "is"), (r"===", "is not"))
_BACK = ((" is not ", " === "), (" is ", " ~= "))


def reduced(text: str, chosen: Chosen) -> str | bool:
    """Decide the parts of a marker that ask for what is chosen; True or False if no other is left.

    Raises SyntaxError for what is no marker.
    """
    for operator, word in _FOREIGN:
        text = re.sub(rf"(?<!=){re.escape(operator)}(?!=)", f" {word} ", text)
    tree = _Reduction(chosen).visit(ast.parse(text.strip(), mode="eval").body)
    if isinstance(tree, ast.Constant):
        return bool(tree.value)
    result = ast.unparse(tree)
    for word, operator in _BACK:
        result = result.replace(word, operator)
    return result


class _Reduction(ast.NodeTransformer):
    def __init__(self, chosen: Chosen) -> None:
        self._chosen = chosen

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        variables = [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
        values = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
        if len(variables) != 1 or variables[0] not in self._chosen:
            return node
        holds = values[0] in self._chosen[variables[0]]
        negated = isinstance(node.ops[0], ast.NotEq | ast.NotIn)
        return ast.Constant(value=holds is not negated)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        decides = isinstance(node.op, ast.Or)
        parts: list[ast.expr] = [self.visit(part) for part in node.values]
        known = [part.value for part in parts if isinstance(part, ast.Constant)]
        if decides in known:
            return ast.Constant(value=decides)
        left = [part for part in parts if not isinstance(part, ast.Constant)]
        if len(left) > 1:
            return ast.BoolOp(op=node.op, values=left)
        return left[0] if left else ast.Constant(value=not decides)


def either(alternatives: Iterable[frozenset[str]]) -> Marker:
    """Write what holds if all markers of one of the alternatives hold."""
    texts = []
    for alternative in sorted(alternatives, key=sorted):
        if not alternative:
            return None
        parts = sorted(alternative)
        texts.append(" and ".join(f"({p})" if " or " in p and len(parts) > 1 else p for p in parts))
    if len(texts) == 1:
        return texts[0]
    return " or ".join(f"({text})" if " and " in text else text for text in texts)


def shortest(alternatives: Iterable[frozenset[str]]) -> frozenset[frozenset[str]]:
    """Leave out what another alternative implies."""
    found = set(alternatives)
    return frozenset(a for a in found if not any(other < a for other in found))
