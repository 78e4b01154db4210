"""The exceptions for a user's mistake: their messages name the file, row or key and what to do."""


class UserError(Exception):
    """Bad input from outside: a dataset row, a path, an option, a checkpoint.

    The command line prints the message as one line and exits 2, without a traceback.
    """


class NothingToLearnError(UserError):
    """There is nothing to train a model on: a comparison goes on without the recipe."""


class DivergedError(UserError):
    """Losses or gradients ceased to be numbers: a comparison goes on without the learning rate."""
