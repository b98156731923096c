"""The text of a model from a stranger: what is refused, and that what passes says the same."""

import re
import time
from xml.etree import ElementTree

import hypothesis
import pytest
from hypothesis import strategies as st

from jaxskills.errors import UserError
from jaxskills.physics import mjcf, mjcf_rules

GOOD = """<?xml version="1.0" encoding="utf-8"?>
<!-- a pendulum -->
<mujoco model="pendulum &amp; cart">
  <compiler angle="radian" meshdir="meshes" texturedir="pictures"/>
  <option timestep="0.002" iterations="5"><flag eulerdamp="disable"/></option>
  <size memory="1M"/>
  <default><geom friction=".8"/></default>
  <asset>
    <mesh file="bob.STL"/>
    <mesh name="rod" file="small/rod.obj"/>
    <texture type="2d" file="wood.png"/>
    <texture type="cube" name="sky" fileup="a.png" filedown="b.png"/>
    <hfield name="nan" file="hills.png" size="1 1 1 .1"/>
  </asset>
  <worldbody>
    <body name="inf" pos="0 0 1">
      <joint name="hinge"
             axis="0 1 0"/>
      <geom type="mesh" mesh="bob"/>
      <replicate count="3" offset="0 0 .1"><site name="mark"/></replicate>
    </body>
  </worldbody>
  <actuator><motor joint="hinge"/></actuator>
</mujoco>
"""


def model(inside):
  return f"<mujoco><worldbody>{inside}</worldbody></mujoco>".encode()


def refusal(content):
  content = content.encode() if isinstance(content, str) else content
  with pytest.raises(UserError) as caught:
    mjcf.parse(content, "robot.xml")
  message = str(caught.value)
  assert message.startswith("robot.xml")
  assert "\n" not in message and len(message) < 500
  return message


def tags(text):
  """Tags and attributes of a document in order, but for what is meant to change."""
  changed = re.compile("file.*|name|meshdir|texturedir|assetdir|strippath")
  root = ElementTree.XML(text, ElementTree.XMLParser(encoding="utf-8"))
  return [
    (item.tag, {key: value for key, value in item.attrib.items() if not changed.fullmatch(key)})
    for item in root.iter()
  ]


def test_what_passes_says_the_same_as_before():
  document = mjcf.parse(GOOD.encode(), "robot.xml")
  assert tags(document.xml) == tags(GOOD)
  assert ElementTree.fromstring(document.xml).attrib["model"] == "pendulum & cart"


def test_every_element_keeps_its_line():
  written = mjcf.parse(GOOD.encode(), "robot.xml").xml.split("\n")
  for number, line in enumerate(GOOD.split("\n")):
    found = re.findall(r"<([a-z]+)", line)
    if found:
      assert re.findall(r"<([a-z]+)", written[number]) == found


def test_files_are_named_anew_and_found_in_their_folders():
  document = mjcf.parse(GOOD.encode(), "robot.xml")
  paths = ["meshes/bob.STL", "meshes/small/rod.obj", "pictures/wood.png", "pictures/a.png"]
  assert [file.path for file in document.files] == [*paths, "pictures/b.png", "meshes/hills.png"]
  assert [file.line for file in document.files] == [9, 10, 11, 12, 12, 13]
  keys = [file.key for file in document.files]
  assert len(set(keys)) == 6 and all("/" not in key for key in keys)
  for gone in ("bob.STL", "rod.obj", "wood.png", "meshdir", "texturedir"):
    assert gone not in document.xml
  assert all(f'"{key}"' in document.xml for key in keys)


def test_a_file_that_is_named_often_is_wanted_once():
  meshes = '<mesh file="./m/a.stl"/>' * 3 + '<mesh file="m//a.stl"/>'
  text = f"<mujoco><asset>{meshes}</asset></mujoco>"
  document = mjcf.parse(text.encode(), "robot.xml")
  assert [file.path for file in document.files] == ["m/a.stl"]
  assert document.xml.count(document.files[0].key) == 4


