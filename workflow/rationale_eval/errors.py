"""What a person is told when the input, not the program, is at fault."""

import re


def without_user_info(text: str) -> str:
    """``text`` with the user name and password of each address in it left out, as they are no one else's business."""
    return re.sub(r"(?<=://)[^/?#\s'\"]*@", "…@", text)


class UserError(Exception):
    """A message that names the file, row or config key at fault and says what would be right.

    The command line prints it without a traceback and exits with 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(without_user_info(message))


# Of a file, where the disk is full, or a quota.
NO_ROOM = "no room to write it; make room and run again: what is done is kept"
