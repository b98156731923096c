"""The text of an MJCF that a stranger may have written: read with suspicion, written out anew.

What is not plainly a model in one file is refused before MuJoCo sees a byte of it: documents with a
DTD or entities, other formats, includes, plugins, files outside of the model's folder, numbers that
are not finite, and counts or sizes that would eat the machine. What is left is written out anew, so
that MuJoCo's XML reader and ours cannot differ on what it says; elements keep their line numbers,
and files get names under which only what we read ourselves can be found (`model_file.py`).

Nothing here reads a file or calls MuJoCo.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NamedTuple
from xml.parsers import expat

from jaxskills.errors import UserError
from jaxskills.physics import mjcf_rules

_FOLDERS = ("assetdir", "meshdir", "texturedir")
_SUFFIXES = {
  "mesh": (".stl", ".obj", ".msh"),
  "flexcomp": (".stl", ".obj", ".msh"),
  "hfield": (".png", ".bin", ".hf"),
  "texture": (".png", ".ktx", ".bin"),
  "skin": (".skn",),
}
# Elements that MuJoCo names after their file where they have no name.
_NAMED_BY_FILE = ("mesh", "hfield", "texture", "skin")


class Reference(NamedTuple):
  """A file that a model names.

  Attributes:
    path: relative to the model's folder, `meshdir` and the like applied.
    key: the name that it has in the text that MuJoCo gets.
    line: where it is named first.
  """

  path: str
  key: str
  line: int


class Document(NamedTuple):
  """A model that passed.

  Attributes:
    xml: the text for MuJoCo.
    files: what it needs besides, each once.
  """

  xml: str
  files: tuple[Reference, ...]


class _Element(NamedTuple):
  tag: str
  attributes: dict[str, str]
  line: int


def parse(content: bytes, name: str) -> Document:
  """Checks the text of a model.

  Args:
    content: of the file.
    name: of the file, for messages.

  Raises:
    UserError: one line that says what is wrong, in which line, and what to do.
  """
  if len(content) > mjcf_rules.MAX_BYTES:
    raise UserError(f"{name} is larger than {mjcf_rules.MAX_BYTES >> 20} MiB; is it a model?")
  try:
    text = content.decode("utf-8-sig")
  except UnicodeDecodeError:
    raise UserError(f"{name} is not UTF-8 text; give a model as MJCF (.xml).") from None
  if "\0" in text:
    raise UserError(f"{name} is not text; give a model as MJCF (.xml).")
  reader = _Reader(name)
  try:
    reader.read(text)
  except expat.ExpatError as error:
    reason = expat.errors.messages.get(error.code, "not XML")
    raise UserError(f"{name}, line {error.lineno}: {reason}; it is no well-formed XML.") from None
  return _written(reader)


class _Reader:
  """Goes through a document from beginning to end, and keeps elements and ends in `events`."""

  def __init__(self, name: str):
    self.name = name
    self.events: list[_Element | str] = []
    self._open: list[tuple[str, int]] = []  # tag, and how often the compiler makes what is inside
    self._elements = 0
    self._parser = expat.ParserCreate("utf-8")
    self._parser.ordered_attributes = True
    self._parser.StartElementHandler = self._start
    self._parser.EndElementHandler = self._end
    self._parser.StartDoctypeDeclHandler = self._doctype

  def read(self, text: str) -> None:
    self._parser.Parse(text, True)

  def refuse(self, line: int, reason: str) -> UserError:
    return UserError(f"{self.name}, line {line}: {mjcf_rules.one_line(reason)}.")

  def _doctype(self, *_: object) -> None:
    line = self._parser.CurrentLineNumber
    raise self.refuse(line, "a DTD or entities are not supported; write the values out")

  def _start(self, tag: str, pairs: list[str]) -> None:
    line = self._parser.CurrentLineNumber
    attributes = dict(zip(pairs[::2], pairs[1::2], strict=True))
    self._check_place(tag, line)
    if len(attributes) > mjcf_rules.MAX_ATTRIBUTES:
      raise self.refuse(line, f"<{tag}> has more than {mjcf_rules.MAX_ATTRIBUTES} attributes")
    for attribute, value in attributes.items():
      if fault := mjcf_rules.fault_of(tag, attribute, value):
        raise self.refuse(line, f"{attribute} of <{tag}> {fault}")
    times = self._open[-1][1] if self._open else 1
    times *= mjcf_rules.count_of(tag, attributes)
    self._elements += times
    if self._elements > mjcf_rules.MAX_ELEMENTS:
      raise self.refuse(
        line, f"<{tag}> makes it more than {mjcf_rules.MAX_ELEMENTS} elements, the most for a model"
      )
    self._open.append((tag, times))
    self.events.append(_Element(tag, attributes, line))

  def _check_place(self, tag: str, line: int) -> None:
    """Refuses elements that do not belong into a model of one file."""
    depth = len(self._open)
    if depth == 0 and tag != "mujoco":
      kind = "a URDF" if tag == "robot" else f"<{tag}>"
      raise self.refuse(line, f"this is {kind} and no MJCF, which begins with <mujoco>")
    if tag in mjcf_rules.REFUSED:
      raise self.refuse(line, f"<{tag}> is not supported; {mjcf_rules.REFUSED[tag]}")
    if depth == 1 and tag not in mjcf_rules.SECTIONS:
      raise self.refuse(line, f"<mujoco> has no section <{tag}>")
    if depth >= mjcf_rules.MAX_DEPTH:
      raise self.refuse(line, f"elements are nested more than {mjcf_rules.MAX_DEPTH} deep")

  def _end(self, tag: str) -> None:
    self._open.pop()
    self.events.append(tag)


def _written(reader: _Reader) -> Document:
  """The document as MuJoCo gets it."""
  folders = _folders(reader)
  files: dict[str, Reference] = {}
  parts: list[str] = []
  line = 1
  for event in reader.events:
    if isinstance(event, str):
      parts.append(f"</{event}>")
      continue
    parts.append("\n" * (event.line - line))
    line = event.line
    attributes = dict(event.attributes)
    if event.tag == "compiler":
      for attribute in (*_FOLDERS, "strippath"):
        attributes.pop(attribute, None)
    for attribute in [key for key in attributes if key.startswith("file")]:
      path = _path(reader, event, attribute, folders)
      if path not in files:
        key = f"file-{len(files):06d}{PurePosixPath(path).suffix.lower()}"
        files[path] = Reference(path, key, event.line)
      attributes[attribute] = files[path].key
      if attribute == "file" and event.tag in _NAMED_BY_FILE:
        attributes.setdefault("name", PurePosixPath(path).stem)
    parts.append(f"<{event.tag}{''.join(map(_attribute, attributes, attributes.values()))}>")
  return Document("".join(parts), tuple(files.values()))


def _folders(reader: _Reader) -> dict[str, str]:
  """What all <compiler> elements together say of where files are."""
  folders = {"meshdir": "", "texturedir": "", "strippath": "false"}
  for event in reader.events:
    if isinstance(event, _Element) and event.tag == "compiler":
      for attribute in _FOLDERS:
        if attribute in event.attributes:
          _check_path(reader, event, attribute)
          names = _FOLDERS[1:] if attribute == "assetdir" else (attribute,)
          folders.update(dict.fromkeys(names, event.attributes[attribute]))
      folders["strippath"] = event.attributes.get("strippath", folders["strippath"])
  return folders


def _path(reader: _Reader, element: _Element, attribute: str, folders: Mapping[str, str]) -> str:
  """Where a file lies, relative to the model's folder, as MuJoCo would look for it."""
  _check_path(reader, element, attribute)
  path = PurePosixPath(element.attributes[attribute])
  suffixes = _SUFFIXES.get(element.tag)
  if suffixes is None:
    raise reader.refuse(element.line, f"<{element.tag}> takes no file")
  if path.suffix.lower() not in suffixes:
    raise reader.refuse(
      element.line,
      f"{attribute} '{element.attributes[attribute]}' of <{element.tag}> is no file of a kind that "
      f"is read here: {', '.join(suffixes)}",
    )
  if folders["strippath"] == "true":
    path = PurePosixPath(path.name)
  return str(PurePosixPath(folders["texturedir" if element.tag == "texture" else "meshdir"]) / path)


def _check_path(reader: _Reader, element: _Element, attribute: str) -> None:
  """Refuses a path that could lead out of the model's folder."""
  path = element.attributes[attribute]
  outside = path.startswith(("/", "~")) or ".." in PurePosixPath(path).parts
  if outside or "\\" in path or ":" in path:
    raise reader.refuse(
      element.line,
      f"{attribute} '{path}' of <{element.tag}> is not a path inside the model's folder; put the "
      "file there and name it from there on",
    )


def _attribute(name: str, value: str) -> str:
  for character, escape in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
    value = value.replace(character, escape)
  for character in "\t\n\r":
    value = value.replace(character, f"&#{ord(character)};")
  return f' {name}="{value}"'
