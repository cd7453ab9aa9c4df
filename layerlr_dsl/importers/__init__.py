"""Rules from what people already have: other tools' configurations, and live optimizers.

`import_text` reads a configuration, `import_optimizer` an optimizer; `kinds` are the tools that are known.
"""

from layerlr_dsl.importers.description import LeftOut, SourceFault
from layerlr_dsl.importers.importing import Imported, import_optimizer, import_text
from layerlr_dsl.importers.registry import kinds

__all__ = ["Imported", "LeftOut", "SourceFault", "import_optimizer", "import_text", "kinds"]
