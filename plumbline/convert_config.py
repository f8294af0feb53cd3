"""`plumbline convert-config`: a configuration of another trainer as a run spec, with what became of each value."""

import sys
from pathlib import Path

import yaml

from alignment import configs
from alignment.configs import Converted, NotConverted


def run(path: Path, devices: int) -> int:
    """Print the spec, and on the error output what became of each value; 1 when it cannot be converted."""
    try:
        found = configs.convert(sys.stdin.read() if str(path) == "-" else path.read_text("utf-8"), devices)
    except NotConverted as refused:
        print(f"{refused.reason} {refused.remedy}", file=sys.stderr)
        return 1
    except UnicodeDecodeError:
        print(f"{path} is not UTF-8 text.", file=sys.stderr)
        return 1
    print(yaml.safe_dump(spec(found), sort_keys=False, allow_unicode=True), end="")
    print("\n".join(report(found)), file=sys.stderr)
    return 0


def spec(found: Converted) -> dict[str, object]:
    """The whole spec; checkpoint and data as the configuration names them, to be replaced by folders."""
    sources = [
        {"path": one["name"], **({} if one["weight"] is None else {"weight": one["weight"]})} for one in found.data
    ]
    return {
        "checkpoint": found.checkpoint or "NAME-A-FOLDER",
        "reference": found.reference,
        "snapshots": sources or [{"path": "NAME-A-SNAPSHOT"}],
        **found.recipe,
    }


def report(found: Converted) -> list[str]:
    """What became of each value, a line each."""
    return [
        f"A configuration of {found.tool}. Name folders for checkpoint and snapshots before training.",
        *(f"understood  {one['key']} = {one['value']} -> {one['becomes']}" for one in found.understood),
        *(f"ignored     {one['key']} = {one['value']}: {one['why']}" for one in found.ignored),
        *(f"assumed     {one['field']} = {one['value']} (ours: {one['ours']}): {one['why']}" for one in found.differs),
    ]
