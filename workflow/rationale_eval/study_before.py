"""What the report that a run is about to replace covers and the new one will not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rationale_eval.study_cells import Cell


def narrowed(claims_file: Path, spec: Mapping[str, Any]) -> str | None:
    """A note on cells and methods of the report at ``claims_file`` that are not in ``spec``, the claims' slice.

    None where there is none, and where no report is there or it cannot be read. The results of cells stay where they
    are; it is the tables, figures and claims over them that are replaced.
    """
    try:
        before = json.loads(claims_file.read_text(encoding="utf-8"))["provenance"]["spec"]
        cells = [Cell(**cell) for cell in before["cells"]]
        methods = list(before["methods"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    wanted = [Cell(**cell) for cell in spec["cells"]]
    gone = [cell.path for cell in cells if cell not in wanted]
    dropped = [name for name in methods if name not in spec["methods"]]
    if not gone and not dropped:
        return None
    parts = [f"{len(gone)} of its {len(cells)} cells (such as {gone[0]})"] if gone else []
    parts += [f"{len(dropped)} of its {len(methods)} methods (such as {dropped[0]})"] if dropped else []
    return (
        f"the report in {claims_file.parent} will be replaced by one without {' and '.join(parts)}; set another "
        "results_dir to keep it (what is computed is shared by memo_dir)"
    )
