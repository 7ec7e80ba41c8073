"""`python -m nearstream` and the `nearstream` console script."""

from nearstream.cli.app import main

if __name__ == "__main__":
    main()
