"""`python -m rsr` is `rsr`."""

from rsr.cli import main

if __name__ == "__main__":
    main()
