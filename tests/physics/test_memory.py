"""Whether worlds fit into memory: the refusal, what is free, and what a world takes."""

import importlib.util
import os
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import mujoco
import mujoco.batch
import numpy as np
import pytest
from mujoco import mjx

from jaxskills.errors import UserError
from jaxskills.physics import memory
from jaxskills.physics.capacity import capacity_of

GIB = 1 << 30
FIELDS = ("body_mass", "dof_damping")


@pytest.fixture(scope="module")
def model():
  return mujoco.MjModel.from_xml_string("""
    <mujoco><worldbody>
      <geom type="plane" size="1 1 1"/>
      <body pos="0 0 .2"><freejoint/><geom size=".1"/>
        <body pos=".2 0 0"><joint name="hinge"/><geom type="capsule" size=".05 .1"/></body>
      </body></worldbody>
      <actuator><motor joint="hinge"/></actuator>
      <sensor><jointpos joint="hinge"/></sensor>
    </mujoco>""")


@pytest.mark.parametrize(
  ("worlds", "each", "free", "message"),
  [
    (4096, 1 << 20, GIB, "4096 worlds need 4.0 GiB, 1.0 GiB are free; 1024 fit"),
    (3, 2 * GIB, 5 * GIB, "3 worlds need 6.0 GiB, 5.0 GiB are free; 2 fit"),
    (1, 2 * GIB, GIB, "1 worlds need 2.0 GiB, 1.0 GiB are free; not one fit"),
    (9, 1 << 20, 8 << 20, "9 worlds need 9.0 MiB, 8.0 MiB are free; 8 fit"),
  ],
)
def test_more_worlds_than_fit_are_refused_with_the_number_that_does(worlds, each, free, message):
  with pytest.raises(UserError) as caught:
    memory.check_worlds(worlds, each, free)
  assert str(caught.value) == message


def test_the_number_that_fits_does_fit():
  memory.check_worlds(1024, 1 << 20, GIB)
  memory.check_worlds(10**9, 0, 0)
  with pytest.raises(UserError, match="; 1024 fit"):
    memory.check_worlds(1025, 1 << 20, GIB)


def system(root, meminfo, cgroup=""):
  """A made-up machine: what its `proc` says."""
  (root / "proc/self").mkdir(parents=True)
  (root / "proc/self/cgroup").write_text(cgroup)
  (root / "proc/meminfo").write_text(meminfo)
  return root


def group(root, path, limit, used, cache, version=2):
  """One control group of a made-up machine."""
  names = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
  }[version]
  folder = root / "sys/fs/cgroup" / path
  folder.mkdir(parents=True, exist_ok=True)
  (folder / names[0]).write_text(f"{limit}\n")
  (folder / names[1]).write_text(f"{used}\n")
  (folder / "memory.stat").write_text(f"anon 17\n{names[2]} {cache}\nactive_file 3\n")


MEMINFO = f"MemTotal: {32 << 20} kB\nMemFree: 1 kB\nMemAvailable:   {16 << 20} kB\n"


def test_free_memory_of_a_machine_is_what_linux_says(tmp_path):
  assert memory.available_memory(root=system(tmp_path, MEMINFO)) == 16 * GIB


def test_a_control_group_may_allow_less(tmp_path):
  root = system(tmp_path, MEMINFO, "0::/user/job\n")
  group(root, "user/job", 8 * GIB, 3 * GIB, GIB)
  group(root, "user", "max", 3 * GIB, GIB)
  assert memory.available_memory(root=root) == 6 * GIB


def test_the_group_around_may_be_the_narrow_one(tmp_path):
  root = system(tmp_path, MEMINFO, "0::/user/job\n")
  group(root, "user/job", 8 * GIB, 1 * GIB, 0)
  group(root, "user", 4 * GIB, 3 * GIB, 0)
  assert memory.available_memory(root=root) == GIB