def test_what_was_named_after_its_file_keeps_that_name():
  root = ElementTree.fromstring(mjcf.parse(GOOD.encode(), "robot.xml").xml)
  assert [mesh.attrib["name"] for mesh in root.iter("mesh")] == ["bob", "rod"]
  assert [texture.attrib["name"] for texture in root.iter("texture")] == ["wood", "sky"]


@pytest.mark.parametrize(
  ("compiler", "path"),
  [
    ("", "deep/a.stl"),
    ('<compiler assetdir="all"/>', "all/deep/a.stl"),
    ('<compiler assetdir="all" meshdir="m"/>', "m/deep/a.stl"),
    ('<compiler meshdir="m"/><compiler meshdir="n"/>', "n/deep/a.stl"),
    ('<compiler meshdir="m" strippath="true"/>', "m/a.stl"),
    ('<compiler texturedir="t"/>', "deep/a.stl"),
  ],
)
def test_folders_of_files_are_those_of_the_compiler_element(compiler, path):
  text = f'<mujoco><asset><mesh file="deep/a.stl"/></asset>{compiler}</mujoco>'
  assert mjcf.parse(text.encode(), "robot.xml").files[0].path == path


BOMB = """<?xml version="1.0"?>
<!DOCTYPE mujoco [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>
<mujoco model="&c;"/>"""

