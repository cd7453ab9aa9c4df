"""Packs the VS Code extension, with nothing but the standard library.

python -m layerlr_dsl.editor.vsix [FOLDER OR FILE]

Writes `layerlr-VERSION.vsix` into the working directory, or where it is told to.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_PACKAGE = Path(__file__).resolve().parent
_TYPES = {
    ".json": "application/json",
    ".js": "application/javascript",
    ".md": "text/markdown",
    ".vsixmanifest": "text/xml",
}


def extension_folder() -> Path:
    """The folder of the extension: beside this module in a wheel, at the top of a checkout."""
    packaged = _PACKAGE / "vscode"
    return packaged if packaged.is_dir() else _PACKAGE.parent.parent / "editors" / "vscode"


def pack(target: Path) -> Path:
    """Write the extension to `target` (a folder or a file) and return the file."""
    folder = extension_folder()
    about = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    if target.is_dir():
        target = target / f"{about['name']}-{about['version']}.vsix"
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in _TYPES)
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        _add(archive, "extension.vsixmanifest", _manifest(about))
        _add(archive, "[Content_Types].xml", _content_types())
        for path in files:
            _add(archive, f"extension/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return target


def _add(archive: ZipFile, name: str, content: str | bytes) -> None:
    # A fixed date, so that the same files always make the same archive.
    entry = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.compress_type = ZIP_DEFLATED
    archive.writestr(entry, content)


def _manifest(about: dict[str, Any]) -> str:
    code = about["engines"]["vscode"]
    return f"""<?xml version="1.0" encoding="utf-8"?>
<PackageManifest Version="2.0.0" xmlns="http://schemas.microsoft.com/developer/vsx-schema/2011">
  <Metadata>
    <Identity Language="en-US" Id={quoteattr(about["name"])} Version={quoteattr(about["version"])}
      Publisher={quoteattr(about["publisher"])}/>
    <DisplayName>{escape(about["displayName"])}</DisplayName>
    <Description xml:space="preserve">{escape(about["description"])}</Description>
    <Categories>{escape(",".join(about["categories"]))}</Categories>
    <Properties>
      <Property Id="Microsoft.VisualStudio.Code.Engine" Value={quoteattr(code)}/>
    </Properties>
  </Metadata>
  <Installation>
    <InstallationTarget Id="Microsoft.VisualStudio.Code"/>
  </Installation>
  <Dependencies/>
  <Assets>
    <Asset Type="Microsoft.VisualStudio.Code.Manifest" Path="extension/package.json" Addressable="true"/>
    <Asset Type="Microsoft.VisualStudio.Services.Content.Details" Path="extension/README.md" Addressable="true"/>
  </Assets>
</PackageManifest>
"""


def _content_types() -> str:
    types = "".join(
        f'<Default Extension="{suffix}" ContentType="{kind}"/>' for suffix, kind in sorted(_TYPES.items())
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">{types}</Types>\n'
    )


def main(arguments: list[str]) -> int:
    target = Path(arguments[0]) if arguments else Path.cwd()
    try:
        written = pack(target)
    except OSError as fault:
        sys.stderr.write(f"{target}: {fault.strerror or fault}\n")
        return 2
    sys.stdout.write(f"wrote {written}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
