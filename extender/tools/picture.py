"""``muster topology -o svg``: the fleet at a glance, as one picture without scripts.

Domains are boxes within boxes, nodes the innermost ones. A node shows its cards in the colour of their
vendor, those in use filled and the free ones empty; what is wrong with it is a red mark. Nodes of one NVLink
domain or super-pod stand in a box of their own. Details are tool tips. Equal fleets give equal pictures.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, groupby
from math import sqrt
from xml.etree import ElementTree

from extender.tools.domains import flags, free_cards, label, parts, scale_up_domains
from scheduler.snapshot import NodeState, Snapshot
from topology.model import SCALE_UP, Node, Problem
from topology.vendors import VENDORS

_LEAST_WIDTH = 900.0
_GAP = 6.0
_TITLE = 13.0
_CELL, _STEP, _PER_ROW = 8.0, 10.0, 8
_NODE_WIDTH = 2 * _GAP + _PER_ROW * _STEP
_LETTERS = 16
"""Characters that fit above a node's cards."""
_LONGEST, _BOLD = 32, 5.6
"""Characters for which a box is made wider, and the width of one in a title."""
_MOST_CELLS = 64
"""More units than these are shown by one bar."""
_MOST_PROBLEMS = 30
_SHAPE = 1.5
"""Width of a box in relation to its height, about."""

_COLOURS = (
    "#76b900", "#d8232a", "#0068b5", "#e07b00", "#7b3fa0", "#00a3a1", "#c2185b", "#5d6d7e",
    "#8d6e0f", "#2e7d32", "#3949ab", "#b0532b",
)  # fmt: skip
_OTHER = "#607d8b"
COLOURS: Mapping[str, str] = {
    vendor.name: colour for vendor, colour in zip(VENDORS, cycle(_COLOURS), strict=False)
}
"""Vendor -> colour of its cards; the vendors that are not in the catalogue share another one."""

_STYLE = (
    "text{font:8.5px sans-serif;fill:#222}.head{font-weight:bold}.small{font-size:7px;fill:#555}"
    ".domain>rect{fill:#f4f6f8;stroke:#9aa5b1}.scale-up>rect{fill:#fff8e1;stroke:#f9a825;stroke-width:2}"
    ".node>rect{fill:#fff;stroke:#b8c2cc}.off>rect{fill:#e3e3e3;stroke-dasharray:3 2}"
    ".free{fill:#fff}.mark{fill:#d50000}.mark-text{fill:#fff;font-weight:bold}"
)
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class _Box:
    """Something drawn from its own corner, and how large it is."""

    element: ElementTree.Element
    width: float
    height: float


def draw(snapshot: Snapshot, problems: Sequence[Problem] = ()) -> str:
    """The picture as a document of its own; ``problems`` are those that the snapshot does not have."""
    painter = _Painter(snapshot)
    fleet = painter.fleet()
    width = max(fleet.width, _LEAST_WIDTH)
    body = _stack(
        [
            _text(painter.summary(), 14, "head", size=13),
            painter.legend(width),
            fleet,
            _stack(list(_listed([*problems, *snapshot.problems], width))),
        ],
        gap=8,
    )
    width, height = width + 2 * _GAP, body.height + 2 * _GAP
    svg = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_number(width)} {_number(height)}",
            "width": _number(width),
            "height": _number(height),
            "role": "img",
        },
    )
    _titled(svg, painter.summary())
    ElementTree.SubElement(svg, "style").text = _STYLE
    _rectangle(svg, width, height, {"fill": "#fff"})
    _place(svg, body, _GAP, _GAP)
    return ElementTree.tostring(svg, encoding="unicode")