HOSTILE = {
  "billion laughs": (BOMB, "line 2: a DTD or entities are not supported"),
  "external entity": (
    '<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><mujoco model="&x;"/>',
    "line 1: a DTD or entities",
  ),
  "external DTD": ('<!DOCTYPE mujoco SYSTEM "http://x/y.dtd"><mujoco/>', "a DTD or entities"),
  "undefined entity": ('<mujoco model="&x;"/>', "line 1: undefined entity"),
  "include": (
    '<mujoco>\n<include file="/etc/passwd"/></mujoco>',
    "line 2: <include> is not supported; write the model in one file",
  ),
  "nested include": (model('<body><include file="x.xml"/></body>'), "<include> is not supported"),
  "extension": ("<mujoco><extension/></mujoco>", "<extension> is not supported; only MuJoCo's own"),
  "plugin": (model('<geom><plugin plugin="x"/></geom>'), "<plugin> is not supported"),
  "sub-model": (
    '<mujoco><asset><model file="x.xml"/></asset></mujoco>',
    "<model> is not supported",
  ),
  "attachment": (model('<attach model="x"/>'), "<attach> is not supported"),
  "URDF": ('<robot name="x"/>', "this is a URDF and no MJCF, which begins with <mujoco>"),
  "other root": ("<html/>", "this is <html> and no MJCF"),
  "part of a model": ("<mujocoinclude/>", "this is <mujocoinclude> and no MJCF"),
  "unknown section": ("<mujoco><script/></mujoco>", "<mujoco> has no section <script>"),
  "two roots": ("<mujoco/><mujoco/>", "junk after document element"),
  "empty": ("", "no element found"),
  "unclosed": ("<mujoco>\n\n<worldbody>", "line 3: no element found"),
  "mismatch": ("<mujoco>\n</worldbody>", "line 2: mismatched tag"),
  "twice the same": ('<mujoco model="a" model="b"/>', "duplicate attribute"),
  "not UTF-8": (b"<mujoco model='\xe9'/>", "is not UTF-8 text; give a model as MJCF"),
  "UTF-16": ("<mujoco/>".encode("utf-16"), "is not UTF-8 text"),
  "binary": (b"\x00\x01\x02", "is not text"),
  "absolute file": (
    '<mujoco><asset><mesh file="/etc/a.stl"/></asset></mujoco>',
    "file '/etc/a.stl' of <mesh> is not a path inside the model's folder",
  ),
  "file above": ('<mujoco><asset><mesh file="../a.stl"/></asset></mujoco>', "file '../a.stl' of"),
  "file above, hidden": (
    '<mujoco><asset><mesh file="x/../../a.stl"/></asset></mujoco>', "is not a path inside",
  ),
  "folder above": ('<mujoco><compiler meshdir=".."/></mujoco>', "meshdir '..' of <compiler>"),
  "absolute folder": ('<mujoco><compiler assetdir="/"/></mujoco>', "assetdir '/' of <compiler>"),
  "home": ('<mujoco><asset><mesh file="~/a.stl"/></asset></mujoco>', "file '~/a.stl'"),
  "address": ('<mujoco><asset><mesh file="http://x/a.stl"/></asset></mujoco>', "'http://x/a.stl'"),
  "drive": ('<mujoco><asset><mesh file="C:\\a.stl"/></asset></mujoco>', "is not a path inside"),
  "side of a cube": (
    '<mujoco><asset><texture fileback="/a.png"/></asset></mujoco>', "fileback '/a.png'",
  ),
  "unknown kind of file": (
    '<mujoco><asset><mesh file="a.zip/b.mjz"/></asset></mujoco>',
    "file 'a.zip/b.mjz' of <mesh> is no file of a kind that",
  ),
  "empty file": ('<mujoco><asset><mesh file=""/></asset></mujoco>', "file '' of <mesh> is no file"),
  "file of another element": (model('<geom file="a.stl"/>'), "<geom> takes no file"),
  "not a number": (model('<geom pos="0 nan 0"/>'), "pos of <geom> has a number that is not finite"),
  "payload of NaN": (model('<geom pos="nan(0x1) 0 0"/>'), "not finite: nan(0x1)"),
  "infinite": (model('<geom size="-INF"/>'), "has a number that is not finite: -INF"),
  "infinity": (model('<joint range="0 Infinity"/>'), "not finite: Infinity"),
  "replicas": (model('<replicate count="1000000000"><geom/></replicate>'), "more than 20000"),
  "replicas of replicas": (
    model('<replicate count="150"><replicate count="150"><geom/></replicate></replicate>'),
    "<replicate> makes it more than 20000 elements",
  ),
  "composite": (model('<composite count="500 500 1"/>'), "<composite> makes it more than 20000"),
  "flexcomp": (model('<flexcomp count="1e3 1e3 1e3"/>'), "<flexcomp> makes it more than 20000"),
  "many elements": (model("<geom/>" * 20_000), "more than 20000 elements"),
  "deep": (model("<body>" * 300), "nested more than 200 deep"),
  "long attribute": (model(f'<geom user="{"1 " * 600_000}"/>'), "user of <geom> is longer than"),
  "many attributes": (
    "<mujoco {}/>".format(" ".join(f"a{i}='1'" for i in range(200))), "more than 100 attributes",
  ),
  "memory": ('<mujoco><size memory="1E"/></mujoco>', "memory of <size> is more than 1 GiB"),
  "more memory": (f'<mujoco><size memory="{"9" * 5000}"/></mujoco>', "memory of <size> is more"),
  "old memory": ('<mujoco><size nstack="999999999"/></mujoco>', "nstack of <size> is more than"),
  "user data": ('<mujoco><size nuserdata="2000000000"/></mujoco>', "nuserdata of <size>"),
  "key frames": ('<mujoco><size nkey="1000000"/></mujoco>', "nkey of <size> is more than 10000"),
  "iterations": (
    '<mujoco><option iterations="2000000000"/></mujoco>', "iterations of <option> is more than",
  ),
  "texture": (
    '<mujoco><asset><texture builtin="flat" width="99999"/></asset></mujoco>',
    "width of <texture> is more than 8192",
  ),
  "hills": ('<mujoco><asset><hfield nrow="9999"/></asset></mujoco>', "nrow of <hfield>"),
  "picture": ('<mujoco><visual><global offwidth="1e9"/></visual></mujoco>', "offwidth of <global>"),
  "camera": (model('<camera resolution="10 1e9"/>'), "resolution of <camera> is more than"),
  "sensor": (
    '<mujoco><sensor><user dim="100000000"/></sensor></mujoco>',
    "line 1: dim of <user> is more than 10000.",
  ),
  "activations": (
    '<mujoco><actuator><general actdim="1e8"/></actuator></mujoco>',
    "actdim of <general> is more than 10000.",
  ),
  "infinite number": (
    '<mujoco><custom><numeric data="1 inf"/></custom></mujoco>', "data of <numeric> has a number",
  ),
  "names with control characters": (
    "<mujoco><\u202esection/></mujoco>", "not well-formed",
  ),
  "a name as long as a book": (f"<mujoco><{'a' * 100_000}/></mujoco>", "no section <aaa"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_or_broken_model_gets_one_line(case):
  content, message = HOSTILE[case]
  begin = time.process_time()
  assert message in refusal(content)
  assert time.process_time() - begin < 5.0


def test_a_file_of_many_megabytes_is_not_even_parsed():
  assert "is larger than 8 MiB" in refusal(b"<" * (mjcf_rules.MAX_BYTES + 1))


def test_names_may_be_called_nan_and_inf():
  mjcf.parse(model('<body name="inf"><geom name="nan" material="NaN"/></body>'), "robot.xml")


def test_text_may_say_nan_and_inf():
  text = '<mujoco><custom><text name="note" data="inf is fine, nan too"/></custom></mujoco>'
  assert "inf is fine, nan too" in mjcf.parse(text.encode(), "robot.xml").xml


def test_usual_sizes_pass():
  inside = '<replicate count="100"><geom/></replicate>' + "<body>" * 150 + "</body>" * 150
  mjcf.parse(model(inside), "robot.xml")
  mjcf.parse(b'<mujoco><size memory="100M"/><option iterations="100"/></mujoco>', "robot.xml")
  mjcf.parse(b'<mujoco><size memory="-1"/></mujoco>', "robot.xml")


def test_a_byte_order_mark_is_no_fault():
  mjcf.parse(b"\xef\xbb\xbf" + GOOD.encode(), "robot.xml")


def test_what_stands_between_elements_is_dropped():
  text = "<mujoco>words<![CDATA[<include/>]]><!-- <include/> --><?include x?></mujoco>"
  assert mjcf.parse(text.encode(), "robot.xml").xml == "<mujoco></mujoco>"


def test_attributes_survive_what_xml_escapes():
  text = '<mujoco model="&lt;&gt;&quot;&amp;&apos;&#10;&#9;é"/>'
  written = mjcf.parse(text.encode(), "robot.xml").xml
  assert ElementTree.fromstring(written).attrib["model"] == "<>\"&'\n\té"


WORDS = [
  b"<", b">", b"/>", b"&", b'"', b"&lt;", b"&#0;", b"&#x10ffff;", b"<!DOCTYPE m [",
  b"<!ENTITY a 'b'>", b"]>", b"<![CDATA[", b"<include/>", b"<plugin/>", b"nan", b"inf",
  b"1e999", b"-1", b"\0",
  b"\xff", b"../", b"file=", b"count='9999999999'", b"<replicate>", b"</mujoco>",
  b"\xef\xbb\xbf", b"<?xml?>",
]  # fmt: skip


@st.composite
def mutants(draw):
  """The good model, changed in a few places."""
  content = GOOD.encode()
  for _ in range(draw(st.integers(1, 6))):
    begin = draw(st.integers(0, len(content)))
    end = min(len(content), begin + draw(st.integers(0, 40)))
    new = draw(st.sampled_from(WORDS) | st.binary(max_size=8) | st.just(content[begin:end] * 3))
    content = content[:begin] + new + content[end if draw(st.booleans()) else begin :]
  return content


@hypothesis.settings(max_examples=300)
@hypothesis.given(mutants() | st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_nothing_but_a_user_error_comes_of_any_bytes(content):
  try:
    document = mjcf.parse(content, "robot.xml")
  except UserError as error:
    assert "\n" not in str(error) and len(str(error)) < 500
    return
  assert tags(document.xml) == tags(content.removeprefix(b"\xef\xbb\xbf"))
  assert not re.search(r"<!|<\?|<(include|plugin|extension|model|attach)\b", document.xml)
  for file in document.files:
    assert not file.path.startswith("/") and ".." not in file.path.split("/")
