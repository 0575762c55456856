"""`python -m telecine.cli` is `telecine`."""

from telecine.cli.app import main

if __name__ == "__main__":
    main()
