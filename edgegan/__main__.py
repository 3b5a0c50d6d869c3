"""`python -m edgegan` is the same program as `edgegan`: both begin here."""

import os

try:
    import signal
    from types import FrameType

    def leave(_number: int, _frame: FrameType | None) -> None:
        """Ctrl-C while the command line is imported: there is nothing to tidy yet."""
        os.write(2, b"edgegan: interrupted\n")
        os._exit(130)

    signal.signal(signal.SIGINT, leave)

    from edgegan.cli import main as command_line
except KeyboardInterrupt:
    os._exit(130)


def main() -> None:
    """The command line. A Ctrl-C that comes after its end changes nothing but the exit code."""
    try:
        command_line()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


if __name__ == "__main__":
    main()
