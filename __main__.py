"""`python -m smartca`: the same as the `smartca` command."""

from .cli import main

if __name__ == "__main__":
    main()
