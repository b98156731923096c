"""A Panda's bundle with a policy made by hand, a stand-in for libfranka, and a simulated robot."""

import contextlib
import io
import shutil
import subprocess
import threading
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.assets.panda import PANDA
from jaxskills.deploy import bundle as bundles
from jaxskills.deploy import network_c, network_onnx, safety, safety_c, verification
from jaxskills.deploy.franka import build, motion, sources
from jaxskills.deploy.franka.simulated import Network as Wire
from jaxskills.deploy.franka.simulated import Server
from jaxskills.deploy.network import Affine, Network
from jaxskills.envs.panda import kinematics

STANDIN = Path(__file__).parent / "standin"
TARGETS = np.array([[0.5, 0.1, 0.4], [0.5, -0.1, 0.3]])


@pytest.fixture(scope="session")
def manifest(panda_bundle):
  """The contract of a Panda that reaches."""
  return bundles.read(panda_bundle).manifest


@pytest.fixture(scope="session")
def constants(manifest):
  return motion.constants_of(manifest)


@pytest.fixture(scope="session")
def limits(manifest):
  return safety.from_json(manifest["parts"]["safety"])


@pytest.fixture(scope="session")
def reaching_bundle(panda_bundle, constants, tmp_path_factory) -> Path:
  """A verified bundle whose policy is one affine layer that brings the gripper to its target."""
  return write_bundle(
    panda_bundle, reaching_network(constants), tmp_path_factory.mktemp("franka") / "bundle"
  )


@pytest.fixture(scope="session")
def libfranka(tmp_path_factory) -> Path:
  """The stand-in, compiled and installed as libfranka would be."""
  prefix = tmp_path_factory.mktemp("libfranka")
  shutil.copytree(STANDIN / "include", prefix / "include")
  (prefix / "lib").mkdir()
  flags = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic"]
  library, source = prefix / "lib" / "libfranka.so", STANDIN / "src" / "robot.cpp"
  command = ["g++", *flags, "-fPIC", "-shared", f"-I{prefix / 'include'}", str(source)]
  subprocess.run([*command, "-o", str(library)], check=True)
  return prefix


@pytest.fixture(scope="session")
def program(reaching_bundle, libfranka, tmp_path_factory) -> Path:
  """The bundle's program, compiled once."""
  folder = tmp_path_factory.mktemp("program")
  return build.compile_program(bundles.read(reaching_bundle), folder, libfranka=libfranka)


def reaching_network(constants: motion.Constants) -> Network:
  """Joint velocities towards the target, by the Jacobian of the default pose, 2 m/s per m."""
  chain = kinematics.Chain(constants.offsets, constants.rotations)
  jacobian = np.asarray(kinematics.pose(chain, jnp.asarray(PANDA.default_pose)).jacobian)
  gain = 2.0 * np.linalg.pinv(jacobian[:3]) / constants.speed[:, None]
  kernel, begin = np.zeros((len(constants.scale), 7)), 0
  for name in constants.terms:
    size = motion.QUANTITIES[name]
    if name in ("target", "gripper_position"):
      sign = 1.0 if name == "target" else -1.0
      kernel[begin : begin + size] = sign * gain.T / constants.scale[begin : begin + size, None]
    begin += size
  return Network(len(kernel), 7, (Affine(kernel.astype(np.float32), np.zeros(7, np.float32)),))


def write_bundle(model: Path, network: Network, out: Path, policy_c: bytes | None = None) -> Path:
  """A bundle like another one with another policy, and a verification that says it passed."""
  old = bundles.read(model)
  onnx = network_onnx.policy_model(network, {}).SerializeToString()
  seen = np.zeros((256, network.observation_size), np.float32)
  golden = io.BytesIO()
  np.savez(golden, **{"observation.state": seen, "expected.action": np.zeros((256, 7), np.float32)})
  limits = safety.from_json(old.manifest["parts"]["safety"])
  files = {
    **{name: content for name, content in old.files.items() if name != "policy.pt"},
    **sources.write(old.manifest),
    **safety_c.write(limits),
    **network_c.write(network),
    "policy.onnx": onnx,
    bundles.GOLDEN: golden.getvalue(),
  }
  if policy_c is not None:
    files["policy.c"] = policy_c
  manifest = {**old.manifest, "files": bundles.describe_files(files)}
  bundles.write(out, {**files, bundles.MANIFEST: bundles.encode_manifest(manifest)})
  verification.write(bundles.read(out), [verification.Check("by hand", True, "for tests")])
  return out


@contextlib.contextmanager
def simulated(**options):
  """A simulated Panda on a free port; yields it, and ends it with its last client."""
  server = Server(port=0, **options)
  over = threading.Event()
  thread = threading.Thread(target=server.run, args=(lambda _: over.is_set(),))
  thread.start()
  try:
    yield server
  finally:
    over.set()
    thread.join()


def lock_step(**options) -> Wire:
  """A network on which a busy machine breaks nothing."""
  return Wire(is_lock_step=True, **options)


def address(server: Server) -> str:
  return f"{server.address[0]}:{server.address[1]}"


def drive(
  program: Path, bundle: Path, server: Server, *more: str, timeout: float = 600.0
) -> subprocess.CompletedProcess:
  """Runs the bundle's program against a simulated robot to its end."""
  return subprocess.run(
    [str(program), f"--ip={address(server)}", f"--bundle={bundle}", "--no-realtime", *more],
    capture_output=True,
    text=True,
    timeout=timeout,
    check=False,
  )
