"""Errors that a user can cause, and the one way a run ends early on purpose.

The command line prints `jaxskills: <message>` for them and no traceback. Anything else that is
raised is a fault of ours and keeps its traceback.
"""


class UserError(Exception):
  """Something that the user can put right; the message is one line: what, where, what to do.

  The command line prints it and exits with 2.
  """


class Interrupted(Exception):
  """A run stopped on request (SIGTERM or SIGINT) after saving all of its state.

  The message is one line that says how to go on. The command line prints it and exits with 0.
  """
