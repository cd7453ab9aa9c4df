from typing import Final

HIGHLIGHTS: Final[str]

def language() -> object: ...
