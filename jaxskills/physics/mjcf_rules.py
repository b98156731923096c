"""What a model given by a stranger may contain: limits and refusals, element by element."""

import re
from collections.abc import Mapping

MAX_BYTES = 8 << 20
MAX_ELEMENTS = 20_000  # replicated and composed ones counted as often as they come
MAX_DEPTH = 200
MAX_ATTRIBUTES = 100  # of one element; MJCF has 40
MAX_ATTRIBUTE = 1 << 20  # characters
MAX_MEMORY = 1 << 30  # bytes that <size memory> may ask for

SECTIONS = frozenset(
  "compiler option size statistic visual default asset worldbody contact deformable equality "
  "tendon actuator sensor custom keyframe".split()
)
_ONE_FILE = "write the model in one file"
REFUSED = {
  "include": _ONE_FILE,
  "attach": _ONE_FILE,
  "model": _ONE_FILE,
  "extension": "only MuJoCo's own elements are supported",
  "plugin": "only MuJoCo's own elements are supported",
}
# Attributes that hold names or text, where "nan" and "inf" are as good as any.
_TEXT = frozenset(
  "name class childclass material mesh texture hfield joint joint1 joint2 body body1 body2 geom "
  "geom1 geom2 site site1 site2 tendon tendon1 tendon2 actuator camera target prefix model objname "
  "refname slidersite cranksite refsite sidesite flex subtree1 subtree2 jointinparent bone node "
  "sep".split()
)
_TEXT_OF = frozenset({("text", "data")})  # text in this element, numbers in another
_NOT_FINITE = re.compile(r"(?<!\S)[+-]?(nan(\([^\s]*\))?|inf|infinity)(?!\S)", re.IGNORECASE)
_MEMORY = re.compile(r"\s*(\d+)\s*([KMGTPE]?)\s*", re.IGNORECASE)
# Most that a number may be, each of a list; where it has no effect on the compiler, it would on a
# simulation or a picture later.
_LIMITS: Mapping[tuple[str, str], int] = {
  **{
    ("option", name): 10_000
    for name in (
      "iterations", "ls_iterations", "noslip_iterations", "ccd_iterations", "sdf_iterations",
      "sdf_initpoints",
    )
  },
  **{("size", name): 1_000_000 for name in ("nuserdata", "njmax", "nconmax")},
  **{
    ("size", f"nuser_{name}"): 1_000
    for name in ("actuator", "body", "cam", "geom", "jnt", "sensor", "site", "tendon")
  },
  ("size", "nkey"): 10_000,
  ("size", "nstack"): MAX_MEMORY // 8,
  **{("global", name): 16_384 for name in ("offwidth", "offheight")},
  **{("quality", name): 1_024 for name in ("numslices", "numstacks", "numquads", "offsamples")},
  ("quality", "shadowsize"): 16_384,
  **{("texture", name): 8_192 for name in ("width", "height")},
  **{("hfield", name): 4_096 for name in ("nrow", "ncol")},
  ("camera", "resolution"): 8_192,
  ("flexcomp", "cellcount"): 100,
  ("numeric", "size"): 1_000_000,
  ("user", "dim"): 10_000,
  ("general", "actdim"): 10_000,
}  # fmt: skip
_COUNTED = ("replicate", "composite", "flexcomp")


def one_line(text: str, longest: int = 300) -> str:
  """A text that a stranger had a hand in, fit for a message: one line, no control characters."""
  text = " ".join(text.split())
  text = "".join(character if character.isprintable() else "?" for character in text[: 2 * longest])
  return text if len(text) <= longest else text[:longest] + "..."


def fault_of(tag: str, attribute: str, value: str) -> str | None:
  """What is wrong with an attribute, in words that follow its name."""
  if len(value) > MAX_ATTRIBUTE:
    return f"is longer than {MAX_ATTRIBUTE} characters"
  is_text = attribute in _TEXT or (tag, attribute) in _TEXT_OF or attribute.startswith("file")
  if not is_text:
    if found := _NOT_FINITE.search(value):
      return f"has a number that is not finite: {found.group()}"
  if (limit := _LIMITS.get((tag, attribute))) is not None:
    if any(number > limit for number in _numbers(value)):
      return f"is more than {limit}"
  if (tag, attribute) == ("size", "memory") and (found := _MEMORY.fullmatch(value)):
    power = " KMGTPE".index(found.group(2).upper() or " ")
    if len(found.group(1)) > 20 or int(found.group(1)) << (10 * power) > MAX_MEMORY:
      return f"is more than {MAX_MEMORY >> 30} GiB"
  return None


def _numbers(value: str) -> list[float]:
  """The numbers in a list; what is none is left for MuJoCo to refuse."""
  numbers = []
  for token in value.split():
    try:
      numbers.append(float(token))
    except ValueError:
      continue
  return numbers


def count_of(tag: str, attributes: Mapping[str, str]) -> int:
  """How many times the compiler makes an element of this one."""
  if tag not in _COUNTED:
    return 1
  product = 1.0
  for number in _numbers(attributes.get("count", "1")):
    product *= max(number, 1.0)
  return int(min(product, MAX_ELEMENTS + 1))
