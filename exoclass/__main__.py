"""Run the command line with ``python -m exoclass``."""

from exoclass.cli import main

if __name__ == "__main__":
    main()
