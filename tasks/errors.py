"""The one exception for a user's mistake: its message names the file, row or key and what to do."""


class UserError(Exception):
    """Bad input from outside: a dataset row, a path, an option, a checkpoint.

    The command line prints the message as one line and exits 2, without a traceback.
    """
