"""Read what went wrong out of an Ansible task result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TAIL_LINES = 20
"""Lines shown of a program's output; the log has all of them."""

_ON_THE_WAY = ("Task failed: Missing ", "Task failed: Incorrect ", "Task failed: Premature end of stream")
"""How Ansible begins what it says about sudo and the like."""

_HIDDEN = "what the task returned is hidden, because it handles secrets (no_log)"


@dataclass(frozen=True)
class Failure:
    """A task that failed on a host, or a host that could not be reached.

    Attributes:
        host: The host's name in the inventory.
        role: The role that the task belongs to; empty if to none.
        task: The task's name.
        message: What the task said, several lines perhaps.
        unreachable: Whether the host could not be reached.
    """

    host: str
    role: str
    task: str
    message: str
    unreachable: bool

    @property
    def on_the_way(self) -> bool:
        """Whether the host was not reached, or nobody became root there: then it was not the task that failed."""
        return self.unreachable or self.message.startswith(_ON_THE_WAY)

    def title(self) -> str:
        """One line that names the failure."""
        where = f"{self.role}: {self.task}" if self.role else self.task
        return (
            f"{self.host} could not be reached, in: {where}" if self.unreachable else f"failed on {self.host}: {where}"
        )


def message(result: Mapping[str, Any]) -> str:
    """Make the most telling text out of a failed task's result.

    Args:
        result: The task's result as ansible-runner's event has it.
    """
    if "censored" in result:
        return _HIDDEN
    items = [item for item in result.get("results") or [] if isinstance(item, dict) and item.get("failed")]
    if items:
        return "\n".join(_item_message(item) for item in items)
    # Facts are gathered by several modules: what went wrong with each stands one level below.
    modules = result.get("failed_modules") or {}
    parts = list(dict.fromkeys(part for one in [result, *modules.values()] for part in _parts(one)))
    return "\n".join(parts) or "the task gave no reason"


def _item_message(item: Mapping[str, Any]) -> str:
    label = item.get("_ansible_item_label", item.get("item"))
    return f"item {label}: {message(item)}" if label is not None else message(item)


def _parts(result: Mapping[str, Any]) -> Iterator[str]:
    said = _text(result.get("msg"), with_first=True)
    if said:
        yield said
    errors = _text(result.get("stderr")) or _text(result.get("module_stderr"))
    if errors:
        yield errors
        return
    output = _text(result.get("stdout")) or _text(result.get("module_stdout"))
    if output:
        yield output


def _text(value: object, *, with_first: bool = False) -> str:
    if value is None:
        return ""
    text = "\n".join(str(line) for line in value) if isinstance(value, list) else str(value)
    lines = text.strip().splitlines()
    if with_first and len(lines) > TAIL_LINES:
        # What a task says itself begins with what is wrong, and goes on with the lines of a journal.
        return "\n".join([lines[0], "...", *lines[2 - TAIL_LINES :]])
    return "\n".join(lines[-TAIL_LINES:])
