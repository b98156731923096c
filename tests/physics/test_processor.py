"""How many cores there are, also where a process has no affinity."""

import os

import pytest

from jaxskills.physics.processor import cores


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs affinity, as on Linux")
def test_only_cores_that_this_process_may_use_count(monkeypatch: pytest.MonkeyPatch):
  monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7})
  assert cores() == 3


def test_all_cores_count_where_there_is_no_affinity(monkeypatch: pytest.MonkeyPatch):
  monkeypatch.delattr(os, "sched_getaffinity", raising=False)
  monkeypatch.setattr(os, "cpu_count", lambda: 6)
  assert cores() == 6
  monkeypatch.setattr(os, "cpu_count", lambda: None)
  assert cores() == 1