class _Painter:
    """Draws the domains of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._free = free_cards(snapshot)
        self._domains = scale_up_domains(snapshot)
        self._problems: dict[str, list[str]] = {}
        for problem in snapshot.problems:
            text = f"{problem.field}: {problem.message}"
            self._problems.setdefault(problem.subject.removeprefix("Node "), []).append(text)

    def summary(self) -> str:
        """One line about the whole fleet."""
        nodes = self._snapshot.nodes
        wrong = sum(bool(self._problems.get(state.node.name)) for state in nodes)
        levels = " > ".join(self._snapshot.levels)
        return f"{len(nodes)} nodes by {levels}; {self._free_of(nodes)}; {wrong} with problems"

    def legend(self, width: float) -> _Box:
        """What the colours mean, and how many cards of each class are there and free."""
        total: Counter[tuple[str, str]] = Counter()
        left: Counter[tuple[str, str]] = Counter()
        for state in self._snapshot.nodes:
            cards = state.node.accelerator
            if cards is not None:
                total[cards.vendor, cards.device_class] += cards.count
                left[cards.vendor, cards.device_class] += self._free[state.node.name]
        order = {vendor: index for index, vendor in enumerate(COLOURS)}
        keys = sorted(total, key=lambda key: (order.get(key[0], len(order)), key))
        entries = [
            _sample(f"{key[1]} {left[key]}/{total[key]} free", COLOURS.get(key[0], _OTHER))
            for key in keys
        ]
        entries.append(_text("filled: in use; empty: free; !: a problem; grey: takes no pods", 12))
        return _flow(entries, width)

    def fleet(self) -> _Box:
        """All nodes in their domains."""
        boxes = self._boxes(0, 0, len(self._snapshot.nodes))
        return _flow(boxes, _limit(boxes, 2 * _SHAPE))

    def _boxes(self, depth: int, lo: int, hi: int) -> list[_Box]:
        """The domains of level ``depth`` in a range of nodes; neighbours of one scale-up domain together."""
        host = len(self._snapshot.levels) - 1
        found: list[tuple[str | None, _Box]] = []
        for level, first, end in parts(self._snapshot, depth, lo, hi):
            if level < host:
                found.append((None, self._domain(level, first, end)))
            else:
                node = self._snapshot.nodes[first].node
                shown = None if SCALE_UP in self._snapshot.levels else node.scale_up
                found.append((shown, self._node(self._snapshot.nodes[first])))
        boxes = []
        for name, group in groupby(found, key=lambda item: item[0]):
            inside = [box for _, box in group]
            boxes += inside if name is None else [self._scale_up(name, inside)]
        return boxes

    def _domain(self, level: int, lo: int, hi: int) -> _Box:
        states = self._snapshot.nodes[lo:hi]
        title = label(self._snapshot, level, lo)
        tip = f"{title}: {_count(len(states))}, {self._free_of(states)}"
        kind = "scale-up" if self._snapshot.levels[level] == SCALE_UP else "domain"
        return _framed(kind, title, tip, self._boxes(level + 1, lo, hi))

    def _scale_up(self, name: str, boxes: list[_Box]) -> _Box:
        nodes = len(self._domains[name])
        title = f"{SCALE_UP} {name}"
        part = "" if len(boxes) == nodes else f"{len(boxes)} of "
        return _framed("scale-up", title, f"{title}: {part}{_count(nodes)}", boxes)

    def _node(self, state: NodeState) -> _Box:
        node = state.node
        cards, free = node.accelerator, self._free[node.name]
        wrong = self._problems.get(node.name, [])
        group = ElementTree.Element("g", {"class": "node" if state.usable else "node off"})
        group.set("data-node", _clean(node.name))
        _titled(group, "\n".join(_tip(node, free, wrong)))
        body = [_text(_short(node.name), 10)]
        if cards is not None:
            group.set("data-cards", str(cards.count))
            group.set("data-free", str(free))
            colour = COLOURS.get(cards.vendor, _OTHER)
            body.append(_text(_short(cards.device_class), 9, "small"))
            body.append(_cells(cards.count, free, colour))
        inner = _stack(body)
        height = inner.height + 2 * 4
        _rectangle(group, _NODE_WIDTH, height, {"rx": "2"})
        _place(group, inner, _GAP, 4)
        if wrong:
            at = {"cx": _number(_NODE_WIDTH - 2), "cy": "2", "r": "5", "class": "mark"}
            ElementTree.SubElement(group, "circle", at)
            _write(group, "!", _NODE_WIDTH - 3.5, 5, "mark-text")
        return _Box(group, _NODE_WIDTH, height)

    def _free_of(self, states: Sequence[NodeState]) -> str:
        cards = sum(state.node.accelerator.count for state in states if state.node.accelerator)
        return f"{sum(self._free[state.node.name] for state in states)} of {cards} cards free"


def _count(nodes: int) -> str:
    return "1 node" if nodes == 1 else f"{nodes} nodes"


def _tip(node: Node, free: int, problems: Sequence[str]) -> Iterator[str]:
    yield node.name
    if node.accelerator is not None:
        yield f"{free} of {node.accelerator.count} {node.accelerator.device_class} free"
    if node.scale_up is not None:
        yield f"{SCALE_UP} {node.scale_up}"
    yield from (word for word in flags(node) if "problem" not in word)
    yield from problems


def _cells(count: int, free: int, colour: str) -> _Box:
    """One cell a card, those in use first; a bar where there are too many."""
    group = ElementTree.Element("g", {"stroke": colour, "fill": colour})
    if count > _MOST_CELLS:
        width = _PER_ROW * _STEP - 2
        _rectangle(group, width, _CELL, {"class": "free"})
        _rectangle(group, width * (count - free) / count, _CELL, {})
        return _Box(group, width, _STEP)
    used = count - free
    for kind, cells in (("used", range(used)), ("free", range(used, count))):
        path = "".join(
            f"M{_number(cell % _PER_ROW * _STEP)} {_number(cell // _PER_ROW * _STEP)}h8v8h-8z"
            for cell in cells
        )
        if path:
            ElementTree.SubElement(group, "path", {"d": path, "class": kind})
    return _Box(group, _PER_ROW * _STEP, -(-count // _PER_ROW) * _STEP)


def _framed(kind: str, title: str, tip: str, boxes: Sequence[_Box]) -> _Box:
    """Boxes in a frame with a title, about as high as wide."""
    inner = _flow(boxes, _limit(boxes))
    room = max(inner.width, min(len(title), _LONGEST) * _BOLD)
    width, height = room + 2 * _GAP, inner.height + _TITLE + 2 * _GAP
    group = ElementTree.Element("g", {"class": kind})
    _titled(group, tip)
    _rectangle(group, width, height, {"rx": "4"})
    _write(group, _short(title, int(room / _BOLD)), _GAP, _TITLE, "head")
    _place(group, inner, _GAP, _TITLE + _GAP)
    return _Box(group, width, height)


def _limit(boxes: Sequence[_Box], shape: float = _SHAPE) -> float:
    """How wide rows of these boxes should be."""
    area = sum((box.width + _GAP) * (box.height + _GAP) for box in boxes)
    return max(sqrt(area * shape), *(box.width for box in boxes), 0.0)


def _flow(boxes: Sequence[_Box], limit: float) -> _Box:
    """Boxes beside each other, in as many rows as they need."""
    group = ElementTree.Element("g")
    x = y = row = widest = 0.0
    for box in boxes:
        if x and x + box.width > limit:
            x, y, row = 0.0, y + row + _GAP, 0.0
        _place(group, box, x, y)
        widest = max(widest, x + box.width)
        x, row = x + box.width + _GAP, max(row, box.height)
    return _Box(group, widest, y + row)


def _stack(boxes: Sequence[_Box], gap: float = 0) -> _Box:
    """Boxes below each other."""
    group = ElementTree.Element("g")
    y = 0.0
    for box in boxes:
        _place(group, box, 0, y)
        y += box.height + gap
    return _Box(group, max((box.width for box in boxes), default=0.0), y)


def _listed(problems: Sequence[Problem], width: float) -> Iterator[_Box]:
    """The first problems as text; all of nodes are tool tips as well."""
    letters = int(width / 4.5)
    if problems:
        yield _text("1 problem" if len(problems) == 1 else f"{len(problems)} problems", 14, "head")
    for problem in problems[:_MOST_PROBLEMS]:
        line = str(problem)
        yield _text(line if len(line) <= letters else f"{line[: letters - 1]}…", 12)
    if len(problems) > _MOST_PROBLEMS:
        yield _text(f"and {len(problems) - _MOST_PROBLEMS} more: muster topology", 12)


def _sample(text: str, colour: str) -> _Box:
    box = _text(text, 14)
    group = ElementTree.Element("g")
    _rectangle(group, 10, 10, {"fill": colour})
    _place(group, box, 14, 0)
    return _Box(group, box.width + 20, box.height)


def _text(text: str, height: float, kind: str = "", size: float = 9) -> _Box:
    group = ElementTree.Element("g")
    element = _write(group, text, 0, min(height, size + 2) - 2, kind)
    if size != 9:
        element.set("style", f"font-size:{_number(size)}px")
    return _Box(group, len(text) * size * 0.55, height)


def _write(
    parent: ElementTree.Element, text: str, x: float, y: float, kind: str = ""
) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, "text", {"x": _number(x), "y": _number(y)})
    if kind:
        element.set("class", kind)
    element.text = _clean(text)
    return element


def _titled(parent: ElementTree.Element, text: str) -> None:
    """A tool tip."""
    ElementTree.SubElement(parent, "title").text = _clean(text)


def _rectangle(
    parent: ElementTree.Element, width: float, height: float, more: Mapping[str, str]
) -> None:
    ElementTree.SubElement(
        parent, "rect", {"width": _number(width), "height": _number(height), **more}
    )


def _place(parent: ElementTree.Element, box: _Box, x: float, y: float) -> None:
    if x or y:
        box.element.set("transform", f"translate({_number(x)} {_number(y)})")
    parent.append(box.element)


def _short(text: str, letters: int = _LETTERS) -> str:
    """The end of a text, which tells neighbours apart, where all of it does not fit."""
    return text if len(text) <= letters else f"…{text[1 - letters :]}"


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