def test_a_container_that_sees_its_group_at_the_top_is_understood(tmp_path):
  root = system(tmp_path, MEMINFO, "0::/docker/0123\n")
  group(root, ".", 2 * GIB, GIB, 0)
  assert memory.available_memory(root=root) == GIB


def test_control_groups_of_the_first_version_count_too(tmp_path):
  root = system(tmp_path, MEMINFO, "5:cpu,cpuacct:/job\n4:memory:/job\n0::/\n")
  group(root, "memory/job", 4 * GIB, 2 * GIB, GIB, version=1)
  group(root, "memory", 1 << 63, 2 * GIB, GIB, version=1)
  assert memory.available_memory(root=root) == 3 * GIB


def test_a_group_that_is_over_its_limit_has_nothing(tmp_path):
  root = system(tmp_path, MEMINFO, "0::/job\n")
  group(root, "job", GIB, 2 * GIB, 0)
  assert memory.available_memory(root=root) == 0


def test_a_machine_that_tells_nothing_has_all_of_its_memory(tmp_path):
  expected = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
  assert memory.available_memory(root=tmp_path) == expected


def test_this_machine_has_some_memory_free_and_no_more_than_all():
  free = memory.available_memory()
  assert 0 < free <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_a_device_with_its_own_memory_is_asked(tmp_path):
  root = system(tmp_path, MEMINFO)
  stats = {"bytes_limit": 100 * GIB, "bytes_in_use": 30 * GIB, "peak_bytes_in_use": 90 * GIB}
  device = SimpleNamespace(platform="gpu", memory_stats=lambda: stats)
  assert memory.available_memory(device, root=root) == 70 * GIB
  silent = SimpleNamespace(platform="gpu", memory_stats=lambda: None)
  assert memory.available_memory(silent, root=root) == 16 * GIB
  assert memory.available_memory(jax.devices("cpu")[0], root=root) == 16 * GIB


def test_native_worlds_take_their_rows_in_c_and_in_jax(model):
  batch = mujoco.batch.Batch(model, 8, 1)
  rows = batch.state.nbytes + batch.bind("sensordata").nbytes
  in_c = (rows + sum(batch.expand(field).nbytes for field in FIELDS)) // 8
  plain, varied = (memory.bytes_per_world(model, "native", fields) for fields in ((), FIELDS))
  assert in_c < varied < 4 * in_c
  own = model.nbody + model.nv
  assert varied - plain == 8 * own + 4 * own + 2 * 4 * own  # in C, as given, in JAX twice


def test_a_world_in_mjx_takes_its_record_twice(model):
  record = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(mjx.make_data(model)))
  size = memory.bytes_per_world(model, "mjx")
  assert size >= memory.MJX_COPIES * record
  assert size - memory.MJX_COPIES * record < 1000


def test_what_xla_takes_for_a_world_in_mjx_is_less_than_the_estimate():
  model = mujoco.MjModel.from_xml_string(
    '<mujoco><worldbody><body><joint/><geom size=".1"/></body></worldbody></mujoco>'
  )
  nominal = mjx.put_model(model)
  number = 64
  step = jax.jit(jax.vmap(lambda qpos: mjx.step(nominal, mjx.make_data(model).replace(qpos=qpos))))
  compiled = step.lower(jnp.zeros((number, model.nq))).compile()
  taken = compiled.memory_analysis().temp_size_in_bytes
  assert 0 < taken < number * memory.bytes_per_world(model, "mjx")


@pytest.mark.skipif(importlib.util.find_spec("warp") is None, reason="needs the extra `warp`")
def test_a_world_in_warp_has_room_for_its_contacts(model):
  size = memory.bytes_per_world(model, "warp")
  room = capacity_of(model)
  data = mjx.make_data(model, impl="warp", naconmax=room.contacts, njmax=room.constraints)
  record = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(data))
  assert size >= memory.WARP_COPIES * record
  assert record > 4 * room.constraints * model.nv  # the constraint Jacobian alone
