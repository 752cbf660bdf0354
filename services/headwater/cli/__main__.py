"""The entry of the command `headwater`."""


def main() -> None:
    """Run the command line and exit."""
    from headwater.cli.app import app  # noqa: PLC0415 - keeps the entry itself free of imports

    app(prog_name="headwater")


if __name__ == "__main__":
    main()
