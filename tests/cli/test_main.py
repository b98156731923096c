"""Tests of the entry point: what becomes a message, what a traceback, and the exit codes."""

import signal
import subprocess
import sys

import pytest

import jaxskills
from jaxskills.cli.main import COMMANDS, main


def complaint(capsys) -> str:
  """The one line that was written to the error stream."""
  error = capsys.readouterr().err
  assert error.startswith("jaxskills: ") and error.count("\n") == 1
  return error


def test_without_arguments_it_shows_every_command(capsys):
  assert main([]) == 0
  shown = capsys.readouterr().out
  assert all(f"    {command}" in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
  assert main([command, "--help"]) == 0
  assert f"usage: jaxskills {command}" in capsys.readouterr().out


def test_the_version_is_the_package_s(capsys):
  assert main(["--version"]) == 0
  assert capsys.readouterr().out == f"jaxskills {jaxskills.__version__}\n"


def test_an_unknown_command_names_the_nearest(capsys):
  assert main(["trian"]) == 2
  assert "unknown command 'trian'; did you mean train?" in complaint(capsys)


def test_an_unknown_argument_is_refused(folder, capsys):
  assert main(["train", "fake/tiny", "--workdri=x"]) == 2
  assert "unknown argument '--workdri=x'" in complaint(capsys)
  assert not list(folder.glob("runs"))


def test_an_abbreviated_argument_is_refused(folder, capsys):
  assert main(["train", "fake/tiny", "--work=x"]) == 2
  assert "unknown argument '--work=x'" in complaint(capsys)


def test_an_override_without_equals_sign_is_explained(folder, capsys):
  assert main(["train", "fake/tiny", "--config.seed", "3"]) == 2
  assert "write --config.seed=3" in complaint(capsys)


def test_a_command_without_configuration_takes_no_override(capsys):
  assert main(["doctor", "--config.seed=3"]) == 2
  assert "'jaxskills doctor' takes no --config.seed=3" in complaint(capsys)


def test_a_missing_argument_is_one_line(capsys):
  assert main(["train"]) == 2
  assert "EXPERIMENT" in complaint(capsys)


def test_an_error_of_the_user_s_is_one_line(folder, capsys):
  fault = "from jaxskills.errors import UserError; raise UserError('shard 3 is damaged')"
  assert main(["train", "fake/tiny", f"--config.fault={fault}"]) == 2
  assert complaint(capsys) == "jaxskills: shard 3 is damaged\n"


def test_a_saved_run_that_was_stopped_is_no_failure(folder, capsys):
  fault = "from jaxskills.errors import Interrupted; raise Interrupted('run it again to resume')"
  assert main(["train", "fake/tiny", f"--config.fault={fault}"]) == 0
  assert complaint(capsys) == "jaxskills: run it again to resume\n"


def test_an_interrupt_before_anything_was_saved_is_one_line(folder, capsys):
  assert main(["train", "fake/tiny", "--config.fault=raise KeyboardInterrupt"]) == 130
  assert "stopped by SIGINT; run the same command again" in complaint(capsys)


@pytest.mark.parametrize("number", ["ENOSPC", "EROFS"])
def test_a_disk_that_cannot_be_written_is_one_line(number, program):
  fault = f"import errno; raise OSError(errno.{number}, 'no luck', 'runs/x')"
  command = [*program, "train", "fake/tiny", f"--config.fault={fault}"]
  result = subprocess.run(command, capture_output=True, text=True, check=False)
  assert result.returncode == 2
  assert result.stderr.startswith("jaxskills: runs/x: no luck") and result.stderr.count("\n") == 1


def test_a_fault_of_ours_keeps_its_traceback(program):
  command = [*program, "train", "fake/tiny", "--config.fault=1 / 0"]
  result = subprocess.run(command, capture_output=True, text=True, check=False)
  assert result.returncode == 1
  assert "Traceback" in result.stderr and "ZeroDivisionError" in result.stderr


def test_a_reader_that_leaves_early_is_no_failure(program):
  process = subprocess.Popen(
    [*program, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  )
  assert process.stdout and process.stderr
  process.stdout.close()
  assert process.stderr.read() == ""
  assert process.wait() == 0
  process.stderr.close()


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_output_is_one_line(program):
  with open("/dev/full", "w") as full:
    result = subprocess.run(
      [*program, "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
    )
  assert result.returncode == 2
  assert result.stderr.startswith("jaxskills: ") and result.stderr.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_one_line_puts_files_in_order_and_has_its_code(number, code, program, folder):
  work = ["  print('ready', flush=True)", "  time.sleep(60)", "finally:", "  open('done', 'w')"]
  fault = "\n".join(["import time", "try:", *work])
  process = subprocess.Popen(
    [*program, "train", "fake/tiny", f"--config.fault={fault}"],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  with process:
    assert process.stdout and process.stderr
    assert any("ready" in line for line in process.stdout)
    process.send_signal(number)
    said = process.stderr.read()
  assert said.count("\n") == 1 and f"stopped by {number.name}; run the same command again" in said
  assert process.returncode == code
  assert (folder / "done").exists()


def test_help_waits_for_no_heavy_import():
  heavy = "[name for name in ('jax', 'matplotlib', 'mujoco', 'rich') if name in sys.modules]"
  code = f"import sys; from jaxskills.cli.main import main; main(['--help']); print({heavy})"
  result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
  assert result.stdout.endswith("[]\n")
