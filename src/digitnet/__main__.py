"""``python -m digitnet`` and the ``digitnet`` command."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it with one line, also while it is still loading."""
    try:
        from digitnet.cli.app import main as run

        run()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)  # noqa: T201
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
