"""The diagram in ARCHITECTURE.md is drawn from the ledger's transition table.

`python tests/architecture/test_ledger_diagram.py` prints the block to paste.
"""

from __future__ import annotations

from pathlib import Path

from scheduler.reservation import TRANSITIONS

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"


def diagram() -> str:
    """The table as a mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    for (state, trigger), (target, actions) in TRANSITIONS.items():
        source = state.value if state else "[*]"
        end = "[*]" if target.value == "Released" else target.value
        doing = f" / {', '.join(action.value for action in actions)}" if actions else ""
        lines.append(f"    {source} --> {end}: {trigger.value}{doing}")
    return "\n".join(lines)


def test_the_diagram_is_current() -> None:
    """A change of the table without a new diagram fails here."""
    assert f"```mermaid\n{diagram()}\n```" in ARCHITECTURE.read_text()


if __name__ == "__main__":
    print(diagram())
