"""Download one file of a package from the indexes that pip is set up for. Run as a script, in a process of its own.

pip knows the user's indexes, credentials, proxy and certificates. Its ``download`` unpacks a source distribution, and
asks the build backend for metadata: a hostile one could write elsewhere, or run. So only pip's search and session are
used, and the file is written as it comes, unopened. These are no public interface of pip, whose version is pinned.
"""

from __future__ import annotations

import sys
from optparse import Values
from pathlib import Path

from pip._internal.cli.status_codes import SUCCESS
from pip._internal.commands.download import DownloadCommand
from pip._internal.exceptions import CommandError
from pip._internal.network.utils import HEADERS, raise_for_status, response_chunks


class FileCommand(DownloadCommand):
    """``pip download`` of one file: its arguments are the package, its version, the file's name and where it goes."""

    def run(self, options: Values, args: list[str]) -> int:
        """Write the file. Raises ``CommandError`` where no index offers it."""
        package, version, name, target = args
        session = self.get_default_session(options)
        finder = self._build_package_finder(options=options, session=session, ignore_requires_python=True)
        offered = {
            str(found.link.filename): found.link
            for found in finder.find_all_candidates(package)
            if str(found.version) == version
        }
        if name not in offered:
            names = ", ".join(sorted(offered)) or "no file"
            raise CommandError(
                f"No matching distribution: {package}=={version} has {names} for this machine, not {name}"
            )
        # Of files on this machine too: the session reads both.
        answer = session.get(offered[name].url_without_fragment, headers=HEADERS, stream=True)
        raise_for_status(answer)
        with Path(target).open("wb") as stream:
            for chunk in response_chunks(answer):
                stream.write(chunk)
        return SUCCESS


if __name__ == "__main__":
    sys.exit(FileCommand("download", "one file").main(sys.argv[1:]))
