"""``python -m understudy``: the command line without the installed script."""

from understudy.cli import main

if __name__ == "__main__":
    main()
