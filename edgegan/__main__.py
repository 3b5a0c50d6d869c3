"""`python -m edgegan` is the same program as `edgegan`."""

from edgegan.cli import main

if __name__ == "__main__":
    main()
