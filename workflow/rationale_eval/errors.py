"""What a person is told when the input, not the program, is at fault."""


class UserError(Exception):
    """A message that names the file, row or config key at fault and says what would be right.

    The command line prints it without a traceback and exits with 1.
    """


# Of a file, where the disk is full, or a quota.
NO_ROOM = "no room to write it; make room and run again: what is done is kept"
